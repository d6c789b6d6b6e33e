"""Reading a register book: a CSV file (RFC 4180), row by row, however long or damaged (contract: import CSV).

Memory stays constant, as no row is longer than ROW_BYTES_MAX. Damage costs the row it is in and no other: where quotes do
not add up only the first line is given up, so a quote that is never closed cannot swallow what stands behind it.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, ClassVar, Final, NamedTuple

from events.problem import Problem
from services.register import rejections
from services.register.rejections import RowRejected
from services.register.row import COLUMNS

ROW_BYTES_MAX: Final = 16 * 1024  # four times the longest row that could be accepted
_NAME_CHARS_SHOWN: Final = 40  # of a column that nobody knows
_BOM: Final = b"\xef\xbb\xbf"
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def _well_quoted(delimiter: bytes) -> re.Pattern[bytes]:
    """A whole row: cells free of quotes, or in quotes with each inner one doubled. Takes linear time on any bytes."""
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*"|[^"\n%b]*+)' % delimiter
    return re.compile(rb"%b(?:%b%b)*\r?\n?" % (cell, delimiter, cell))


_WELL_QUOTED: Final = {delimiter: _well_quoted(delimiter.encode()) for delimiter in ",;"}


@dataclass(eq=False)
class BookUnreadable(Problem):
    """The file is missing, a folder, not ours to read, or its disk fails; `why` is the system's word for it."""

    path: str
    why: str
    code: ClassVar[str] = "book_unreadable"
    sentence_id: ClassVar[str] = "Berkas {path} tidak dapat dibaca: {why}."
    sentence_en: ClassVar[str] = "The file {path} cannot be read: {why}."


@dataclass(eq=False)
class BookEmpty(Problem):
    """Nothing in it, not even a header."""

    path: str
    code: ClassVar[str] = "book_empty"
    sentence_id: ClassVar[str] = "Berkas {path} kosong. Tidak ada yang diimpor."
    sentence_en: ClassVar[str] = "The file {path} is empty. Nothing was imported."


@dataclass(eq=False)
class WrongHeader(Problem):
    """The first row does not name each column once and nothing else."""

    missing: str
    unknown: str
    columns: str = ",".join(COLUMNS)
    code: ClassVar[str] = "wrong_header"
    sentence_id: ClassVar[str] = (
        "Baris pertama harus memuat kolom {columns} (dipisah , atau ;) masing-masing sekali. "
        "Kurang: {missing}. Tidak dikenal atau ganda: {unknown}. Tidak ada yang diimpor."
    )
    sentence_en: ClassVar[str] = (
        "The first row must hold the columns {columns} (separated by , or ;), each once. "
        "Missing: {missing}. Unknown or twice: {unknown}. Nothing was imported."
    )


class RawRow(NamedTuple):
    """A row as it was written."""

    line: int  # the physical line where it begins, from 1
    position: int  # bytes of the file up to the end of the row, to show progress
    cells: tuple[str, ...]  # in the order of COLUMNS, without blanks around them


class BadRow(NamedTuple):
    """A row that cannot be read. `cells` is what could be made out: for the rejects file, and to guess its case."""

    line: int
    position: int
    cells: tuple[str, ...]  # as many and in the same order; what is too much stands in the file's last column
    why: RowRejected


def read(path: Path) -> Iterator[RawRow | BadRow]:
    """The rows of the book in their order, without blank lines.

    Raises, when the first row is asked for, BookUnreadable, BookEmpty or WrongHeader.
    """
    try:
        with path.open("rb") as book:
            delimiter, in_order, line, position = _header(book, path)
            for start, end, raw, misquoted in _rows(book, delimiter, line, position):
                cells, flaw = _cells(raw, delimiter)
                row, why = tuple(map(str.strip, in_order(cells))), misquoted or flaw
                yield BadRow(start, end, row, why) if why else RawRow(start, end, row)
    except OSError as error:
        raise BookUnreadable(str(path), error.strerror or type(error).__name__) from error


