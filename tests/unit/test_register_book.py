"""Reading register books: whatever stands in the file, good rows are read and bad ones named."""

import csv
import io
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.register.book import ROW_BYTES_MAX, BadRow, BookEmpty, BookUnreadable, RawRow, WrongHeader, read
from services.register.rejections import RowRejected
from services.register.row import COLUMNS, check

DATA = Path(__file__).parents[1] / "data"
HEADER = ",".join(COLUMNS).encode()
NIK = "3672030105909001"
GOOD = f"PM/1,367203,new,{NIK},Budi,M,1990-05-01,submitted,2014-03-03T08:00:00+07:00,petugas.1,,".encode()
ACCEPTED = {
    "dirty.csv": {*range(2, 7), 8, 10, 11, 12, 14, 17, 25, 33, 43, 44, 49, 54, 55, 57},
    "dirty_semicolon.csv": {3, 4, 8, 11},
}
REJECTED = {
    "dirty.csv": {
        **{9: "sex_disagrees", 16: "bad_encoding", 18: "wrong_columns", 19: "wrong_columns"},
        **{20: "invalid_nik", 21: "invalid_nik", 22: "invalid_nik", 23: "in_future", 24: "unknown_office"},
        **{26: "unknown_kind", 27: "unknown_event", 28: "bad_time", 29: "bad_time", 30: "born_disagrees"},
        **{31: "born_disagrees", 32: "under_age", 34: "bad_actor", 35: "serial_too_long", 36: "reason_too_long"},
        **{37: "bad_name", 38: "bad_name", 39: "bad_case", 40: "bad_case", 41: "bad_character", 45: "bad_return"},
        **{46: "bad_return", 47: "reason_missing", 48: "reason_missing", 50: "bad_quoting", 51: "bad_quoting"},
        **{52: "row_too_long", 53: "unclosed_quote", 56: "unclosed_quote"},
    },
    "dirty_semicolon.csv": {5: "wrong_columns", 6: "bad_encoding", 7: "in_future", 10: "unclosed_quote"},
}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("books") / "book.csv"


def rows_of(book: Path, content: bytes) -> list[RawRow | BadRow]:
    book.write_bytes(content)
    return list(read(book))


def verdict(row: RawRow | BadRow) -> str:
    try:
        if isinstance(row, BadRow):
            raise row.why
        check(row.cells, datetime(2016, 1, 1, tzinfo=UTC))
    except RowRejected as why:
        return why.code
    return "accepted"


@pytest.mark.parametrize("name", ["dirty.csv", "dirty_semicolon.csv"])
def test_of_a_dirty_book_each_bad_row_is_named_with_its_line_and_every_good_row_is_read(name: str) -> None:
    verdicts = {row.line: verdict(row) for row in read(DATA / name)}
    assert verdicts == REJECTED[name] | dict.fromkeys(ACCEPTED[name], "accepted")


def test_a_row_over_several_lines_is_one_row_with_plain_newlines() -> None:
    rows = {row.line: row.cells for row in read(DATA / "dirty.csv")}
    assert (rows[12][4], rows[12][11]) == ('Ibu "Ani", S.Pd', "Dua baris:\nlihat berkas")


def test_columns_in_another_order_come_out_in_ours() -> None:
    first = next(read(DATA / "dirty_semicolon.csv"))
    assert first.cells == (
        *("GR/1", "367205", "new", NIK, "Budi, S.E.", "M", "1990-05-01"),
        *("submitted", "2015-01-05T08:00:00+07:00", "petugas.1", "", ""),
    )


def test_the_position_ends_at_the_size_of_the_file() -> None:
    assert [row.position for row in read(DATA / "dirty.csv")][-1] == (DATA / "dirty.csv").stat().st_size


