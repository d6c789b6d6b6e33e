"""The views: how fast they follow the journal, are rebuilt and asked about another time; beside eventsourcing's own runner.

Everything in one run: the peer is `eventsourcing`'s ProjectionRunner on PostgreSQL, one row for each event, as its
documentation shows it. Rows are on disk when they are counted. Run by `make bench`.
"""

import argparse
import asyncio
import csv
import io
import resource
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event
from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL, Identifier

from events.application import Submitted
from events.calendar import CALENDAR_V1
from events.envelope import Event, encode
from events.fact import split
from events.stages import Kind
from infra.data_folder import open_folder
from infra.database import open_sqlite
from infra.group_commit import Change
from infra.journal import Journal
from infra.nats_connection import to_the_end
from infra.nats_server import start
from projections import as_of
from projections.rebuild import Progress, rebuild
from projections.runner import Runner
from projections.views import Views
from services.part import quiet_collector
from services.reader import VIEWS
from services.register.sample import cilegon
from tests.bench.bench_import import sync_rate
from tests.recorder_servers import postgres
from tests.writing import Writer, writing

PEER_EVENTS = 3_000
STEADY_PER_S, STEADY_S = 1_000, 10


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=float, default=0.05, help="of the sample: 0.05 is 72,500 events")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        peer = peer_rate()
        print(f"eventsourcing's runner on PostgreSQL: {peer:.0f} events/s")
        with quiet_collector():  # as in the reader
            work = to_the_end(measure(Path(scratch), asked.scale, peer))
        asyncio.run(work)


async def measure(scratch: Path, scale: float, peer: float) -> None:
    print(f"disk: {await asyncio.to_thread(sync_rate, scratch / 'sync', 1):.0f} syncs of 4 KiB a second")
    server = await start(open_folder(scratch / "data"))
    async with writing(server, now=lambda: datetime.now(CALENDAR_V1.zone)) as writer:
        rows = list(csv.reader(io.StringIO("".join(cilegon(scale, 1)))))[1:]
        for number, first in enumerate(range(0, len(rows), 500)):
            await writer.importer.take("book", list(enumerate(rows[first : first + 500], first)), number)
        head = await writer.journal.last_seq()
        for names, views in {"status": VIEWS[:1], ", ".join(view.NAME for view in VIEWS): VIEWS}.items():
            engine = open_sqlite(scratch / f"{len(views)}.sqlite")
            runner = Runner(writer.journal, engine, Views(engine, views))
            async with following(runner):
                seconds = await until(runner, head)
                rate = head / seconds
                print(f"catching up, {names}: {rate:.0f} events/s, {rate / peer:.0f} times the peer; peak {peak_mb()} MB")
                if views is VIEWS:
                    await rebuilding(writer.journal, engine, runner, head)
                    await asking(writer.journal, engine, head)
                    await lagging(writer, runner)
            engine.dispose()
    await server.stop()


async def rebuilding(journal: Journal, engine: sa.Engine, runner: Runner, head: int) -> None:
    began = time.perf_counter()
    await rebuild(journal, engine, runner, VIEWS, Progress())
    seconds = time.perf_counter() - began
    print(f"rebuilding all, by one reading: {seconds:.1f} s, {head / seconds:.0f} events/s")


async def asking(journal: Journal, engine: sa.Engine, head: int) -> None:
    for view in VIEWS:
        began = time.perf_counter()
        fold = await as_of.fold(journal, engine, view, head, datetime(2013, 1, 1, tzinfo=CALENDAR_V1.zone), None)
        fold.dispose()
        seconds = time.perf_counter() - began
        print(f"an as-of question about {view.NAME}: {seconds:.1f} s, {head / seconds:.0f} events/s; peak {peak_mb()} MB")


async def lagging(writer: Writer, runner: Runner) -> None:
    """From acknowledged to visible to a question, while so many submissions come each second."""
    lags, started, number = list[float](), time.perf_counter(), 0
    asking = set[asyncio.Task[None]]()

    async def visible(seq: int, since: float) -> None:
        await runner.wait_for(seq, 30)
        lags.append(time.perf_counter() - since)

    while (gone := time.perf_counter() - started) < STEADY_S:
        coming, number = range(number, int(gone * STEADY_PER_S)), int(gone * STEADY_PER_S)
        if coming:
            stored = await asyncio.gather(*(writer.store.commits.append(submission(one)) for one in coming))
            asking.add(asyncio.create_task(visible(stored[-1][-1], time.perf_counter())))
        await asyncio.sleep(0.001)
    await asyncio.gather(*asking)
    p50, p99 = statistics.median(lags) * 1000, sorted(lags)[int(len(lags) * 0.99)] * 1000
    print(f"lag at {number / STEADY_S:.0f} events/s: p50 {p50:.0f} ms, p99 {p99:.0f} ms")


def submission(number: int) -> Change:
    now, case = datetime.now(CALENDAR_V1.zone), f"{number:032x}"
    fact = Submitted(
        digest="d" * 24,
        receipt=f"PM-{number:012}",
        kind=Kind.NEW,
        resident=f"{number:024x}",
        promised=now,
        standard_version=1,
        calendar_version=1,
    )
    event = Event(case, "367203", case, 1, now, fact)
    return Change(event.subject, 0, [encode(event, split(fact)[0])])


async def until(runner: Runner, head: int) -> float:
    """Seconds until it holds everything."""
    began = time.perf_counter()
    assert await runner.wait_for(head, 60)
    return time.perf_counter() - began


@asynccontextmanager
async def following(runner: Runner) -> AsyncIterator[None]:
    task = asyncio.create_task(runner.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


class Noted(Aggregate):
    @event("Begun")
    def __init__(self, name: str) -> None:
        self.name = name


class Notes(Application[UUID]):
    pass


class NotesView(PostgresTrackingRecorder):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        table = SQL("CREATE TABLE IF NOT EXISTS {0}.notes (id UUID PRIMARY KEY, name TEXT)")
        self.sql_create_statements.append(table.format(Identifier(self.datastore.schema)))

    def note(self, tracking: Tracking, identifier: UUID, name: str) -> None:
        with self.datastore.transaction(commit=True) as c:
            self._insert_tracking(c, tracking)
            c.execute("INSERT INTO notes VALUES (%s, %s)", [identifier, name])


class NotesProjection(Projection[NotesView]):
    name = "notes"

    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        self.view.note(tracking, domain_event.originator_id, domain_event.name)


def peer_rate() -> float:
    """Events per second of eventsourcing's runner."""
    with postgres() as settings:
        with Notes(settings) as notes:
            for number in range(0, PEER_EVENTS, 100):
                notes.save(*(Noted(f"{number + one}") for one in range(100)))
        with ProjectionRunner(
            application_class=Notes, projection_class=NotesProjection, view_class=NotesView, env=settings
        ) as runner:
            began = time.perf_counter()
            runner.wait(PEER_EVENTS, timeout=120)
            return PEER_EVENTS / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
