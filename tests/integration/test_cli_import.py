"""Register books from the outside: the sample goes in, once however often it comes; what is bad is told and kept out."""

import csv
import hashlib
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from services.register.row import COLUMNS, ROWS_MAX
from tests.command import EKTP, PERSONAL, Up, ektp, files_that_show, head, running

SCALE, SEED = "0.002", "7"
STAGES = ("submitted", "recorded", "queued", "printed", "collected", "cancelled")
DIRTY, SEMICOLON = (Path(__file__).parents[1] / "data" / name for name in ("dirty.csv", "dirty_semicolon.csv"))
ACCEPTED = 7  # of dirty.csv: PM/001 to its end, PM/002 and PM/021 submitted
# 36720301…001 has a card from PM/001 on, so that PM/003 and others like it are refused; the rest is wrong in itself
REJECTED = {
    **{9: "sex_disagrees", 10: "earlier_row_rejected", 11: "earlier_row_rejected", 12: "card_exists"},
    **{14: "earlier_row_rejected", 16: "bad_encoding", 17: "card_exists", 18: "wrong_columns", 19: "wrong_columns"},
    **{20: "invalid_nik", 21: "invalid_nik", 22: "invalid_nik", 23: "in_future", 24: "unknown_office", 25: "card_exists"},
    **{26: "unknown_kind", 27: "unknown_event", 28: "bad_time", 29: "bad_time", 30: "born_disagrees"},
    **{31: "born_disagrees", 32: "under_age", 34: "bad_actor", 35: "serial_too_long", 36: "reason_too_long"},
    **{37: "bad_name", 38: "bad_name", 39: "bad_case", 40: "bad_case", 41: "bad_character", 43: "not_submitted"},
    **{44: "earlier_row_rejected", 45: "bad_return", 46: "bad_return", 47: "reason_missing", 48: "reason_missing"},
    **{49: "not_submitted", 50: "bad_quoting", 51: "bad_quoting", 52: "row_too_long", 53: "unclosed_quote"},
    **{54: "card_exists", 55: "card_exists", 56: "unclosed_quote", 57: "card_exists"},
}


class Office(NamedTuple):
    """A running backbone that took over the sample, and then was asked to take it again."""

    data: Path
    book: Path
    after_sample: datetime

    @property
    def rows(self) -> list[dict[str, str]]:
        with self.book.open(newline="") as file:
            return list(csv.DictReader(file))


def sample(folder: Path, seed: str = SEED) -> Path:
    """The sample, piped to a file, by a user whose data folder is not there."""
    book = folder / f"sample-{seed}.csv"
    with book.open("wb") as out:
        command = [str(EKTP), "sample", "cilegon", "--scale", SCALE, "--seed", seed]
        subprocess.run(command, stdout=out, check=True, cwd=folder, env=os.environ | {"EKTP_DATA": "untouched"})
    return book


def counted(rows: Iterable[dict[str, str]]) -> dict[str, int]:
    """How many cases stand in each stage when these rows have happened."""
    stages = Counter({row["case"]: row["event"] for row in rows}.values())
    return {stage: stages[stage] for stage in STAGES}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("import") / "data") as up:
        yield up


@pytest.fixture(scope="module")
def office(up: Up) -> Office:
    book = sample(up.data.parent)
    office = Office(up.data, book, datetime.now(UTC))
    first, count = ektp(up.data, "import", book), len(office.rows)
    assert first.code == 0
    seconds = first.document["seconds"]
    assert first.document == {
        "events_added": count,
        "events_already_there": 0,
        "rows_rejected": 0,
        "seconds": seconds,
        "events_per_second": pytest.approx(count / seconds),
    }
    assert 0 < seconds < 60
    return office._replace(after_sample=datetime.now(UTC))


def test_the_sample_is_the_same_for_the_same_seed_and_leaves_no_trace(tmp_path: Path, office: Office) -> None:
    def digest(book: Path) -> str:
        return hashlib.sha256(book.read_bytes()).hexdigest()

    assert digest(sample(tmp_path)) == digest(office.book) != digest(sample(tmp_path, "8"))
    assert {entry.name for entry in tmp_path.iterdir()} == {"sample-7.csv", "sample-8.csv"}


