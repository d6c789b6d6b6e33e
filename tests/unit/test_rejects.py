"""The rejects file: for its owner alone, harmless in a spreadsheet, never where it could do damage."""

import csv
from pathlib import Path

import pytest

from services.register.book import read
from services.register.rejections import UnknownOffice, WrongColumns
from services.register.rejects_file import RejectsFile, RejectsMisplaced, RejectsUnwritable
from services.register.row import COLUMNS

DIRTY = Path(__file__).parents[1] / "data" / "dirty.csv"


def rejects(tmp_path: Path, name: str = "rejects.csv") -> RejectsFile:
    return RejectsFile(tmp_path / name, data=tmp_path / "data", book=tmp_path / "book.csv", lang="en")


def written(tmp_path: Path) -> list[list[str]]:
    with (tmp_path / "rejects.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, strict=True))


def test_a_row_stands_there_with_line_code_and_reason(tmp_path: Path) -> None:
    cells = next(read(DIRTY)).cells
    with rejects(tmp_path) as file:
        file.write(2, WrongColumns(9, 12), cells)
    assert written(tmp_path) == [
        ["line", "code", "reason", *COLUMNS],
        ["2", "wrong_columns", "This row has 9 cells instead of 12.", *cells],
    ]


def test_a_cell_that_a_spreadsheet_would_run_is_made_harmless(tmp_path: Path) -> None:
    cells = next(row for row in read(DIRTY) if row.line == 24).cells
    with rejects(tmp_path) as file:
        file.write(24, UnknownOffice(), cells)
        file.write(25, UnknownOffice(), ["=1", "+1", "-1", "@A", "\tx", "\rx", "'=1", "a=1", "a\nb", 'a"b', "", "é"])
    formula, others = written(tmp_path)[1:]
    assert (formula[7], formula[-1]) == ('\'=HYPERLINK("http://contoh.invalid","klik")', "'-2+3")
    assert others[3:] == ["'=1", "'+1", "'-1", "'@A", "'\tx", "'\rx", "'=1", "a=1", "a\nb", 'a"b', "", "é"]


def test_it_is_for_its_owner_alone_even_where_an_older_file_was_not(tmp_path: Path) -> None:
    (tmp_path / "rejects.csv").write_text("what an earlier import left\n" * 100)
    (tmp_path / "rejects.csv").chmod(0o644)
    with rejects(tmp_path):
        assert (tmp_path / "rejects.csv").stat().st_mode & 0o777 == 0o600
    assert written(tmp_path) == [["line", "code", "reason", *COLUMNS]]


@pytest.mark.parametrize(
    "place", ["data/rejects.csv", "elsewhere/../data/rejects.csv", "link/rejects.csv", "book.csv", "data", "pipe"]
)
def test_it_is_refused_below_the_data_folder_over_the_book_and_where_no_file_can_be(tmp_path: Path, place: str) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "pipe").symlink_to("/dev/null")
    (tmp_path / "book.csv").write_text("the book")
    with pytest.raises(RejectsMisplaced):
        rejects(tmp_path, place)
    assert (tmp_path / "book.csv").read_text() == "the book"
    assert not list((tmp_path / "data").iterdir())


def test_a_folder_that_is_not_there_is_said_in_plain_words(tmp_path: Path) -> None:
    with pytest.raises(RejectsUnwritable, match="No such file or directory"):
        rejects(tmp_path, "missing/rejects.csv")
