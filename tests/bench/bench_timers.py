"""The SLA view with 10 k, 100 k and 1 M open timers: memory, cost of an event, of asking whom to tell, of `ektp sla`; and
how late operations are told when 1,000 targets fall due at once, by a real clock on a real journal.

Cost must be flat. Run as `python -m tests.bench.bench_timers`.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random

import psutil
import sqlalchemy as sa

from events.application import Recorded
from events.calendar import CALENDAR_V1
from events.envelope import Event, case_subject, encode
from events.fact import split
from events.sla import Breached
from infra.data_folder import open_folder
from infra.database import open_sqlite
from infra.group_commit import Change
from infra.nats_connection import to_the_end
from infra.nats_server import start
from projections import sla
from projections.sla_report import sla as report
from services.sla_clock import SlaClock
from tests.applications import OFFICE, SUBMITTED
from tests.integration.test_sla_clock import Ask, following
from tests.support import events as all_events
from tests.writing import Writer, writing

BATCH, ROUNDS, TIMERS_EACH, FALL_DUE = 1_000, 5, 2, 1_000
LIMIT = timedelta(hours=24)  # of issuance
AHEAD = timedelta(seconds=20)  # what falls due at once does so that long after it was submitted
COLUMNS = "open timers | RSS MB | file MB | submitted µs | recorded µs | due ms | sla ms | late p50 s | p99 s"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--timers", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    asked = arguments.parse_args()
    print(f"| {COLUMNS} |\n|{'---|' * len(COLUMNS.split('|'))}")
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(to_the_end(measure(Path(scratch), asked.timers)))


async def measure(scratch: Path, sizes: list[int]) -> None:
    """One line for each size; the timers of one are still open in the next."""
    file, now, cases = scratch / "views.sqlite", datetime.now(UTC), 0
    engine, server = open_sqlite(file), await start(open_folder(scratch / "data"))
    sla.TABLES.create_all(engine)
    async with writing(server, now=_now) as writer:
        for size in sizes:
            while cases < size // TIMERS_EACH:
                apply(engine, submissions(cases, BATCH, now))
                cases += BATCH
            figures = [
                size,
                psutil.Process().memory_info().rss / 1e6,
                sum(part.stat().st_size for part in _files(file)) / 1e6,
            ]
            submitted = [apply(engine, submissions(cases + each * BATCH, BATCH, now)) for each in range(ROUNDS)]
            moved = Random(size).sample(range(cases), BATCH * ROUNDS)
            recorded = [apply(engine, recordings(moved[each::ROUNDS], now)) for each in range(ROUNDS)]
            cases += ROUNDS * BATCH
            figures += [statistics.median(taken) / BATCH * 1e6 for taken in (submitted, recorded)]
            with engine.connect() as db:
                figures.append(seconds(partial(sla.due, db, now)) * 1e3)
                figures.append(seconds(partial(report, db, now, None, now - timedelta(days=90))) * 1e3)
            async with following(server, file) as due:
                lateness = await told_late(writer, due, f"-{size}")
            figures += [lateness[len(lateness) // 2], lateness[len(lateness) * 99 // 100]]
            print("| " + " | ".join(f"{each:,.0f}" if each >= 100 else f"{each:.3g}" for each in figures) + " |", flush=True)
    engine.dispose()
    await server.stop()


def _files(file: Path) -> list[Path]:
    """With SQLite's write-ahead log."""
    return [part for part in (file, file.with_name(f"{file.name}-wal")) if part.exists()]


def submissions(first: int, count: int, now: datetime) -> list[Event]:
    """Cases that were just submitted."""
    return list(_events(range(first, first + count), 1, now))


def recordings(cases: list[int], now: datetime) -> list[Event]:
    return list(_events(cases, 2, now))


def _events(cases: "range | list[int]", version: int, now: datetime) -> Iterator[Event]:
    for case in cases:
        fact = SUBMITTED.model_copy(update={"receipt": f"PM-{case}"}) if version == 1 else Recorded(digest="d")
        name = f"{Random(case).getrandbits(128):032x}"  # an id says nothing of when it was made
        yield Event(f"{case:031x}{version}", OFFICE, name, version, now, fact, recorded=now, seq=10**9 + case)


def apply(engine: sa.Engine, events: list[Event]) -> float:
    """How long it took."""

    def applied() -> None:
        with engine.begin() as db:
            sla.apply(db, events)

    return seconds(applied)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


async def told_late(writer: Writer, due: Ask, name: str) -> list[float]:
    """Seconds from the due instant of 1,000 new cases to when operations were told, in order."""
    occurred = _now() - LIMIT + AHEAD
    for first in range(0, FALL_DUE, 100):
        changes = []
        for number in range(first, first + 100):
            case, fact = f"{number}{name}", SUBMITTED.model_copy(update={"receipt": f"PM-{number}{name}"})
            event = Event(f"event-{number}{name}", OFFICE, case, 1, occurred, fact)
            changes.append(Change(case_subject(OFFICE, case), 0, [encode(event, split(fact)[0])]))
        await writer.store.commits.append(*changes)
    clock = asyncio.create_task(SlaClock(writer.store, writer.rules, _now, due).run())
    lateness: list[float] = []
    while len(lateness) < FALL_DUE:
        await asyncio.sleep(1)
        told = [event for event in await all_events(writer.journal) if event.entity_id.endswith(name)]
        lateness = sorted(
            (event.occurred - event.fact.due).total_seconds()
            for event in told
            if isinstance(event.fact, Breached) and event.fact.target == "issuance"
        )
    clock.cancel()
    await asyncio.wait({clock})
    return lateness


def _now() -> datetime:
    return datetime.now(CALENDAR_V1.zone)


if __name__ == "__main__":
    main()
