"""Reading the journal in order: nothing is left out, nothing comes twice, and what cannot be read is named."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from statistics import median

import orjson
import pytest
from nats.aio.msg import Msg

from infra import journal_reader
from infra.group_commit import GroupCommit
from infra.journal import Journal, Stored
from infra.journal_errors import JournalDamaged
from infra.journal_reader import BATCH_MAX, read
from infra.nats_server import NatsServer, start
from tests.support import change, damaged, kill, subject


async def fill(commits: GroupCommit, count: int) -> None:
    """So many events, 1,000 to a case."""
    sizes = [min(1_000, count - first) for first in range(0, count, 1_000)]
    await asyncio.gather(*(commits.append(change(f"c{number}", count=size)) for number, size in enumerate(sizes)))


async def seqs(journal: Journal, after: int, until: int | None) -> list[int]:
    return [stored.seq async for batch in read(journal, after, until) for stored in batch]


async def follow(batches: AsyncIterator[list[Stored]], positions: list[int], to: int) -> None:
    while not positions or positions[-1] < to:
        positions += [stored.seq for stored in await anext(batches)]


async def until_damage(journal: Journal, after: int, until: int | None = None) -> tuple[list[int], JournalDamaged]:
    """What was read before the reader stopped, and with what."""
    positions: list[int] = []
    try:
        async with asyncio.timeout(10):
            async for batch in read(journal, after, until):
                positions += [stored.seq for stored in batch]
    except JournalDamaged as damage:
        return positions, damage
    raise AssertionError("it read to the end")


async def test_it_reads_from_any_position_to_any_other(journal: Journal, commits: GroupCommit) -> None:
    await fill(commits, 2_500)
    for after, until in [(0, 2_500), (0, 1), (999, 1_001), (1_234, 2_000), (2_499, 2_500), (2_500, 2_500), (7, 7)]:
        assert await seqs(journal, after, until) == list(range(after + 1, until + 1))


async def test_20_000_events_come_whole_and_in_order(journal: Journal, commits: GroupCommit) -> None:
    await fill(commits, 20_000)
    batches = [batch async for batch in read(journal, 0, 20_000)]
    assert max(map(len, batches)) <= 16_000
    assert [stored.seq for batch in batches for stored in batch] == list(range(1, 20_001))
    one = batches[-1][-1]
    assert one == await journal.at(20_000)


async def test_at_the_head_it_waits_and_sees_each_event_at_once(journal: Journal, commits: GroupCommit) -> None:
    await fill(commits, 10)
    arrived: asyncio.Queue[tuple[int, float]] = asyncio.Queue()

    async def tail() -> None:
        async for batch in read(journal, 0, until=40):
            for stored in batch:
                arrived.put_nowait((stored.seq, time.monotonic()))

    tailing = asyncio.create_task(tail())
    assert [(await arrived.get())[0] for _ in range(10)] == list(range(1, 11))
    await asyncio.sleep(1.3)  # longer than between two heartbeats
    assert arrived.empty()
    latencies_s = []
    for seq in range(11, 41):
        began = time.monotonic()
        await commits.append(change(f"t{seq}"))
        found, at = await arrived.get()
        assert found == seq
        latencies_s.append(at - began)
    await asyncio.wait_for(tailing, 1)  # 40 was the last
    assert median(latencies_s) < 0.05  # the append included


async def test_requests_run_out_and_are_asked_again_while_it_is_slow_and_while_it_waits(
    journal: Journal, commits: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = {"batch": BATCH_MAX, "expires": 100_000_000, "idle_heartbeat": 50_000_000}  # as the real ones in half a minute
    monkeypatch.setattr(journal_reader, "_REQUEST", orjson.dumps(short))
    remark, remarks = journal_reader._Inbox.remark, list[str]()

    async def listening(inbox: journal_reader._Inbox, message: Msg) -> None:
        remarks.extend(filter(None, [(message.headers or {}).get("Status")]))
        await remark(inbox, message)

    monkeypatch.setattr(journal_reader._Inbox, "remark", listening)
    await fill(commits, 6_000)
    positions: list[int] = []
    async with aclosing(read(journal, 0)) as batches, asyncio.timeout(10):
        while positions[-1:] != [6_000]:
            positions += [stored.seq for stored in await anext(batches)]
            await asyncio.sleep(0.15)
        for head in (7_000, 8_000, 9_000):
            following = asyncio.create_task(follow(batches, positions, head))
            await asyncio.sleep(0.3)
            assert not following.done()
            await commits.append(change(f"t{head}", count=1_000))
            await following
    assert positions == list(range(1, 9_001))
    assert remarks.count("408") >= 12  # all four of each wait
    assert set(remarks) == {"100", "408"}  # so it was one consumer all the while


@pytest.mark.parametrize("at_head", [False, True])
async def test_a_killed_server_leaves_no_gap_and_no_repeat(
    server: NatsServer, journal: Journal, commits: GroupCommit, at_head: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_reader, "_AHEAD_MAX", BATCH_MAX)
    await fill(commits, 20_000)
    positions: list[int] = []
    async with aclosing(read(journal, 0)) as batches, asyncio.timeout(20):
        await follow(batches, positions, 20_000 if at_head else 1)
        assert at_head or len(positions) <= 1_000  # the greater part is still to come
        await kill(server)
        again = await start(server.folder, server.port)
        await commits.append(change("later", count=100))
        await follow(batches, positions, 20_100)
    assert positions == list(range(1, 20_101))
    assert journal.connection.stats["reconnects"] == 1
    await again.stop()


async def test_a_consumer_that_is_deleted_under_it_is_made_anew(
    journal: Journal, commits: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    api = journal.api

    async def listening(call: str, body: dict[str, object] | None) -> dict[str, object]:
        if call.startswith("CONSUMER.CREATE."):
            made.append(call.removeprefix("CONSUMER.CREATE."))
        return await api(call, body)

    monkeypatch.setattr(journal, "api", listening)
    await fill(commits, 10)
    positions: list[int] = []
    async with aclosing(read(journal, 0)) as batches:
        await follow(batches, positions, 10)
        for seq in (11, 12):
            async with asyncio.timeout(2.5):  # the server says it; three seconds of silence would be another sign
                assert (await api(f"CONSUMER.DELETE.{made[-1]}", None))["success"]
                await commits.append(change(f"t{seq}"))
                await follow(batches, positions, seq)
    assert positions == list(range(1, 13))
    assert len(set(made)) == 3


@pytest.mark.parametrize(
    ("holes", "count"), [([1], 10), ([1_500], 3_000), ([1_000], 3_000), ([9, 10], 10), ([1, 10], 10), ([1], 1)]
)
async def test_an_unreadable_event_stops_it_where_it_is(
    server: NatsServer, commits: GroupCommit, holes: list[int], count: int
) -> None:
    await fill(commits, count)
    async with damaged(server, *holes) as journal:
        for after in {0, holes[0] - 1}:
            positions, damage = await until_damage(journal, after)
            assert positions == list(range(after + 1, holes[0]))
            assert damage.where == f"event {holes[0]}"
        assert await seqs(journal, 0, until=holes[0] - 1) == list(range(1, holes[0]))
        positions, _ = await until_damage(journal, 0, until=holes[0])
        assert positions == list(range(1, holes[0]))
        assert await seqs(journal, holes[0], until=holes[1] - 1 if len(holes) > 1 else count) == [
            seq for seq in range(holes[0] + 1, count + 1) if seq not in holes
        ]


async def test_an_event_behind_an_unreadable_head_does_not_hide_it(server: NatsServer, commits: GroupCommit) -> None:
    await fill(commits, 3)
    async with damaged(server, 3) as journal:
        await journal.connection.request(subject("x"), b"{}")
        assert await journal.last_seq() == 4
        positions, damage = await until_damage(journal, 0)
        assert (positions, damage.where) == ([1, 2], "event 3")


async def test_a_journal_that_ends_before_the_reader_s_position_is_damaged(journal: Journal, commits: GroupCommit) -> None:
    await fill(commits, 3)
    positions, damage = await until_damage(journal, 5)
    assert (positions, damage.where) == ([], "event 4")
    assert await seqs(journal, 3, until=3) == []
