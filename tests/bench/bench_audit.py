"""The audit log: what an event costs to archive and sign, and how fast an archive is verified and replayed.

In the same run, beside it: `eventsourcing` reading its notifications from PostgreSQL, as raw bytes and with its mapper.
Files are on disk when they are counted; for reading they are in the page cache, as are PostgreSQL's. Run by `make bench`.
"""

import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import orjson
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate, event

from events.envelope import decode, stamp
from infra.tlog.note import Signer
from infra.tlog.tiles import WIDTH, Tiles, read_head
from infra.tlog.writer import LogWriter
from services.audit.verification import Verification
from tests.bench.bench_import import sync_rate
from tests.recorder_servers import postgres
from tests.support import change

EVENTS, PEER_EVENTS, BATCH = 200_000, 20_000, 2_000
SIGNER = Signer("ektp/3672/1", bytes(range(32)))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        log = Path(scratch) / "log"
        log.mkdir()
        print(f"disk: {sync_rate(Path(scratch) / 'sync', 1):.0f} syncs of 4 KiB a second; {EVENTS} events")
        entries = list(made_up(EVENTS))
        appended(log, entries)
        print(f"archive: {sum(file.stat().st_size for file in log.rglob('*.zst')) / EVENTS:.0f} bytes an event")
        told("verified (`ektp audit verify`: hashes, tiles, subjects)", EVENTS, verified, log)
        told("replayed, hash checked, orjson", EVENTS, replayed_raw, log)
        told("replayed, hash checked, typed events", EVENTS, replayed_typed, log)
        told("likewise, in two processes", EVENTS, replayed_by_two, log)
    raw, typed = peer_rates()
    print(f"eventsourcing from PostgreSQL: raw bytes {raw:.0f} events/s, with its mapper {typed:.0f} events/s")
    print(f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MB")


def made_up(count: int) -> Iterator[bytes]:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    for number in range(count):
        yield stamp(change(f"{number:032x}", serial=f"{number}").bodies, now)[0]


def appended(log: Path, entries: list[bytes]) -> None:
    writer, began, cpu = LogWriter(log, SIGNER), time.perf_counter(), time.process_time()
    for first in range(0, len(entries), BATCH):
        writer.add(entries[first : first + BATCH])
    writer.sign()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    print(f"appended: {len(entries) / seconds:.0f} events/s, {cpu / len(entries) * 1e6:.1f} µs of CPU an event")


def told(what: str, events: int, work: Callable[[Path], int], log: Path) -> None:
    began = time.perf_counter()
    assert work(log) == events
    print(f"{what}: {events / (time.perf_counter() - began):.0f} events/s")


def tiles_of(log: Path) -> Tiles:
    head = read_head(log)
    assert head
    return Tiles(log, head[0])


def verified(log: Path) -> int:
    verification = Verification(log, [SIGNER.verifier], "here", [])
    verification.archive(lambda _: None)
    assert verification.tiles
    for number in range((EVENTS + WIDTH - 1) // WIDTH):
        entries = verification.tiles.entries(number)
        first = number * WIDTH
        verification.take(
            (first + at + 1, f"ektp.367203.application.{first + at:032x}", entry) for at, entry in enumerate(entries)
        )
    verdict = verification.ended()
    assert verdict.ok
    return verdict.size


def replayed_raw(log: Path) -> int:
    tiles = tiles_of(log)
    return sum(len([orjson.loads(entry) for entry in tiles.entries(n)]) for n in range((tiles.size + WIDTH - 1) // WIDTH))


def replayed_typed(log: Path) -> int:
    return typed_part(log, 0, 1)


def replayed_by_two(log: Path) -> int:
    with ProcessPoolExecutor(2) as pool:
        return sum(pool.map(typed_part, [log] * 2, [0, 1], [2] * 2))


def typed_part(log: Path, first: int, step: int) -> int:
    tiles, count = tiles_of(log), 0
    for number in range(first, (tiles.size + WIDTH - 1) // WIDTH, step):
        count += len([decode(entry, seq) for seq, entry in enumerate(tiles.entries(number), number * WIDTH + 1)])
    return count


class Noted(Aggregate):
    @event("Begun")
    def __init__(self, name: str) -> None:
        self.name = name


def peer_rates() -> tuple[float, float]:
    """(raw, typed) events per second."""
    with postgres() as settings, Application(settings) as app:  # type: ignore[var-annotated]
        for number in range(0, PEER_EVENTS, 100):
            app.save(*(Noted(f"{number + one}") for one in range(100)))

        def read() -> Iterator[object]:
            for start in range(1, PEER_EVENTS + 1, 1_000):
                yield from app.recorder.select_notifications(start=start, limit=1_000)

        began = time.perf_counter()
        assert sum(1 for _ in read()) == PEER_EVENTS
        raw = PEER_EVENTS / (time.perf_counter() - began)
        began = time.perf_counter()
        assert sum(1 for each in read() if app.mapper.to_domain_event(each)) == PEER_EVENTS  # type: ignore[arg-type]
        return raw, PEER_EVENTS / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
