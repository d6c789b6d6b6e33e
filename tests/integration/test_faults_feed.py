"""kill -9 of the reader at random moments while it tells the feed: no repeat, no gap.

`make faults` kills it 50 times, `make test` 5 times.
"""

import asyncio
import os
import random
import signal
from pathlib import Path

import sqlalchemy as sa

from infra.data_folder import DataFolder
from infra.database import open_sqlite
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_server import NatsServer
from projections.feed import Feed, feed_stream
from tests.databases import another_process, append, made_up
from tests.telling import reaches, reader_of, telling, to_tell, told

KILLS = int(os.environ.get("EKTP_FAULT_KILLS", "5"))
PER_LIFE = 3_000  # events: two or three batches, to be killed in any


async def tell(journal: Journal, engine: sa.Engine) -> None:
    """What is killed."""
    await Feed(journal).run()


async def test_it_is_killed_again_and_again_and_nothing_repeats_or_is_left_out(
    tmp_path: Path, folder: DataFolder, server: NatsServer, commits: GroupCommit
) -> None:
    async with reader_of(server) as reader:
        engine, stream, killed = open_sqlite(tmp_path / "unused.sqlite"), feed_stream(reader.connection), 0
        await stream.create()
        for seed in range(4 * KILLS):  # the machine may be too busy to kill it in time
            began = await stream.last_seq()
            await append(commits, made_up(random.Random(seed), PER_LIFE))
            with another_process(tell, folder, server.url, engine) as process:
                moment = began + random.randrange(1, 1_500)
                async with asyncio.timeout(30):
                    while await stream.last_seq() < moment:
                        await asyncio.sleep(0.001)
                await asyncio.sleep(random.uniform(0, 0.03))  # anywhere in the next batch
                process.kill()
                process.join()
            assert process.exitcode == -signal.SIGKILL
            so_far, all_of_it = await told(reader), await to_tell(reader)
            assert so_far == all_of_it[: len(so_far)]
            killed += len(so_far) < len(all_of_it)
            if killed == KILLS:
                break
        assert killed == KILLS, "it was always done before it was killed"
        async with telling(feed := Feed(reader)):
            await reaches(feed, await reader.last_seq())
        assert await told(reader) == await to_tell(reader)
