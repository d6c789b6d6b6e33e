"""What an external table of coverage says that disagrees with itself or with the log. Pure: text in, disagreements out.

A row without office is the printed total. An empty cell says nothing, and a row without any figure is a remark.
"""

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

from events.offices import OFFICES, office
from events.problem import Problem

COLUMNS = ("obliged", "recorded", "printed", "not_yet_recorded")
_COUNTED_BY_THE_LOG = ("recorded", "printed")  # who is obliged, and so who is not yet recorded, comes from elsewhere
_FIGURE = re.compile(r"[0-9]{1,12}|[0-9]{1,3}([., ][0-9]{3}){1,3}")  # 28557, or as printed: 28.557
_NAME_CHARS_MAX = 60
Rule = Literal["total_is_sum", "obliged_minus_recorded", "printed_above_recorded", "differs_from_log"]


@dataclass(eq=False)
class TableNotText(Problem):
    """Not a CSV in UTF-8; nothing was compared."""

    code: ClassVar[str] = "table_not_text"
    sentence_id: ClassVar[str] = "Tabel ini bukan CSV UTF-8; tidak ada yang dibandingkan. Simpan sebagai CSV UTF-8."
    sentence_en: ClassVar[str] = "This table is not CSV in UTF-8; nothing was compared. Save it as CSV UTF-8."


@dataclass(eq=False)
class TableWrongHeader(Problem):
    """The first row does not name each of these columns once; nothing was compared."""

    wrong: str  # missing, or there twice
    code: ClassVar[str] = "table_wrong_header"
    sentence_id: ClassVar[str] = (
        "Baris pertama tabel harus memuat kolom {wrong} tepat sekali; tidak ada yang dibandingkan. Betulkan baris pertama."
    )
    sentence_en: ClassVar[str] = (
        "The table's first row must name {wrong} exactly once; nothing was compared. Put the first row right."
    )


@dataclass(eq=False)
class TableWrongRow(Problem):
    """A row with more or fewer cells than the first; its figures may stand in the wrong columns."""

    line: int
    cells: int
    columns: int
    code: ClassVar[str] = "table_wrong_row"
    sentence_id: ClassVar[str] = (
        "Baris {line} tabel berisi {cells} sel, seharusnya {columns}; tidak ada yang dibandingkan. Periksa tanda pemisahnya."
    )
    sentence_en: ClassVar[str] = (
        "Line {line} of the table has {cells} cells instead of {columns}; nothing was compared. Check its separators."
    )


@dataclass(eq=False)
class TableNotAFigure(Problem):
    """A cell that should hold a count, and does not. What stands there is not shown."""

    line: int
    column: str
    code: ClassVar[str] = "table_not_a_figure"
    sentence_id: ClassVar[str] = (
        "Baris {line} tabel, kolom {column}: bukan bilangan; tidak ada yang dibandingkan. Tulis 28557 atau kosongkan."
    )
    sentence_en: ClassVar[str] = (
        "Line {line} of the table, {column}: not a count; nothing was compared. Write 28557 or leave it empty."
    )


@dataclass(eq=False)
class TableRowTwice(Problem):
    """A second row of one office, or a second total."""

    line: int
    row: str  # office code, or `total`
    code: ClassVar[str] = "table_row_twice"
    sentence_id: ClassVar[str] = (
        "Baris {line} tabel: {row} sudah ada di atasnya; tidak ada yang dibandingkan. Sisakan satu baris."
    )
    sentence_en: ClassVar[str] = "Line {line} of the table: {row} stands there already; nothing was compared. Keep one row."


class TableRow(NamedTuple):
    """What the table says of an office, or in total."""

    office: str | None
    district: str  # as printed
    says: Mapping[str, int | None]  # by column


class Table(NamedTuple):
    rows: list[TableRow]
    total: TableRow | None


@dataclass(frozen=True)
class Disagreement:
    """`says` stands in the table, `adds_up_to` follows from elsewhere. No office: it is the total."""

    office: str | None
    district: str
    column: str
    rule: Rule
    says: int
    adds_up_to: int
    difference: int


def read_table(content: bytes) -> Table:
    """The table in a CSV file, separated by , or ; as its first row is. Raises the problems above, and UnknownOffice."""
    try:
        text = content.decode("utf-8-sig")
        delimiter = ";" if text.partition("\n")[0].count(";") else ","
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        lines = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except (UnicodeDecodeError, csv.Error):
        raise TableNotText from None
    header = lines[0][1] if lines else []
    if wrong := [column for column in ("office", *COLUMNS) if header.count(column) != 1]:
        raise TableWrongHeader(", ".join(wrong))
    found: dict[str | None, TableRow] = {}
    for line, cells in lines[1:]:
        if len(cells) != len(header):
            raise TableWrongRow(line, len(cells), len(header))
        row = _row(line, dict(zip(header, cells, strict=True)))
        if all(figure is None for figure in row.says.values()):
            continue
        if row.office in found:
            raise TableRowTwice(line, row.office or "total")
        found[row.office] = row
    total = found.pop(None, None)
    return Table(list(found.values()), total)


def disagreements(table: Table, coverage: Mapping[str, Any]) -> list[Disagreement]:
    """By rule, and within each as the table's rows stand. `coverage`: the document of all offices."""
    log = {row["office"]: row for row in coverage["rows"]}
    every = [*table.rows, *([table.total] if table.total else [])]
    found: list[Disagreement] = []

    def compare(row: TableRow, column: str, rule: Rule, adds_up_to: int | None) -> None:
        says = row.says[column]
        if says is not None and adds_up_to is not None and says != adds_up_to:
            difference = says - adds_up_to
            found.append(Disagreement(row.office, row.district, column, rule, says, adds_up_to, difference))

    if table.total and table.rows:
        for column in COLUMNS:
            compare(table.total, column, "total_is_sum", _sum([row.says[column] for row in table.rows]))
    for row in every:
        recorded = row.says["recorded"]
        not_yet = None if recorded is None or row.says["obliged"] is None else row.says["obliged"] - recorded
        compare(row, "not_yet_recorded", "obliged_minus_recorded", not_yet)
    for row in every:
        printed, recorded = row.says["printed"], row.says["recorded"]
        if printed is not None and recorded is not None and printed > recorded:
            compare(row, "printed", "printed_above_recorded", recorded)
    offices = [row.office for row in table.rows if row.office] or list(log)  # what the table's total is the total of
    for row in every:
        for column in _COUNTED_BY_THE_LOG:
            counted = sum(log[code][column] for code in ([row.office] if row.office else offices))
            compare(row, column, "differs_from_log", counted)
    return found


def _row(line: int, cells: dict[str, str]) -> TableRow:
    code = office(cells["office"]).code if cells["office"] else None
    district = cells.get("district") or cells.get("district_as_printed") or (OFFICES[code].district if code else "total")
    shown = "".join(char if char.isprintable() else "?" for char in district[:_NAME_CHARS_MAX])
    return TableRow(code, shown, {column: _figure(line, column, cells[column]) for column in COLUMNS})


def _figure(line: int, column: str, cell: str) -> int | None:
    if cell and not _FIGURE.fullmatch(cell):
        raise TableNotAFigure(line, column)
    return int(re.sub("[., ]", "", cell)) if cell else None


def _sum(figures: list[int | None]) -> int | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) if len(known) == len(figures) else None
