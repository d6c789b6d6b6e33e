"""Operations' list: `ektp sla`."""

from collections import Counter, defaultdict
from typing import Annotated, Any, Final

import typer

from events.offices import OFFICES
from events.problem import Lang
from services.cli.at_desk import at_desk
from services.cli.cases import AsOfOption, AsRecordedOption, Office
from services.cli.session import Session, ektp_command, minute
from services.instants import instant
from services.questions import SLA_LISTS as LISTS
from services.questions import AskRest, AskSla

SHOWN_MAX = 10  # rows that a person sees; a program gets all
From = Annotated[str | None, typer.Option("--from", help="Breached since this instant; not given: within 90 days.")]
Recomputed = Annotated[bool, typer.Option("--recomputed", help="Also the verdict by the rules that are in force now.")]

_WORDS: Final[dict[Lang, dict[str, str]]] = {
    "id": {
        "running": "berjalan",
        "at_risk": "terancam",
        "breached": "terlampaui",
        "standing_still": "diam tanpa batas waktu",
        "due": "batas",
        "by_rules": "menurut aturan sekarang",
        "ages": "Usia di setiap tahap (p50, p90, p99)",
        "d": "hari",
        "h": "jam",
        "recording": "perekaman",
        "queueing": "siap cetak",
        "printing": "pencetakan",
        "issuance": "penerbitan",
        "collection": "pengambilan",
        "submitted": "diajukan",
        "recorded": "direkam",
        "queued": "siap cetak",
        "printed": "dicetak",
        "office": "kantor",
        "centre": "pusat",
        "blank_stock": "blangko habis",
        "power": "listrik",
        "network": "jaringan",
        "equipment": "alat",
        "applicant": "pemohon",
        "closed": "tutup",
    },
    "en": {
        "at_risk": "at risk",
        "standing_still": "standing still with no limit",
        "by_rules": "by the rules of now",
        "ages": "Age in each stage (p50, p90, p99)",
        "d": "days",
        "h": "h",
        "blank_stock": "no blank cards",
    },
}


def add_to(app: typer.Typer) -> None:
    """Register this command."""

    @ektp_command(app, "sla")
    async def sla(
        session: Session,
        office: Office = None,
        since: From = None,
        as_of: AsOfOption = None,
        as_recorded: AsRecordedOption = None,
        recomputed: Recomputed = False,
    ) -> None:
        """What is about to be broken, and what was: by office and cause, with how long cases have been in each stage."""
        ask = AskSla(
            office=office,
            since=instant(since),
            as_of=instant(as_of),
            as_recorded=instant(as_recorded),
            recomputed=recomputed,
        )
        async with at_desk(session.data) as desk:
            found = await desk.ask("sla", ask)
            while token := found.pop("rest"):
                more = await desk.ask("rest", AskRest(rest=token))
                found |= {name: found[name] + more[name] for name in LISTS} | {"rest": more["rest"]}
        session.document(found)
        session.say(_text(found, "id"), _text(found, "en"))


def _text(found: dict[str, Any], lang: Lang) -> str:
    counts = [f"{_word('running', lang)} {found['running']}"]
    counts += [f"{_word(name, lang)} {len(found[name])}" for name in LISTS]
    ages = [
        f"  {_word(stage, lang)}: {_ages(at, lang)}" for stage, at in found["percentiles"].items() if at["p50"] is not None
    ]
    return "\n".join(
        [
            f"{minute(found['as_of'])}  {', '.join(counts)}",
            *_heading("at_risk", found, lang),
            *_few([_row(row, lang) for row in found["at_risk"]]),
            *_heading("breached", found, lang),
            *_by_office(found["breached"], lang),
            *_few([_row(row, lang) for row in found["breached"] if not (row["met"] or row["ended"])]),
            *_heading("standing_still", found, lang),
            *_few([f"  {row['receipt']}  {_word(row['stage'], lang)}" for row in found["standing_still"]]),
            *([f"{_word('ages', lang)}:", *ages] if ages else []),
        ]
    )


def _heading(name: str, found: dict[str, Any], lang: Lang) -> list[str]:
    return [f"{_word(name, lang).capitalize()}:"] if found[name] else []


def _row(row: dict[str, Any], lang: Lang) -> str:
    line = f"  {row['receipt']}  {_word(row['target'], lang)}, {_word('due', lang)} {minute(row['due'])}"
    if again := row.get("recomputed"):
        line += f" ({_word('by_rules', lang)} {minute(again['due'])})"
    return line


def _by_office(rows: list[dict[str, Any]], lang: Lang) -> list[str]:
    """A line for each office: how many, and where their time went, most first."""
    count, seconds = Counter[str](), defaultdict[str, Counter[str]](Counter)
    for row in rows:
        count[row["office"]] += 1
        seconds[row["office"]].update(row["causes"])
    return [
        f"  {office} {OFFICES[office].district}: {count[office]}; "
        + ", ".join(f"{_word(cause, lang)} {_span(spent, lang)}" for cause, spent in seconds[office].most_common() if spent)
        for office in sorted(count)
    ]


def _ages(at: dict[str, float], lang: Lang) -> str:
    return ", ".join(_span(at[share], lang) for share in ("p50", "p90", "p99"))


def _span(seconds: float, lang: Lang) -> str:
    hours = seconds / 3600
    return f"{hours / 24:.0f} {_word('d', lang)}" if hours >= 48 else f"{hours:.1f} {_word('h', lang)}"


def _few(lines: list[str]) -> list[str]:
    return lines if len(lines) <= SHOWN_MAX else [*lines[:SHOWN_MAX], "  …"]


def _word(name: str, lang: Lang) -> str:
    return _WORDS[lang].get(name, name)