def _header(book: BinaryIO, path: Path) -> tuple[str, Callable[[list[str]], tuple[str, ...]], int, int]:
    """The delimiter, what puts a row's cells in the order of COLUMNS, and the lines and bytes read."""
    line = position = 0
    while raw := book.readline(ROW_BYTES_MAX):
        line, position = line + 1, position + len(raw)
        if text := raw.removeprefix(_BOM).decode(errors="replace").strip():
            break
    else:
        raise BookEmpty(str(path))
    delimiter = ";" if text.count(";") > text.count(",") else ","
    names = [name.strip().strip('"') for name in text.split(delimiter)]
    missing = [column for column in COLUMNS if column not in names]
    unknown = [name for index, name in enumerate(names) if name not in COLUMNS or name in names[:index]]
    if missing or unknown:
        # a first row with none of our columns is no header but somebody's data, which is not shown
        shown = [ascii(name[:_NAME_CHARS_SHOWN]) for name in unknown] if len(missing) < len(COLUMNS) else ["?"]
        raise WrongHeader(", ".join(missing) or "-", ", ".join(shown) or "-")
    return delimiter, itemgetter(*map(names.index, COLUMNS)), line, position


def _rows(book: BinaryIO, delimiter: str, line: int, position: int) -> Iterator[tuple[int, int, bytes, RowRejected | None]]:
    """First line, end, bytes and misquoting of each row behind the first `line` lines, `position` bytes."""
    ahead: deque[bytes] = deque()  # lines taken for the rest of a row and given back

    def next_line() -> bytes:
        return ahead.popleft() if ahead else book.readline(ROW_BYTES_MAX + 1)

    while raw := next_line():
        rest: list[bytes] = []
        why: RowRejected | None = None
        if len(raw) > ROW_BYTES_MAX:  # such a line is the last of `ahead`, so what follows it is still in the file
            why = rejections.RowTooLong(ROW_BYTES_MAX)
            position += _skip_line(book, raw)
        elif b'"' in raw:
            rest = _rest_of_row(raw, next_line)
            whole = raw + b"".join(rest)
            if len(whole) <= ROW_BYTES_MAX and _WELL_QUOTED[delimiter].fullmatch(whole):
                raw = whole
            else:
                why = rejections.UnclosedQuote() if raw.count(b'"') % 2 else rejections.BadQuoting()
                ahead.extend(rest)  # empty so far: of lines given back, only the last can leave a quote open
                rest = []
        start, line = line + 1, line + 1 + len(rest)
        position += len(raw)
        if why or not raw.isspace():
            yield start, position, raw, why


def _rest_of_row(raw: bytes, next_line: Callable[[], bytes]) -> list[bytes]:
    """The lines up to the one that closes a quote left open in `raw`; ends with the file or at ROW_BYTES_MAX."""
    rest, quotes, size = [], raw.count(b'"'), len(raw)
    while quotes % 2 and size <= ROW_BYTES_MAX and (line := next_line()):
        rest.append(line)
        quotes, size = quotes + line.count(b'"'), size + len(line)
    return rest


def _skip_line(book: BinaryIO, line: bytes) -> int:
    """Bytes that stood between this beginning of a line and its end."""
    skipped = 0
    while not line.endswith(b"\n") and (line := book.readline(ROW_BYTES_MAX)):
        skipped += len(line)
    return skipped


def _cells(raw: bytes, delimiter: str) -> tuple[list[str], RowRejected | None]:
    """As many cells as there are columns, in the file's order, and what is wrong with the row that they come from."""
    why: RowRejected | None = None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text, why = raw.decode(errors="replace"), rejections.BadEncoding()
    text = text.rstrip("\r\n")
    if not text.isprintable():  # a quick look that nearly every row passes
        text = text.replace("\r\n", "\n")
        if _CONTROL.search(text):
            text, why = _CONTROL.sub("\ufffd", text), why or rejections.BadCharacter()
    cells = next(csv.reader([text], delimiter=delimiter)) if '"' in text else text.split(delimiter)
    count, needed = len(cells), len(COLUMNS)
    if count != needed:
        why = why or rejections.WrongColumns(count, needed)
        cells = [*cells[: needed - 1], delimiter.join(cells[needed - 1 :]), *[""] * (needed - count)][:needed]
    return cells, why