@pytest.mark.parametrize(
    "damaged", [GOOD[:-1] + b',"open', GOOD.replace(b"Budi", b"Ren\xe9"), GOOD + b",more", GOOD.replace(b"Budi", b"Bu\0di")]
)
def test_of_a_row_that_cannot_be_read_the_case_still_can(book: Path, damaged: bytes) -> None:
    bad, good = rows_of(book, HEADER + b"\n" + damaged + b"\n" + GOOD)
    assert isinstance(bad, BadRow)
    assert bad.cells[:4] == good.cells[:4]
    assert len(bad.cells) == len(COLUMNS)


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (b'"x' * 2_000_000, "row_too_long"),
        (GOOD[:-1] + b',"open' + b"\nx" * 20_000, "unclosed_quote"),
        (GOOD[:-1] + b',"' + b"x\n" * ROW_BYTES_MAX + b'"', "unclosed_quote"),
        (GOOD[:-1] + b',"\n' + b"x" * ROW_BYTES_MAX + b'"' + b"x" * ROW_BYTES_MAX, "unclosed_quote"),
    ],
    ids=["endless line", "never closed", "closed too late", "closed in an endless line"],
)
def test_damage_without_end_takes_no_memory_and_ends_nothing(book: Path, damage: bytes, code: str) -> None:
    book.write_bytes(b"\n".join((HEADER, damage, GOOD)))
    tracemalloc.start()
    first, *_, last = (verdict(row) for row in read(book))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (first, last) == (code, "accepted")
    assert peak < 100 * ROW_BYTES_MAX


@pytest.mark.parametrize(
    ("header", "missing", "unknown"),
    [
        (HEADER.replace(b",sex", b""), "sex", "-"),
        (HEADER.replace(b"name", b"nama"), "name", "'nama'"),
        (HEADER + b",case", "-", "'case'"),
        (HEADER.replace(b",", b"\t"), ", ".join(COLUMNS), "?"),
        (HEADER.decode().encode("utf-16"), ", ".join(COLUMNS), "?"),
    ],
)
def test_a_wrong_header_is_told_by_what_is_missing_or_unknown(book: Path, header: bytes, missing: str, unknown: str) -> None:
    with pytest.raises(WrongHeader) as told:
        rows_of(book, header + b"\n" + GOOD)
    assert (told.value.missing, told.value.unknown) == (missing, unknown)


def test_a_book_without_header_does_not_show_its_first_row(book: Path) -> None:
    with pytest.raises(WrongHeader) as told:
        rows_of(book, GOOD)
    assert not any(secret in str(told.value.document()) for secret in (NIK, "Budi"))


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\r\n  \n"])
def test_an_empty_book_is_said_to_be_empty(book: Path, content: bytes) -> None:
    with pytest.raises(BookEmpty):
        rows_of(book, content)


def test_a_missing_book_and_a_folder_are_said_to_be_unreadable(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.csv"):
        with pytest.raises(BookUnreadable):
            next(read(path))


CELL = st.text(st.characters(exclude_categories=("Cc", "Cs")) | st.sampled_from('\n\t",;'), max_size=40).map(str.strip)
ROW = st.tuples(*[CELL] * len(COLUMNS))


@given(st.lists(ROW, max_size=5), st.sampled_from(",;"), st.sampled_from(["\n", "\r\n"]), st.booleans())
@settings(max_examples=150, deadline=None)
def test_what_a_csv_writer_wrote_is_read_back(
    book: Path, rows: list[tuple[str, ...]], mark: str, end: str, bom: bool
) -> None:
    text = io.StringIO()
    csv.writer(text, delimiter=mark, lineterminator=end).writerows([COLUMNS, *rows])
    read_back = rows_of(book, text.getvalue().encode("utf-8-sig" if bom else "utf-8"))
    assert [row.cells for row in read_back if isinstance(row, RawRow)] == rows


SHREDS = st.sampled_from([b'"', b'""', b",", b";", b"\n", b"\r\n", b"\xff", b"\0", GOOD, b"x" * ROW_BYTES_MAX])


@given(st.lists(SHREDS | st.binary(max_size=8), max_size=25).map(b"".join))
@settings(max_examples=300, deadline=None)
def test_whatever_bytes_stand_between_the_good_rows_before_and_after_are_read(book: Path, damage: bytes) -> None:
    rows = rows_of(book, b"\n".join((HEADER, GOOD, damage, GOOD, GOOD)))
    assert [row.cells for row in (rows[0], *rows[-2:])] == [tuple(GOOD.decode().split(","))] * 3
    assert all(isinstance(row, RawRow) for row in (rows[0], *rows[-2:]))