def test_a_reader_that_has_seen_enough_of_the_sample_is_no_error_worth_a_word() -> None:
    with subprocess.Popen(
        [EKTP, "sample", "cilegon", "--scale", "0.02"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as sampling:
        assert sampling.stdout is not None
        assert sampling.stderr is not None
        sampling.stdout.readline()
        sampling.stdout.close()
        assert sampling.stderr.read() == b""


def test_the_same_book_again_adds_nothing(office: Office) -> None:
    before = head(office.data)
    again = ektp(office.data, "import", office.book)
    assert again.code == 0
    assert (again.document["events_added"], again.document["events_already_there"]) == (0, len(office.rows))
    assert (again.document["rows_rejected"], again.document["events_per_second"]) == (0, 0)
    assert head(office.data) == before == len(office.rows) + sum(row["event"] == "submitted" for row in office.rows)


def test_replay_counts_what_the_sample_says(office: Office) -> None:
    everything = ektp(office.data, "replay", "--to", office.after_sample.isoformat()).document
    assert everything["stages"] == counted(office.rows)
    assert set(everything) == {"events", "seconds", "events_per_second", "stages"}
    assert everything["events_per_second"] == pytest.approx(everything["events"] / everything["seconds"])
    nothing = ektp(office.data, "replay", "--to", "2024-01-01").document  # by recorded time: all was recorded just now
    assert (nothing["events"], nothing["stages"]) == (0, dict.fromkeys(STAGES, 0))

    first = office.rows[:ROWS_MAX]  # the first chunk: its rows and its claims are one append
    seq = len(first) + sum(row["event"] == "submitted" for row in first)
    until = ektp(office.data, "replay", "--seq", seq).document
    assert (until["events"], until["stages"]) == (seq, counted(first))


def test_an_imported_case_is_found_by_its_register_number(office: Office) -> None:
    last = next(row for row in reversed(office.rows) if row["event"] == "collected")
    (receipt,) = ektp(office.data, "find", "--case", last["case"]).document["receipts"]
    assert ektp(office.data, "find", "--case", last["case"], "--office", last["office"]).document["receipts"] == [receipt]
    other = "367201" if last["office"] != "367201" else "367202"
    assert ektp(office.data, "find", "--case", last["case"], "--office", other).document["receipts"] == []
    status = ektp(office.data, "status", receipt).document
    assert (status["office"], status["stage"], status["since"]) == (last["office"], "collected", last["at"])
    rows = [row for row in office.rows if row["case"] == last["case"]]
    told = [(line["event"], line["occurred"], line["actor"]) for line in status["history"]]
    assert told == [(row["event"], row["at"], row["actor"]) for row in rows]
    one = ektp(office.data, "replay", "--case", receipt).document
    assert (one["events"], one["stages"]) == (len(rows), counted(rows))
    assert ektp(office.data, "replay", "--case", receipt, "--to", "2024-01-01").error == "unknown_receipt"


def test_bad_rows_are_told_by_line_code_and_reason_and_everything_else_goes_in(office: Office, tmp_path: Path) -> None:
    PERSONAL.update({"Budi", "Santoso", "Siti", "Aminah", "3672030105909001", "3672035708859002"})
    for rejects in ("data/rejects.csv", "data/run/../rejects.csv"):
        assert ektp(office.data, "import", DIRTY, "--rejects", office.data.parent / rejects).error == "rejects_misplaced"
    before = head(office.data)
    rejects_file = tmp_path / "rejects.csv"
    imported = ektp(office.data, "import", DIRTY, "--rejects", rejects_file)
    figures = [imported.document[name] for name in ("events_added", "events_already_there", "rows_rejected")]
    assert (imported.code, figures, imported.stderr) == (3, [ACCEPTED, 0, len(REJECTED)], "")
    assert head(office.data) == before + ACCEPTED + 3  # claims

    assert rejects_file.stat().st_mode & 0o777 == 0o600
    with rejects_file.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file, strict=True)
    assert header == ["line", "code", "reason", *COLUMNS]
    assert [(int(line), code) for line, code, *_ in rows] == list(REJECTED.items())
    cells = {int(row[0]): dict(zip(COLUMNS, row[3:], strict=True)) for row in rows}
    assert (cells[9]["name"], cells[9]["nik"], cells[9]["sex"]) == ("Siti Aminah", "3672035708859002", "M")
    formulas = (cells[24]["name"], cells[24]["reason"], cells[25]["name"], cells[34]["actor"])
    assert formulas == ('\'=HYPERLINK("http://contoh.invalid","klik")', "'-2+3", "'@SUM(A1:A9)", "'+62 812")
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)

    again = ektp(office.data, "import", DIRTY, lang="id")
    assert (again.code, again.document["events_already_there"], again.document["rows_rejected"]) == (3, ACCEPTED, 45)
    told = {
        int(line): (code, sentence) for line, code, sentence in (row.split(": ", 2) for row in again.stderr.splitlines())
    }
    assert [(line, code) for line, (code, _) in told.items()] == list(REJECTED.items())
    assert told[18] == ("wrong_columns", "Baris ini berisi 9 sel, seharusnya 12.")
    assert files_that_show(office.data) == []


def test_a_semicolon_book_in_another_order_of_columns_is_read_as_well(tmp_path: Path) -> None:
    with running(tmp_path / "data"):
        imported = ektp(tmp_path / "data", "import", SEMICOLON, json=False)
        (receipt,) = ektp(tmp_path / "data", "find", "--case", "GR/1").document["receipts"]
        assert ektp(tmp_path / "data", "status", receipt).document["stage"] == "recorded"
    assert imported.code == 3
    assert imported.stdout.startswith("added, already there, rejected: 2, 0, 6 (")
    rejected = [line.split(": ")[:2] for line in imported.stderr.splitlines()]
    wrong = {5: "wrong_columns", 6: "bad_encoding", 7: "in_future", 8: "case_open", 10: "unclosed_quote", 11: "case_open"}
    assert rejected == [[str(line), code] for line, code in wrong.items()]


def test_rows_that_do_not_fit_the_history_they_belong_to_are_rejected(office: Office, tmp_path: Path) -> None:
    def imported(*rows: str) -> list[str]:
        book = tmp_path / "book.csv"
        book.write_text("\n".join([",".join(COLUMNS), *rows]))
        return [line.split(": ")[1] for line in ektp(office.data, "import", book).stderr.splitlines()]

    def row(event: str, at: str, kind: str = "lost", nik: str = "3672035708750009", reason: str = "") -> str:
        return f"R/1,367203,{kind},{nik},Ratna Kusumawardhani,F,,{event},2016-05-0{at},petugas.1,,{reason}"

    begun = [
        row("submitted", "2 09:00"),
        row("queued", "3 09:00"),
        row("returned", "4 09:00", reason="submitted: foto buram"),
    ]
    assert imported(*begun) == []
    assert imported(row("submitted", "2 09:00"), row("queued", "3 09:00", reason="x")) == ["row_differs"]
    assert imported(row("recorded", "3 10:00"), row("recorded", "4 10:00")) == ["before_previous", "earlier_row_rejected"]
    assert imported(row("recorded", "4 10:00", kind="damaged")) == ["case_differs"]
    assert imported(row("recorded", "4 10:00", nik="3672035708750008")) == ["case_differs"]
    assert imported(row("printed", "4 10:00")) == ["stage_skipped"]
    assert imported(row("cancelled", "4 10:00", reason="pindah"), row("queued", "5 10:00")) == ["case_cancelled"]
    assert imported(*begun, row("cancelled", "4 10:00", reason="pindah")) == []


def test_a_file_that_is_no_register_book_is_refused_whole(office: Office, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("\n")
    (tmp_path / "other.csv").write_text("Ratna,3672035708750009\n")
    for book, code in (("none.csv", "book_unreadable"), ("empty.csv", "book_empty"), ("other.csv", "wrong_header")):
        assert ektp(office.data, "import", tmp_path / book).error == code
