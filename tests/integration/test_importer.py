"""Register books against a real journal: what fits goes in, once, however often and in whatever company it comes."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from events.calendar import CALENDAR_V1
from events.envelope import Event, case_subject, resident_subject
from events.offices import OFFICES
from events.receipt import case_id, receipt
from events.resident import CaseClaimed
from infra.group_commit import Change
from infra.journal_errors import JournalBusy
from infra.metrics import REGISTRY
from infra.nats_server import NatsServer
from services.command_handler import Done
from services.commands import Advance
from services.refusals import Refused
from services.register.book import BadRow, read
from services.register.chunk import Outcome
from services.register.importer import ChunkOutOfTurn
from tests.support import OFFICE, events, lossy_link
from tests.writing import Writer, are_stored, freezing_appends, resident, writing

DIRTY = Path(__file__).parents[1] / "data" / "dirty.csv"
FIRST = datetime(2016, 3, 1, 8, tzinfo=CALENDAR_V1.zone)
ALL = ("submitted", "recorded", "queued", "printed", "collected")
Row = tuple[int, list[str]]


@pytest.fixture
async def writer(server: NatsServer) -> AsyncIterator[Writer]:
    async with writing(server) as writer:
        yield writer


def rows(
    case: str, *happened: str, serial: int = 1, line: int = 2, day: int = 0, kind: str = "new", **other: str
) -> list[Row]:
    """A case's rows from `line` on, one hour after the other from `day` on; `other` cells as given."""
    made = []
    for index, event in enumerate(happened):
        at = (FIRST + timedelta(days=day, hours=index)).isoformat()
        reason = {"returned": "submitted: foto buram", "cancelled": "pindah"}.get(event, "")
        cells = {"case": case, "office": OFFICE, "kind": kind, "nik": resident(serial), "name": "Siti Rahayu", "sex": "F"}
        cells |= {"born": "", "event": event, "at": at, "actor": "petugas.1", "serial": "", "reason": reason} | other
        made.append((line + index, list(cells.values())))
    return made


def numbered(*parts: list[Row]) -> list[Row]:
    """These rows as they stand in one file."""
    return [(line, cells) for line, (_, cells) in enumerate((row for part in parts for row in part), 2)]


def told(outcome: Outcome) -> tuple[int, int, dict[int, str]]:
    """(added, already there, why each line was rejected)"""
    return outcome.added, outcome.already_there, {line: problem.code for line, problem in outcome.rejected}


async def history(writer: Writer, server: NatsServer, case: str) -> list[Event]:
    return await writer.journal.load(case_subject(OFFICE, case_id(receipt_of(server, case))))


def receipt_of(server: NatsServer, case: str) -> str:
    return receipt(server.folder.secret(), OFFICES[OFFICE], "case", case)


async def test_of_a_dirty_book_the_good_rows_go_in_once(server: NatsServer, writer: Writer) -> None:
    book = [(row.line, row.cells) for row in read(DIRTY) if not isinstance(row, BadRow)]
    first = told(await writer.importer.take("first", book))
    by_history = {line: code for line, code in first[2].items() if code in {"card_exists", "not_submitted"}}
    assert first[:2] == (7, 0)
    assert {line for line, _ in book} - first[2].keys() == {*range(2, 7), 8, 33}
    assert by_history == {43: "not_submitted", 49: "not_submitted", **dict.fromkeys((12, 17, 25, 54, 55, 57), "card_exists")}
    assert [line for line, code in first[2].items() if code == "earlier_row_rejected"] == [10, 11, 14, 44]
    assert len(first[2]) == 36
    found = await events(writer.journal)
    assert [event.name for event in found] == [*ALL, "submitted", "submitted", *["case_claimed"] * 3]
    again = told(await writer.importer.take("second", book))
    assert again == (0, 7, first[2])
    async with writing(server) as restarted:
        assert told(await restarted.importer.take("third", book)) == again
        assert await restarted.journal.last_seq() == len(found)


