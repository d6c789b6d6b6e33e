"""What an office looks back on and has before it: `ektp coverage`, `desk`, `uncollected`."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import typer

from events.offices import office as known_office
from events.problem import Lang, Problem
from services.against import Table, disagreements, read_table
from services.cli.at_desk import at_desk
from services.cli.cases import AsOfOption, AsRecordedOption, Office
from services.cli.session import Session, ektp_command, minute
from services.instants import instant
from services.questions import AskCoverage, AskDesk

EXIT_DISAGREES = 3
TABLE_BYTES_MAX = 1_000_000
SHOWN_MAX = 10  # cases of a queue that a person sees; a program gets the page
Page = Annotated[int, typer.Option("--page", help="Which hundred of each queue; the oldest are on page 1.")]

_COLUMNS = ("obliged", "recorded", "recorded_percent", "printed", "reprinted", "not_yet_recorded")
_HEADINGS: dict[Lang, dict[str, str]] = {
    "id": dict(zip(_COLUMNS, ("wajib", "direkam", "%", "dicetak", "cetak ulang", "belum direkam"), strict=True)),
    "en": dict(zip(_COLUMNS, ("obliged", "recorded", "%", "printed", "reprinted", "not yet recorded"), strict=True)),
}
_RULES: dict[Lang, dict[str, str]] = {
    "id": {
        "total_is_sum": "jumlah baris-barisnya",
        "obliged_minus_recorded": "wajib dikurangi direkam",
        "printed_above_recorded": "padahal direkam",
        "differs_from_log": "menurut catatan",
    },
    "en": {
        "total_is_sum": "its rows add up to",
        "obliged_minus_recorded": "obliged less recorded is",
        "printed_above_recorded": "yet recorded are",
        "differs_from_log": "the log has",
    },
}
_QUEUES: dict[Lang, dict[str, str]] = {
    "id": {
        "submitted": "Menunggu perekaman",
        "recorded": "Menunggu pemeriksaan di pusat",
        "queued": "Siap cetak",
        "printed": "Menunggu diambil",
    },
    "en": {
        "submitted": "To be recorded",
        "recorded": "With the centre",
        "queued": "Print-ready",
        "printed": "To be collected",
    },
}


@dataclass(eq=False)
class TableUnreadable(Problem):
    """The file is missing, a folder, not ours to read, or far too long; `why` is the system's word for it."""

    path: str
    why: str
    code: ClassVar[str] = "table_unreadable"
    sentence_id: ClassVar[str] = "Tabel {path} tidak dapat dibaca: {why}. Tidak ada yang dibandingkan."
    sentence_en: ClassVar[str] = "The table {path} cannot be read: {why}. Nothing was compared."


def add_to(app: typer.Typer) -> None:
    """Register these commands."""

    @ektp_command(app, "coverage")
    async def coverage(
        session: Session,
        against: Annotated[Path | None, typer.Option("--against", help="A table (CSV) to check.")] = None,
        office: Office = None,
        as_of: AsOfOption = None,
        as_recorded: AsRecordedOption = None,
    ) -> int:
        """Persons recorded and cards printed, per district; and what of a table disagrees with itself or with the log."""
        table = _read(against, office) if against else None
        ask = AskCoverage(office=office, as_of=instant(as_of), as_recorded=instant(as_recorded))
        async with at_desk(session.data) as desk:
            found = await desk.ask("coverage", ask)
        if table:
            found["disagreements"] = [asdict(each) for each in disagreements(table, found)]
        session.document(found)
        session.say(_coverage_text(found, "id"), _coverage_text(found, "en"))
        return EXIT_DISAGREES if found["disagreements"] else 0

    @ektp_command(app, "desk")
    async def desk(
        session: Session,
        office: Office = None,
        page: Page = 1,
        as_of: AsOfOption = None,
        as_recorded: AsRecordedOption = None,
    ) -> None:
        """The queue of each stage, oldest first."""
        found = await _ask(session, "desk", office, page, as_of, as_recorded)
        session.say(_desk_text(found, "id"), _desk_text(found, "en"))

    @ektp_command(app, "uncollected")
    async def uncollected(
        session: Session,
        office: Office = None,
        page: Page = 1,
        as_of: AsOfOption = None,
        as_recorded: AsRecordedOption = None,
    ) -> None:
        """Printed cards that nobody has fetched, oldest first."""
        found = await _ask(session, "uncollected", office, page, as_of, as_recorded)
        session.say(_uncollected_text(found, "id"), _uncollected_text(found, "en"))


