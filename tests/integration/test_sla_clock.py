"""Operations are told of each warning and each breach exactly once, whatever stops, doubles or kills the clock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, tzinfo
from multiprocessing import get_context
from pathlib import Path
from typing import Any, cast

import pytest

from events.envelope import subject
from events.rules import Rulebook
from events.sla import Breached, Warned
from events.stages import Kind
from infra import group_commit
from infra.data_folder import open_folder
from infra.database import open_sqlite
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.keystore import Keystore
from infra.nats_connection import connect
from infra.nats_server import NatsServer
from projections import sla
from projections.runner import Runner
from projections.views import Views
from services import sla_clock
from services.case_store import CaseStore
from services.commands import Advance, Submit
from services.office_handler import OfficeHandler
from services.outage import OutageBegin, OutageEnd
from services.question_service import Questions
from services.questions import AskDue
from services.rules_in_force import RulesInForce
from services.sla_clock import Due, SlaClock
from tests.support import OFFICE, damaged, events
from tests.timers import nov
from tests.writing import Writer, resident, writing

SECOND = timedelta(seconds=1)
RECORDING, ISSUANCE = ("recording 75", "recording 90", "recording 100"), ("issuance 75", "issuance 90", "issuance 100")
Ask = Callable[[datetime], Awaitable[tuple[list[Due], datetime | None]]]


class Clock:
    """A made-up one, which stands still until it is set."""

    def __init__(self) -> None:
        self.now = nov("25 07:30")

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sla_clock, "PAUSE_S_MAX", 0.02)  # it looks at the made-up clock often
    monkeypatch.setattr(group_commit, "datetime", recording_at(clock))
    return clock


def recording_at(now: Callable[[], datetime]) -> type[datetime]:
    """A datetime by which events are recorded at made-up times."""

    class Recording(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return now().astimezone(tz)

    return Recording


@pytest.fixture
async def writer(server: NatsServer, clock: Clock) -> AsyncIterator[Writer]:
    async with writing(server, now=clock) as writer:
        yield writer


@asynccontextmanager
async def following(server: NatsServer, file: Path) -> AsyncIterator[Ask]:
    """The reader's view, in the database at `file`, and its due table."""
    connection = await connect(server.folder, "reader", server.url)
    engine, journal = open_sqlite(file), Journal(connection)
    runner = Runner(journal, engine, Views(engine, [sla]))
    keystore = Keystore(server.folder.keys / "keystore.sqlite", server.folder.secret())
    questions = Questions(journal, engine, runner, keystore, server.folder.secret())

    async def due(now: datetime) -> tuple[list[Due], datetime | None]:
        answer = await questions.due(AskDue(now=now))
        return answer["cases"], answer["next"]

    task = asyncio.create_task(runner.run())
    yield due
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    keystore.close()
    engine.dispose()
    await connection.close()


@pytest.fixture
async def due(server: NatsServer, writer: Writer, tmp_path: Path) -> AsyncIterator[Ask]:
    async with following(server, tmp_path / "views.sqlite") as due:
        yield due


