"""Recorders of `eventsourcing` on JetStream, PostgreSQL and SQLite: events/s, with the same durability.

Every append is on disk when it returns: JetStream syncs always, PostgreSQL commits synchronously, SQLite (WAL) is FULL.
Rounds are interleaved and medians printed, with the disk's own sync rate beside them, since the machine may be noisy.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from uuid import uuid4

from eventsourcing.persistence import ApplicationRecorder, InfrastructureFactory, Notification, StoredEvent
from eventsourcing.utils import Environment

from tests.bench.bench_import import sync_rate
from tests.recorder_servers import jetstream, nats_server, postgres, sqlite

APPENDS, READS, PAGE = 1_000, 20_000, 1_000
THREADS = 16
Rates = dict[tuple[str, str], list[float]]  # events/s of each round, by job and recorder


def event(version: int = 1) -> StoredEvent:
    return StoredEvent(uuid4(), version, "complaints:Complaint.Answered", b"x" * 400)


def append_alone(recorder: ApplicationRecorder) -> int:
    for _ in range(APPENDS):
        recorder.insert_events([event()])
    return APPENDS


def append_in_threads(recorder: ApplicationRecorder) -> int:
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(lambda _: recorder.insert_events([event()]), range(APPENDS)))
    return APPENDS


def append_hundreds(recorder: ApplicationRecorder) -> int:
    for _ in range(APPENDS // 100):
        recorder.insert_events([event(version) for version in range(100)])
    return APPENDS


def select(recorder: ApplicationRecorder) -> int:
    def pages() -> Iterator[Notification]:
        start = 0
        while page := recorder.select_notifications(start, PAGE, inclusive_of_start=False):
            yield from page
            start = page[-1].id

    return sum(1 for _ in islice(pages(), READS))


def subscribe(recorder: ApplicationRecorder) -> int:
    with recorder.subscribe() as subscription:
        return sum(1 for _ in islice(subscription, READS))


JOBS: dict[str, Callable[[ApplicationRecorder], int]] = {
    "append, 1 thread": append_alone,
    f"append, {THREADS} threads": append_in_threads,
    "append, 100 per save": append_hundreds,
    f"select_notifications({PAGE})": select,
    "subscribe": subscribe,
}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    with ExitStack() as servers, tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        settings = {
            "JetStream": jetstream(servers.enter_context(nats_server(folder / "data"))),
            "PostgreSQL": servers.enter_context(postgres()),
            "SQLite": sqlite(folder / "events.sqlite"),
        }
        recorders: dict[str, ApplicationRecorder] = {}
        for name, of_one in settings.items():
            factory = InfrastructureFactory.construct(Environment("Bench", of_one))
            servers.callback(factory.close)
            recorders[name] = factory.application_recorder()
            while (recorders[name].max_notification_id() or 0) < READS:
                append_hundreds(recorders[name])  # with 1,000 at once the library's pipeline to PostgreSQL hangs for ever
        rates: Rates = {}
        syncs: list[float] = []
        for _ in range(asked.rounds):
            syncs.append(sync_rate(folder / "sync", 1))
            measure(recorders, rates)
        print_table(rates)
        print(f"The disk alone: {cell(syncs)} syncs/s of 4 KiB.")


def measure(recorders: dict[str, ApplicationRecorder], rates: Rates) -> None:
    """Add the events/s of one round."""
    for job, run in JOBS.items():
        for name, recorder in recorders.items():
            if (job, name) == ("subscribe", "SQLite"):  # the library has no subscription there
                continue
            started = time.perf_counter()
            count = run(recorder)
            rates.setdefault((job, name), []).append(count / (time.perf_counter() - started))


def print_table(rates: Rates) -> None:
    names = list(dict.fromkeys(name for _, name in rates))
    print("| events/s, median (min-max) |", " | ".join(names), "|")
    print("|---|" + "---|" * len(names))
    for job in JOBS:
        cells = [rates.get((job, name)) for name in names]
        print(f"| {job} |", " | ".join(cell(some) if some else "-" for some in cells), "|")


def cell(rates: list[float]) -> str:
    return f"{statistics.median(rates):,.0f} ({min(rates):,.0f}-{max(rates):,.0f})"


if __name__ == "__main__":
    main()