async def _ask(
    session: Session, question: str, office: str | None, page: int, as_of: str | None, as_recorded: str | None
) -> dict[str, Any]:
    ask = AskDesk(office=office, page=page, as_of=instant(as_of), as_recorded=instant(as_recorded))
    async with at_desk(session.data) as desk:
        found = await desk.ask(question, ask)
    session.document(found)
    return found


def _read(path: Path, office: str | None) -> Table:
    """The table in this file, or what it says of one office. Raises TableUnreadable and what read_table raises."""
    try:
        with path.open("rb") as file:
            content = file.read(TABLE_BYTES_MAX + 1)
    except OSError as error:
        raise TableUnreadable(str(path), error.strerror or type(error).__name__) from None
    if len(content) > TABLE_BYTES_MAX:
        raise TableUnreadable(str(path), f"> {TABLE_BYTES_MAX} bytes")
    table = read_table(content)
    if office is None:
        return table
    return Table([row for row in table.rows if row.office == known_office(office).code], None)


def _coverage_text(found: dict[str, Any], lang: Lang) -> str:
    headings, rules = _HEADINGS[lang], _RULES[lang]
    total = {"office": "", "district": "jumlah" if lang == "id" else "total", **found["total"]}
    lines = [f"{minute(found['as_of']):22}" + "".join(_cell(headings[column], column, lang) for column in _COLUMNS)]
    for row in (*found["rows"], total):
        cells = "".join(_cell(_number(row[column], lang), column, lang) for column in _COLUMNS)
        lines.append(f"{row['office']:8}{row['district']:14}{cells}")
    for known in found["obliged_from"]:
        lines.append(f"{headings['obliged']}: {known['date']}, {known['source']}")
    for each in found["disagreements"]:
        says, adds_up_to = _number(each["says"], lang), _number(each["adds_up_to"], lang)
        column, difference = headings[each["column"]], _number(each["difference"], lang)
        written = "tertulis" if lang == "id" else "says"
        place = f"{each['office'] or '':8}{each['district']}"
        lines.append(f"{place}, {column}: {written} {says}, {rules[each['rule']]} {adds_up_to} ({difference})")
    return "\n".join(lines)


def _desk_text(found: dict[str, Any], lang: Lang) -> str:
    lines = [minute(found["as_of"])]
    for queue in found["stages"]:
        oldest = ""
        if queue["oldest"]:
            oldest = f", {'tertua' if lang == 'id' else 'oldest'} {_days(queue['oldest_age_seconds'], lang)}"
        lines.append(f"{_QUEUES[lang][queue['stage']]}: {_number(queue['count'], lang)}{oldest}")
        lines += _cases(queue["cases"], lang)
    return "\n".join(lines)


def _uncollected_text(found: dict[str, Any], lang: Lang) -> str:
    over, days = ("lebih dari", "hari") if lang == "id" else ("over", "days")
    ages = [f"{over} {each['over_days']} {days}: {_number(each['count'], lang)}" for each in found["by_age"]]
    heading = f"{_QUEUES[lang]['printed']}: {_number(found['count'], lang)}"
    return "\n".join([minute(found["as_of"]), "; ".join([heading, *ages]), *_cases(found["cases"], lang)])


def _cases(cases: list[dict[str, Any]], lang: Lang) -> list[str]:
    """A line for each of the oldest; `!` marks those over the limit."""
    lines = []
    for case in cases[:SHOWN_MAX]:
        mark = " !" if case.get("over_limit") else ""
        lines.append(f"  {case['receipt']}  {minute(case['since'])}  {_days(case['age_seconds'], lang)}{mark}")
    return lines if len(cases) <= SHOWN_MAX else [*lines, "  …"]


def _cell(text: str, column: str, lang: Lang) -> str:
    return f"{text:>{max(len(_HEADINGS[lang][column]), 7) + 2}}"


def _number(figure: float | None, lang: Lang) -> str:
    """As it is written in that language: 28.557 or 28,557; `-` where it is not known."""
    text = "-" if figure is None else f"{figure:,.2f}" if isinstance(figure, float) else f"{figure:,}"
    return text.translate(str.maketrans(",.", ".,")) if lang == "id" else text


def _days(seconds: float, lang: Lang) -> str:
    return f"{int(seconds // 86_400)} {'hari' if lang == 'id' else 'days'}"