@asynccontextmanager
async def running(*clocks: SlaClock) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(clock.run()) for clock in clocks]
    yield
    assert not any(task.done() for task in tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def all_is_told(due: Ask, now: datetime) -> None:
    """Wait until there is nothing to tell any more at that instant."""
    async with asyncio.timeout(30):
        while (await due(now))[0]:
            await asyncio.sleep(0.02)


async def submitted(writer: Writer, *serials: int) -> list[str]:
    """The receipts of new cases."""
    asked = [Submit(office=OFFICE, nik=resident(serial), name="Siti Rahayu", kind=Kind.NEW) for serial in serials]
    return [(await writer.handler.handle(one, f"key {one.nik}")).receipt for one in asked]


async def told(journal: Journal) -> list[Warned | Breached]:
    """In the order of the journal, where no event's id is there twice."""
    return [event.fact for event in await events(journal) if isinstance(event.fact, Warned | Breached)]


def lines(facts: Sequence[Warned | Breached]) -> list[str]:
    """`recording 75`; 100: breached."""
    return [f"{fact.target} {fact.share if isinstance(fact, Warned) else 100}" for fact in facts]


async def test_each_is_told_when_it_is_due_and_once(writer: Writer, due: Ask, clock: Clock) -> None:
    await submitted(writer, 1)
    expected = list[str]()
    async with running(SlaClock(writer.store, writer.rules, clock, due)):
        for at, line in zip(
            ("25 14:07:30", "25 15:15", "25 16:00", "26 01:30", "26 05:06", "26 07:30"), (*RECORDING, *ISSUANCE), strict=True
        ):
            clock.now = nov(at) - SECOND
            await all_is_told(due, clock.now)
            assert lines(await told(writer.journal)) == expected
            clock.now = nov(at)
            await all_is_told(due, clock.now)
            expected.append(line)
            assert lines(await told(writer.journal)) == expected
    assert [fact.late for fact in await told(writer.journal)] == [False] * 6


async def test_what_is_done_in_time_is_told_to_nobody(writer: Writer, due: Ask, clock: Clock) -> None:
    (receipt,) = await submitted(writer, 1)
    async with running(SlaClock(writer.store, writer.rules, clock, due)):
        for command, at in (("record", "25 08:00"), ("queue", "25 09:00"), ("print", "25 10:00")):
            clock.now = nov(at)
            await writer.handler.handle(Advance.model_validate({"command": command, "receipt": receipt}), command)
        clock.now = nov("30 10:00")
        await all_is_told(due, clock.now)
    assert await due(nov("30 10:00") + timedelta(days=365)) == ([], None)
    assert await told(writer.journal) == []


async def test_after_a_standstill_what_fell_due_meanwhile_is_told_late_with_its_causes(
    server: NatsServer, writer: Writer, due: Ask, clock: Clock
) -> None:
    await submitted(writer, 1)
    offices = OfficeHandler(writer.store, server.folder.secret(), writer.rules, clock)
    clock.now = nov("26 04:00")
    await offices.outage(OutageBegin(office=OFFICE, cause="power", at=nov("25 10:00")), "begin")
    await offices.outage(OutageEnd(office=OFFICE, cause="power", at=nov("25 11:00")), "end")
    clock.now = nov("26 05:06")
    async with running(SlaClock(writer.store, writer.rules, clock, due)):
        await all_is_told(due, clock.now)
    facts = await told(writer.journal)
    assert lines(facts) == [*RECORDING, *ISSUANCE[:2]]
    assert [fact.late for fact in facts] == [True, True, True, True, False]
    assert [fact.elapsed["power"] for fact in facts] == [3600] * 5
    assert sum(facts[2].elapsed.values()) == (nov("25 16:00") - nov("25 07:30")) // SECOND


async def test_two_clocks_at_once_and_restarts_tell_each_once(
    server: NatsServer, writer: Writer, due: Ask, clock: Clock
) -> None:
    await submitted(writer, *range(1, 31))
    async with writing(server, now=clock) as other:
        for at in ("25 14:07:30", "25 16:00", "26 07:30"):
            clock.now = nov(at)
            clocks = [SlaClock(each.store, each.rules, clock, due) for each in (writer, other, writer)]
            async with running(*clocks):
                await all_is_told(due, clock.now)
    assert Counter(lines(await told(writer.journal))) == dict.fromkeys((*RECORDING, *ISSUANCE), 30)


async def test_a_clock_with_a_table_that_lags_tells_nothing_again(writer: Writer, due: Ask, clock: Clock) -> None:
    await submitted(writer, 1)
    clock.now = nov("25 16:00")
    stale, asked = await due(clock.now), 0

    async def lagging(now: datetime) -> tuple[list[Due], datetime | None]:
        nonlocal asked
        asked += 1
        return stale

    async with running(SlaClock(writer.store, writer.rules, clock, lagging)), asyncio.timeout(30):
        while asked < 5:
            await asyncio.sleep(0.01)
    assert stale[0]
    assert lines(await told(writer.journal)) == list(RECORDING)


def _tell_slowly(folder: Path, url: str, file: Path, now: datetime) -> None:
    """A process that is the clock, one case after the other."""
    sla_clock._AT_ONCE = 1
    group_commit.datetime = recording_at(lambda: now)  # type: ignore[attr-defined]

    async def main() -> None:
        server = NatsServer(open_folder(folder), int(url.rpartition(":")[2]), cast(Any, None))
        async with writing(server, now=lambda: now) as writer, following(server, file) as due:
            await SlaClock(writer.store, writer.rules, lambda: now, due).run()

    asyncio.run(main())


async def test_killed_in_the_middle_the_next_one_tells_the_rest_and_nothing_twice(
    server: NatsServer, writer: Writer, clock: Clock, tmp_path: Path
) -> None:
    receipts = await submitted(writer, *range(1, 151))
    clock.now = nov("25 16:00")
    file, expected = tmp_path / "views.sqlite", 3 * len(receipts)
    process = get_context("spawn").Process(target=_tell_slowly, args=(server.folder.path, server.url, file, clock.now))
    process.start()
    async with asyncio.timeout(60):
        while len(await told(writer.journal)) < expected // 10:
            await asyncio.sleep(0.01)
    process.kill()
    process.join()
    assert 0 < len(await told(writer.journal)) < expected, "it was not killed in the middle"
    async with following(server, file) as due, running(SlaClock(writer.store, writer.rules, clock, due)):
        await all_is_told(due, clock.now)
    assert Counter(lines(await told(writer.journal))) == dict.fromkeys(RECORDING, 150)


async def test_of_imported_history_nothing_is_told(writer: Writer, due: Ask, clock: Clock) -> None:
    def row(case: str, serial: int, at: str) -> list[str]:
        cells = [case, OFFICE, "new", resident(serial), "Siti Rahayu", "F", "", "submitted", at, "", "", ""]
        return list(map(str, cells))

    clock.now = nov("26 04:00")
    rows = [row("old", 1, "2026-03-02T08:00:00+07:00"), row("new", 2, "2026-11-25T07:30:00+07:00")]
    assert (await writer.importer.take("run", list(enumerate(rows, 2)))).added == 2
    async with running(SlaClock(writer.store, writer.rules, clock, due)):
        clock.now = nov("30 10:00")
        await all_is_told(due, clock.now)
    facts = await told(writer.journal)
    assert lines(facts) == list(ISSUANCE[1:])  # of the new case; 75 % and all of its recording were past when it came
    assert {fact.started for fact in facts} == {nov("25 07:30")}


async def test_a_case_that_cannot_be_read_does_not_keep_the_others_waiting(server: NatsServer, clock: Clock) -> None:
    async with writing(server, now=clock) as writer:
        await submitted(writer, 1, 2, 3)
        seqs = {event.entity_id: event.seq for event in await events(writer.journal) if event.name == "submitted"}
    clock.now = nov("25 16:00")
    first, *others = seqs
    async with damaged(server, seqs[first]) as journal, _on(journal, clock) as looking:
        assert await looking.tell_all([(OFFICE, case) for case in seqs]) == 3 * len(others)
        assert [len(await journal.load(subject(OFFICE, "sla", case))) for case in seqs] == [0, 3, 3]


@asynccontextmanager
async def _on(journal: Journal, clock: Clock) -> AsyncIterator[SlaClock]:
    """A clock that is told whom to look at."""

    async def nobody(now: datetime) -> tuple[list[Due], datetime | None]:
        raise AssertionError("not asked")

    async with GroupCommit(journal) as commits:
        store = CaseStore(journal, commits, cast(Any, None))
        yield SlaClock(store, RulesInForce(Rulebook()), clock, nobody)


async def test_the_clock_outlives_whatever_the_reader_answers(writer: Writer, clock: Clock, due: Ask) -> None:
    await submitted(writer, 1)
    clock.now, answers = nov("25 16:00"), iter((TimeoutError(), KeyError("next"), ValueError()))

    async def at_first_badly(now: datetime) -> tuple[list[Due], datetime | None]:
        if trouble := next(answers, None):
            raise trouble
        return await due(now)

    async with running(SlaClock(writer.store, writer.rules, clock, at_first_badly)):
        await all_is_told(due, clock.now)
    assert lines(await told(writer.journal)) == list(RECORDING)
