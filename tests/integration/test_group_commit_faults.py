"""Appending to a server that freezes, dies or comes back with an older journal: nobody is told what is not so."""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.journal_errors import Conflict, JournalBusy, JournalDamaged
from infra.nats_server import NatsServer, start
from tests.history import History
from tests.support import change, events, frozen, kill, stored, subject


@pytest.fixture
async def hasty(journal: Journal) -> AsyncIterator[GroupCommit]:
    """Appends whose callers wait for a second at most."""
    journal.timeout_s = 0.4
    async with GroupCommit(journal, timeout_s=1) as commits:
        yield commits


async def test_a_frozen_server_is_busy_within_the_bound_and_no_event_comes_twice(
    server: NatsServer, journal: Journal, hasty: GroupCommit
) -> None:
    async with frozen(server):
        began = time.monotonic()
        sent = asyncio.create_task(hasty.append(change("sent")))
        await asyncio.sleep(0.1)  # it is on its way; the others wait for it
        waiting = [asyncio.create_task(hasty.append(change(f"c{number}"))) for number in range(20)]
        told = await asyncio.gather(sent, *waiting, return_exceptions=True)
        assert 1 <= time.monotonic() - began < 1.5
        assert [type(outcome) for outcome in told] == [JournalBusy] * 21
        assert [outcome.stored for outcome in told if isinstance(outcome, JournalBusy)] == ["unknown"] + ["nothing"] * 20
    with pytest.raises(Conflict, match="nothing was stored"):  # the first came through, and the second is another event
        await hasty.append(change("sent"))
    assert [one.subject for one in await stored(journal)] == [subject("sent")]
    positions = await asyncio.gather(*(hasty.append(change(f"c{number}")) for number in range(20)))
    assert sorted(positions) == [[seq] for seq in range(2, 22)]
    assert len(await events(journal)) == 21


async def test_a_short_freeze_is_waited_for(server: NatsServer, journal: Journal) -> None:
    journal.timeout_s = 0.2
    async with GroupCommit(journal, timeout_s=10) as commits:
        async with frozen(server):
            appends = [asyncio.create_task(commits.append(change(f"c{number}"))) for number in range(30)]
            await asyncio.sleep(0.9)  # four times longer than one request waits
            assert not any(append.done() for append in appends)
        positions = await asyncio.gather(*appends)
    assert {event.entity_id: [event.seq] for event in await events(journal)} == {
        f"c{number}": position for number, position in enumerate(positions)
    }


async def test_a_killed_server_loses_no_acknowledged_event_and_gets_none_late(
    server: NatsServer, journal: Journal, hasty: GroupCommit
) -> None:
    history, numbers, going_on = History(), count(), True

    async def desk() -> None:
        while going_on:
            case = f"c{next(numbers)}"
            await history.append(hasty, change(case), change(f"claim-{case}"))

    async def until_500_more() -> None:
        done = len(history.calls) + 500
        while len(history.calls) < done:
            await asyncio.sleep(0.002)

    desks = [asyncio.create_task(desk()) for _ in range(24)]
    current = server
    for down_s in (0, 2.2):  # those who are on their way wait for a second, and then others who are not even sent
        await until_500_more()
        await kill(current)
        await asyncio.sleep(down_s)
        current = await start(server.folder, server.port)
    await until_500_more()
    going_on = False
    await asyncio.gather(*desks)

    assert history.findings(await stored(journal)) == []
    outcomes = Counter(call.outcome for call in history.calls)
    assert outcomes["nothing"] >= 24  # who waited while it was down
    assert outcomes["unknown"] <= 2 * 24
    await current.stop()


@pytest.mark.parametrize("appended_next", ["an old case", "a new case", "many at once"])
async def test_a_journal_that_became_shorter_gets_nothing_more(
    server: NatsServer, journal: Journal, commits: GroupCommit, tmp_path: Path, appended_next: str
) -> None:
    positions = await asyncio.gather(*(commits.append(change(f"c{number}")) for number in range(20)))
    await server.stop()
    shutil.copytree(server.folder.nats, tmp_path / "older")
    current = await start(server.folder, server.port)
    (last,) = await commits.append(change("c7", positions[7][0], first=2))
    await current.stop()
    shutil.rmtree(server.folder.nats)
    shutil.copytree(tmp_path / "older", server.folder.nats)
    current = await start(server.folder, server.port)
    try:
        assert (last, await journal.last_seq()) == (21, 20)  # the fault is there
        next_ = {
            "an old case": [change("c7", last, first=3)],
            "a new case": [change("new")],
            "many at once": [change("c7", last, first=3), *(change(f"n{number}") for number in range(50))],
        }[appended_next]
        told = await asyncio.gather(*(commits.append(one) for one in next_), return_exceptions=True)
        assert [type(outcome) for outcome in told] == [JournalDamaged] * len(next_)
        with pytest.raises(JournalDamaged):
            await commits.append(change("later"))
        assert await journal.last_seq() == 20
    finally:
        await current.stop()