async def test_a_row_with_other_content_differs_and_only_what_stands_behind_it_is_rejected_with_it(writer: Writer) -> None:
    assert told(await writer.importer.take("first", rows("A", *ALL))) == (5, 0, {})
    changed = [*rows("A", *ALL)[:2], *rows("A", *ALL, serial=1, actor="petugas.2")[2:]]
    assert told(await writer.importer.take("second", changed)) == (
        *(0, 2),
        {4: "row_differs", 5: "earlier_row_rejected", 6: "earlier_row_rejected"},
    )
    bad = rows("B", *ALL, serial=2, line=10)
    bad[2][1][8] = "not a time"
    assert told(await writer.importer.take("third", bad)) == (
        *(2, 0),
        {12: "bad_time", 13: "earlier_row_rejected", 14: "earlier_row_rejected"},
    )
    mended = rows("B", *ALL, serial=2, line=10)
    assert told(await writer.importer.take("fourth", mended)) == (3, 2, {})


async def test_a_case_may_be_spread_over_chunks_and_stays_rejected_within_its_run(
    server: NatsServer, writer: Writer
) -> None:
    book = numbered(*(rows(case, *ALL, serial=serial) for serial, case in enumerate("ABC", 1)))
    book[1][1][6] = "1990-01-01"  # A's second row: not what the NIK says
    interleaved = [[row for row in book if (row[0] - 2) % 5 == event] for event in range(5)]
    answers = [told(await writer.importer.take("run", chunk)) for chunk in interleaved]
    assert answers == [
        (3, 0, {}),
        (2, 0, {3: "born_disagrees"}),
        *((2, 0, {line: "earlier_row_rejected"}) for line in (4, 5, 6)),
    ]
    assert [len(await history(writer, server, case)) for case in "ABC"] == [1, 5, 5]
    # another run knows nothing of it
    assert told(await writer.importer.take("other run", interleaved[2])) == (0, 2, {4: "stage_skipped"})


@pytest.mark.parametrize("chunk_rows", [500, 5, 1])
async def test_a_resident_may_have_two_cases_one_after_the_other(
    server: NatsServer, writer: Writer, chunk_rows: int
) -> None:
    book = numbered(
        rows("A", *ALL),  # lines 2 to 6
        rows("B", "submitted", "queued", day=1, kind="lost"),  # 7, 8
        rows("C", "submitted", day=2, kind="damaged"),  # 9: B is open
        rows("B", "printed", "collected", day=3, kind="lost"),  # 10, 11
        rows("D", "submitted", day=4),  # 12: new, though a card was printed
        rows("E", "submitted", day=5, kind="moved_in"),  # 13
    )
    chunks = [book[first : first + chunk_rows] for first in range(0, len(book), chunk_rows)]
    answers = [told(await writer.importer.take("run", chunk)) for chunk in chunks]
    assert sum(added for added, _, _ in answers) == 10
    assert {line: code for _, _, rejected in answers for line, code in rejected.items()} == {
        9: "case_open",
        12: "card_exists",
    }
    person = writer.keystore.resident(resident(1))
    assert person
    claims = await writer.journal.load(resident_subject(person))
    assert [(claim.version, claim.fact.case) for claim in claims if isinstance(claim.fact, CaseClaimed)] == [
        (version, case_id(receipt_of(server, case))) for version, case in enumerate("ABE", 1)
    ]
    again = [told(await writer.importer.take("again", chunk)) for chunk in chunks]
    assert (sum(added for added, _, _ in again), sum(there for _, there, _ in again)) == (0, 10)


async def test_a_row_of_an_erased_person_is_there_already_and_makes_no_new_one(writer: Writer) -> None:
    await writer.importer.take("first", rows("A", *ALL))
    person = writer.keystore.resident(resident(1))
    assert person
    writer.keystore.destroy(person)
    assert told(await writer.importer.take("second", rows("A", *ALL))) == (0, 5, {})
    assert writer.keystore.resident(resident(1)) is None


