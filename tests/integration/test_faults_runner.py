"""kill -9 of the runner at random moments while it brings its views up: they are the fold of the log, to the row.

`make faults` kills it 50 times on each database, `make test` 5 times.
"""

import os
import random
import signal
import time
from functools import partial

import sqlalchemy as sa

from infra.data_folder import DataFolder
from infra.database import scratch_database
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_server import NatsServer
from projections.runner import Runner
from projections.views import Views
from services.reader import VIEWS
from tests.command import eventually
from tests.databases import Applied, OnPostgres, OnSqlite, another_process, append, by_hand, made_up, told
from tests.support import events, stored

KILLS = int(os.environ.get("EKTP_FAULT_KILLS", "5"))
PER_LIFE = 3_000  # events: three batches, to be killed in the second or third


async def follow(journal: Journal, engine: sa.Engine) -> None:
    """What is killed: the reader's own views, and one that notes what it is given."""
    await Runner(journal, engine, Views(engine, [*VIEWS, Applied()])).run()


def past(engine: sa.Engine, moment: int) -> bool:
    """Whether all views hold what stands up to there."""
    with engine.connect() as db:
        return int(db.exec_driver_sql("select min(position) from positions").scalar_one()) > moment


def rows(engine: sa.Engine) -> dict[str, list[str]]:
    """Everything in the reader's views."""
    with engine.connect() as db:
        tables = [table for view in VIEWS for table in view.TABLES.sorted_tables]
        return {table.name: sorted(str(row) for row in db.execute(sa.select(table))) for table in tables}


class Cases:
    async def test_a_runner_that_is_killed_again_and_again_loses_nothing_and_does_nothing_twice(
        self, engine: sa.Engine, folder: DataFolder, server: NatsServer, journal: Journal, commits: GroupCommit
    ) -> None:
        views, killed = Views(engine, [*VIEWS, applied := Applied()]), 0
        for seed in range(2 * KILLS):  # the machine may be too busy to kill it in time
            await append(commits, made_up(random.Random(seed), PER_LIFE))
            began, head = views.position, await journal.last_seq()
            moment = random.randrange(began, began + (head - began) // 2)
            with another_process(follow, folder, server.url, engine) as process:
                eventually(partial(past, engine, moment))
                time.sleep(random.uniform(0, 0.1))  # anywhere in the next batch
                process.kill()
                process.join()
            assert process.exitcode == -signal.SIGKILL
            views.look()
            assert applied.seqs(engine) == list(range(1, views.position + 1))
            killed += began < views.position < head
            if killed == KILLS:
                break
        assert killed == KILLS, "it was always done before it was killed"

        with another_process(follow, folder, server.url, engine):
            eventually(lambda: past(engine, head - 1), 60)
        assert views.aside() == []
        assert applied.seqs(engine) == list(range(1, head + 1))
        assert told(engine) == by_hand(await events(journal))
        Views(fold := scratch_database(), VIEWS).apply(await stored(journal))
        assert rows(engine) == rows(fold)
        fold.dispose()


class TestOnSqlite(OnSqlite, Cases):
    pass


class TestOnPostgres(OnPostgres, Cases):
    pass
