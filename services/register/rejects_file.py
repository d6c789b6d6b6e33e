"""The rejects file: which rows of a register book were not imported and why, with the rows themselves (contract: 3).

The one file that shows names and NIKs, hence for its owner's eyes alone, and never below the data folder. RFC 4180; a
cell that a spreadsheet would run as a formula begins with an apostrophe instead (OWASP: CSV injection).
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Final, Self

from events.problem import Lang, Problem
from services.register.row import COLUMNS

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(eq=False)
class RejectsMisplaced(Problem):
    """The rejects file would lie below the data folder, replace the book itself, or is no ordinary file."""

    path: str
    code: ClassVar[str] = "rejects_misplaced"
    sentence_id: ClassVar[str] = (
        "Berkas penolakan {path} harus berkas biasa, di luar folder data, dan bukan berkas yang diimpor. "
        "Pilih tempat lain; tidak ada yang diimpor."
    )
    sentence_en: ClassVar[str] = (
        "The rejects file {path} must be an ordinary file, outside the data folder, and not the imported file. "
        "Choose another place; nothing was imported."
    )


@dataclass(eq=False)
class RejectsUnwritable(Problem):
    """The rejects file cannot be written; `why` is the system's word for it."""

    path: str
    why: str
    code: ClassVar[str] = "rejects_unwritable"
    sentence_id: ClassVar[str] = "Berkas penolakan {path} tidak dapat ditulis: {why}."
    sentence_en: ClassVar[str] = "The rejects file {path} cannot be written: {why}."


class RejectsFile:
    """Open for one import, replacing what an earlier one left. Raises RejectsMisplaced or RejectsUnwritable."""

    def __init__(self, path: Path, data: Path, book: Path, lang: Lang) -> None:
        self._path, self._lang = path, lang
        try:
            fd = os.open(_place(path, data, book), os.O_WRONLY | os.O_CREAT, 0o600)
            self._file = os.fdopen(fd, "w", encoding="utf-8", newline="")
            os.fchmod(self._file.fileno(), 0o600)  # of a file that was there, before anything is in it
            self._file.truncate()
            self._rows = csv.writer(self._file)
            self._rows.writerow(("line", "code", "reason", *COLUMNS))
        except OSError as error:
            raise self._unwritable(error) from error

    def write(self, line: int, why: Problem, cells: Sequence[str]) -> None:
        """Add the row that began at `line`, in the order of COLUMNS. Raises RejectsUnwritable."""
        try:
            self._rows.writerow((line, why.code, why.message(self._lang), *map(_harmless, cells)))
        except OSError as error:
            raise self._unwritable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self._file.close()
        except OSError as full:
            raise self._unwritable(full) from error

    def _unwritable(self, error: OSError) -> RejectsUnwritable:
        return RejectsUnwritable(str(self._path), error.strerror or type(error).__name__)


def _place(path: Path, data: Path, book: Path) -> Path:
    """Where `path` really leads. Raises RejectsMisplaced."""
    place = path.resolve()
    if place.is_relative_to(data.resolve()) or place == book.resolve() or (place.exists() and not place.is_file()):
        raise RejectsMisplaced(str(path))
    return place


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell
