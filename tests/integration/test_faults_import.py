"""kill -9 in the middle of an import, at random moments: every row is there once, and nothing acknowledged is lost.

`make faults` kills each part five times during one import of a larger book, `make test` once: a tenth of what
tests/integration/test_faults_commands.py kills, since each kill needs some thousand rows.
"""

import csv
import os
import random
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from events.application import CaseFact
from events.offices import OFFICES
from events.receipt import case_id, receipt
from infra import journal_reader
from infra.data_folder import open_folder
from services.desk import Desk
from services.register.row import COLUMNS
from services.register.sample import cilegon
from tests.command import answered, begin, ektp, eventually, head, history, running
from tests.history import unlawful

KILLS = max(1, int(os.environ.get("EKTP_FAULT_KILLS", "10")) // 10)
SCALE = 0.003 * (KILLS + 1)  # about 3,600 rows for each kill, and as many beside


class Book(NamedTuple):
    """A register book and what stands in it."""

    path: Path
    rows: list[dict[str, str]]

    @property
    def events(self) -> int:
        """How many events the journal holds when it is imported: rows, and a claim for each submission."""
        return len(self.rows) + sum(row["event"] == "submitted" for row in self.rows)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    path = tmp_path_factory.mktemp("faults") / "book.csv"
    path.write_text("".join(cilegon(SCALE, 1)))
    with path.open(newline="") as file:
        return Book(path, list(csv.DictReader(file)))


def moments(book: Book) -> list[int]:
    """Journal positions at which to kill: random, in the middle of the import."""
    return sorted(random.sample(range(book.events // 20, book.events * 4 // 5), KILLS))


def under_way(data: Path, moment: int, book: Book) -> int:
    """The journal's head when it has come so far; the import is not yet complete."""

    def come_so_far() -> int:
        position = head(data)
        return position if position >= moment else 0

    position = eventually(come_so_far, 60)
    assert position < book.events, "killed too late to prove anything"
    return position


def assert_every_row_is_there_once(data: Path, book: Book) -> None:
    """By the journal itself: each case holds its rows in their order, with versions 1, 2, … and a claim; no id is twice."""
    secret = open_folder(data).secret()
    expected: dict[str, list[tuple[int, str, datetime]]] = defaultdict(list)
    for row in book.rows:
        case = case_id(receipt(secret, OFFICES[row["office"]], "case", row["case"]))
        expected[case].append((len(expected[case]) + 1, row["event"], datetime.fromisoformat(row["at"])))
    events = history(data)
    found: dict[str, list[tuple[int, str, datetime]]] = defaultdict(list)
    for event in events:
        if isinstance(event.fact, CaseFact):
            found[event.entity_id].append((event.version, event.name, event.occurred))
    assert found == expected
    assert unlawful(events) == []
    assert [event.seq for event in events] == list(range(1, book.events + 1))
    assert len({event.id for event in events}) == book.events
    stages = Counter({row["case"]: row["event"] for row in book.rows}.values())
    replayed = ektp(data, "replay").document["stages"]
    assert {stage: count for stage, count in replayed.items() if count} == stages


def assert_it_is_all_there_already(data: Path, book: Book) -> None:
    again = ektp(data, "import", book.path).document
    assert (again["events_added"], again["events_already_there"], again["rows_rejected"]) == (0, len(book.rows), 0)


@pytest.mark.parametrize("victim", ["nats-server", "writer", "ektp"])
def test_an_import_outlives_what_is_killed_under_it(tmp_path: Path, book: Book, victim: str) -> None:
    data = tmp_path / "data"
    with ExitStack() as stack:
        up = stack.enter_context(running(data))
        importing = begin(data, "import", book.path)
        for moment in moments(book):
            before = under_way(data, moment, book)
            if victim == "ektp":
                up.kill()
                up = stack.enter_context(running(data))
            else:
                up.part(victim).kill()
            assert eventually(lambda: head(data)) >= before
        imported = answered(importing).document
        assert imported["events_added"] + imported["events_already_there"] == len(book.rows)
        assert imported["rows_rejected"] == 0
        assert_every_row_is_there_once(data, book)
        assert_it_is_all_there_already(data, book)


def test_a_killed_import_is_taken_up_by_the_next_one(tmp_path: Path, book: Book) -> None:
    with running(tmp_path / "data") as up:
        for moment in moments(book):
            importing = begin(up.data, "import", book.path)
            under_way(up.data, moment, book)
            importing.kill()
            importing.communicate()
        there = head(up.data)
        imported = ektp(up.data, "import", book.path).document
        assert imported["events_already_there"] > 0
        assert imported["events_added"] + imported["events_already_there"] == len(book.rows)
        assert there + imported["events_added"] <= book.events
        assert_every_row_is_there_once(up.data, book)


def test_a_backbone_that_only_the_import_started_may_be_killed_with_it(tmp_path: Path, book: Book) -> None:
    data = tmp_path / "data"
    importing = begin(data, "import", book.path)
    before = under_way(data, moments(book)[0], book)
    importing.kill()
    importing.communicate()
    with running(data):
        assert head(data) >= before
        imported = ektp(data, "import", book.path).document
        assert imported["events_added"] + imported["events_already_there"] == len(book.rows)
        assert_every_row_is_there_once(data, book)


async def test_a_reader_of_history_goes_on_where_it_was_when_the_server_was_killed(
    tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_reader, "_AHEAD_MAX", journal_reader.BATCH_MAX)
    with running(tmp_path / "data") as up:
        assert ektp(up.data, "import", book.path).code == 0
        desk, seqs = Desk(open_folder(up.data)), list[int]()
        async for batch in desk.history(book.events):
            if not seqs:
                assert len(batch) < book.events  # the greater part is still to come
                up.part("nats-server").kill()
            seqs += [stored.seq for stored in batch]
        await desk.close()
    assert seqs == list(range(1, book.events + 1))


def test_a_rejected_case_stays_rejected_when_the_writer_that_rejected_it_is_killed(tmp_path: Path) -> None:
    def row(event: str, at: str, actor: str = "petugas.1", case: str = "X/1") -> str:
        return f"{case},367203,lost,3672035708750009,Ratna,F,,{event},2016-05-0{at},{actor},,\n"

    os.mkfifo(tmp_path / "book.csv")
    with running(tmp_path / "data") as up:
        importing = begin(up.data, "import", tmp_path / "book.csv")
        with (tmp_path / "book.csv").open("w") as writing:
            writing.write(",".join(COLUMNS) + "\n" + row("submitted", "2 09:00") + row("recorded", "3 09:00", "bukan kode"))
            writing.write("".join(row("recorded", "3 09:00", case=f"Y/{number}") for number in range(2_000)))
            writing.flush()
            assert eventually(lambda: head(up.data) == 2)
            up.part("writer").kill()
            writing.write(row("queued", "4 09:00"))
        imported = answered(importing)
        assert imported.document["events_added"] == 1
        assert imported.stderr.splitlines()[-1].startswith("2004: earlier_row_rejected: ")
        assert head(up.data) == 2