def mixed_book() -> list[Row]:
    """100 cases, every tenth with a bad row in its midst."""
    book = numbered(*(rows(f"C{serial}", *ALL, serial=serial) for serial in range(1, 101)))
    for line, cells in book:
        if line % 50 == 4:
            cells[8] = "not a time"
    return book


async def test_a_chunk_whose_answer_was_lost_is_stored_once_and_may_be_sent_again(writer: Writer) -> None:
    book = mixed_book()
    added, there, rejected = told(await writer.importer.take("run", book))
    assert (added, there, len(rejected)) == (470, 0, 30)
    # whoever did not hear it sends the chunk again, in the same run: good rows before a bad one are no worse for it
    assert told(await writer.importer.take("run", book)) == (0, 470, rejected)
    assert len(await events(writer.journal)) == 570


@pytest.mark.parametrize("how", ["drop", "cut"])
async def test_a_chunk_whose_acknowledgement_was_lost_is_found_in_the_journal(server: NatsServer, how: str) -> None:
    async with lossy_link(server) as (link, url), writing(server, url, request_s=0.5) as writer:
        link.how = "cut" if how == "cut" else "drop"
        link.to_lose = 1
        assert told(await writer.importer.take("run", mixed_book()))[:2] == (470, 0)
        assert len(link.lost) == 1
        assert len(await events(writer.journal)) == 570
        assert told(await writer.importer.take("again", mixed_book()))[:2] == (0, 470)
        assert await writer.journal.last_seq() == 570


async def test_a_chunk_of_unknown_outcome_is_stored_once(server: NatsServer) -> None:
    async with writing(server, request_s=0.5, append_s=2) as writer:
        with freezing_appends(server, writer) as subjects, pytest.raises(JournalBusy) as busy:
            await writer.importer.take("run", mixed_book())
        assert busy.value.stored == "unknown"
        await are_stored(writer, subjects)
        assert told(await writer.importer.take("run", mixed_book()))[:2] == (0, 470)
        assert len(await events(writer.journal)) == 570


@pytest.mark.parametrize("first", ["the desk", "the book"])
async def test_the_desk_and_a_book_may_take_up_the_same_cases_at_once(
    server: NatsServer, writer: Writer, first: str
) -> None:
    cases = [f"C{serial}" for serial in range(1, 41)]
    await writer.importer.take("run", numbered(*(rows(case, "submitted", serial=n) for n, case in enumerate(cases, 1))))
    book = numbered(*(rows(case, *ALL[:3], serial=n) for n, case in enumerate(cases, 1)))

    async def desk(case: str) -> Done | Refused:
        command = Advance(command="record", receipt=receipt_of(server, case))
        try:
            return await writer.handler.handle(command, case)
        except Refused as refused:
            return refused

    conflicts = conflict_count()
    at_desk = [desk(case) for case in cases[::2]]
    if first == "the desk":
        answers = await asyncio.gather(*at_desk, writer.importer.take("run", book))
    else:
        taking = asyncio.create_task(writer.importer.take("run", book))
        while not writer.importer._storing.locked():
            await asyncio.sleep(0)
        answers = await asyncio.gather(taking, *at_desk)
    assert conflict_count() > conflicts  # they did meet
    (outcome,) = [answer for answer in answers if isinstance(answer, Outcome)]
    done = [answer for answer in answers if isinstance(answer, Done)]
    refused = [answer.code for answer in answers if isinstance(answer, Refused)]
    assert (len(done), len(refused)) == ((0, 20) if first == "the book" else (20, 0))
    assert set(refused) <= {"already_recorded"}
    assert outcome.added == 80 - 2 * len(done)
    reasons = {problem.code for _, problem in outcome.rejected}
    assert reasons == ({"before_previous", "earlier_row_rejected"} if done else set())  # the desk's is of today
    assert len(await events(writer.journal)) == 80 + outcome.added + len(done)
    for case in cases:
        names = [event.name for event in await history(writer, server, case)]
        assert names in (["submitted", "recorded"], ["submitted", "recorded", "queued"])


