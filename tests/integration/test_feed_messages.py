"""The feed's stream: every public event once and in order, whoever is killed, cut off or overtaken."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from infra.data_folder import DataFolder
from infra.folder_errors import DiskNearlyFull
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_server import NatsServer, start
from projections.feed import LAG, Feed
from tests.databases import append, made_up
from tests.support import kill
from tests.telling import reaches, reader_of, telling, to_tell, told


@pytest.fixture
async def reader(server: NatsServer) -> AsyncIterator[Journal]:
    async with reader_of(server) as reader:
        yield reader


async def test_every_public_event_is_told_once_and_in_order(reader: Journal, commits: GroupCommit) -> None:
    await append(commits, made_up(random.Random(1), 2_500))
    async with telling(feed := Feed(reader)):
        await reaches(feed, 2_500)
        await append(commits, made_up(random.Random(2), 7))
        await reaches(feed, 2_507)
        feed.tell_lag(2_510)
    assert LAG.collect()[0].samples[0].value == 3
    assert await told(reader) == await to_tell(reader)


async def test_it_begins_behind_its_own_last_message(reader: Journal, commits: GroupCommit) -> None:
    for seed in range(1, 6):
        await append(commits, made_up(random.Random(seed), 11))
        async with telling(feed := Feed(reader)):
            await reaches(feed, 11 * seed)
    assert await told(reader) == await to_tell(reader)


async def test_of_two_that_tell_at_once_one_is_refused_and_begins_anew(reader: Journal, commits: GroupCommit) -> None:
    one, other = Feed(reader), Feed(reader)
    with capture_logs() as logs:
        async with telling(one, other):
            for seed in range(1, 31):
                await append(commits, made_up(random.Random(seed), 100))
                await asyncio.sleep(random.uniform(0, 0.1))
            await reaches(one, 3_000)
            await reaches(other, 3_000)
    assert "wrong last sequence" in str(logs)
    assert await told(reader) == await to_tell(reader)


async def test_a_server_that_is_killed_comes_back_to_a_feed_without_a_gap(
    folder: DataFolder, server: NatsServer, reader: Journal, commits: GroupCommit
) -> None:
    await append(commits, made_up(random.Random(1), 5_000))
    async with telling(feed := Feed(reader)):
        async with asyncio.timeout(30):
            while feed._last_seq == 0:
                await asyncio.sleep(0.001)
        await kill(server)
        assert feed.position < 5_000, "it was done before the server was killed"
        again = await start(folder, server.port)
        await reaches(feed, 5_000)
    assert await told(reader) == await to_tell(reader)
    await again.stop()


async def test_nothing_is_told_while_the_disk_is_nearly_full(
    reader: Journal, commits: GroupCommit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.feed._AGAIN_S", 0.01)
    refused, full = asyncio.Event(), True

    def require_room() -> None:
        if full:
            refused.set()
            raise DiskNearlyFull("data", 1, 2)

    await append(commits, made_up(random.Random(1), 10))
    async with telling(feed := Feed(reader, require_room)):
        await asyncio.wait_for(refused.wait(), 10)
        assert await told(reader) == []
        full = False
        await reaches(feed, 10)
    assert await told(reader) == await to_tell(reader)