def conflict_count() -> float:
    return REGISTRY.get_sample_value("ektp_append_conflicts_total") or 0.0


async def test_a_chunk_sent_ahead_is_decided_on_top_of_the_one_that_is_being_stored(writer: Writer) -> None:
    chunks = [[row] for row in numbered(rows("A", *ALL))]
    sent = [writer.importer.take("run", chunk, number, ahead=number > 0) for number, chunk in enumerate(chunks)]
    assert [told(outcome) for outcome in await asyncio.gather(*sent)] == [(1, 0, {})] * len(ALL)
    assert len(await events(writer.journal)) == len(ALL) + 1


async def test_a_chunk_sent_ahead_waits_for_its_turn_where_the_one_before_was_not_taken(writer: Writer) -> None:
    first, second, third = ([row] for row in numbered(rows("A", *ALL[:3])))
    with pytest.raises(ChunkOutOfTurn):  # a writer that was started again knows nothing of the run
        await writer.importer.take("run", second, 1, ahead=True)
    await writer.importer.take("run", first, 0)
    with pytest.raises(ChunkOutOfTurn):
        await writer.importer.take("run", third, 2, ahead=True)
    assert told(await writer.importer.take("run", second, 1, ahead=True)) == (1, 0, {})


async def test_what_was_decided_on_top_of_a_chunk_that_failed_is_refused(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = ([row] for row in numbered(rows("A", *ALL[:2])))
    deciding = asyncio.Event()

    async def failing(*changes: Change) -> list[int]:
        await deciding.wait()
        raise JournalBusy(0, "nothing")

    with monkeypatch.context() as patch:
        patch.setattr(writer.store.commits, "append", failing)
        sent = [asyncio.create_task(writer.importer.take("run", first, 0))]
        sent += [asyncio.create_task(writer.importer.take("run", second, 1, ahead=True))]
        while not (writer.importer._deciding.locked() and writer.importer._storing._waiters):
            await asyncio.sleep(0)  # until the second was decided, too
        deciding.set()
        outcomes = await asyncio.gather(*sent, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [JournalBusy, ChunkOutOfTurn]
    assert await events(writer.journal) == []
    assert told(await writer.importer.take("run", first + second, 0)) == (2, 0, {})


async def test_where_a_desk_overtakes_a_chunk_the_one_sent_ahead_is_decided_again_too(
    server: NatsServer, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = rows("A", *ALL[:3], serial=1), rows("B", *ALL[:3], serial=2)
    await writer.importer.take("run", numbered(a[:1], b[:1]))
    append = writer.store.commits.append

    async def overtaken(*changes: Change) -> list[int]:
        monkeypatch.setattr(writer.store.commits, "append", append)
        await writer.handler.handle(Advance(command="record", receipt=receipt_of(server, "A")), "desk")
        return await append(*changes)

    monkeypatch.setattr(writer.store.commits, "append", overtaken)
    conflicts = conflict_count()
    first, second = numbered(a[1:2], b[1:2]), [(line + 10, cells) for line, cells in numbered(a[2:], b[2:])]
    sent = writer.importer.take("run", first, 1, ahead=True), writer.importer.take("run", second, 2, ahead=True)
    assert [told(outcome) for outcome in await asyncio.gather(*sent)] == [
        (1, 0, {2: "before_previous"}),  # the desk's is of today
        (1, 0, {12: "earlier_row_rejected"}),
    ]
    assert conflict_count() > conflicts
    assert [event.name for event in await history(writer, server, "B")] == ["submitted", "recorded", "queued"]
