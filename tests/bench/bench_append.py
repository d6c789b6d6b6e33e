"""Commands and appends with 1, 16 and 256 in flight, beside the raw limits: the disk, nats-py and FastStream alone.

Same durability everywhere: what is counted was on disk when it was answered (an empty FastStream handler stores nothing).
Rounds are interleaved; medians are printed. Run by `make bench`.
"""

import argparse
import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from itertools import count
from pathlib import Path

import orjson

from events.nik import Nik
from events.offices import OFFICES
from events.receipt import receipt
from infra.data_folder import DataFolder, open_folder
from infra.folder_lock import take_owner
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_broker import broker
from infra.nats_client import QuickClient
from infra.nats_connection import connect, to_the_end
from infra.nats_server import start
from services.backbone import Backbone
from tests.bench.bench_import import sync_rate
from tests.support import change

OFFICE = "367203"
BATCH = 500  # messages of a raw batch
Measured = dict[str, list[float]]
_numbers = count(1)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--calls", type=int, default=2_000, help="calls with 256 in flight; fewer with fewer")
    arguments.add_argument("--empty", nargs=2, metavar=("DIR", "URL"), help="be the empty FastStream service")
    asked = arguments.parse_args()
    if asked.empty:
        asyncio.run(empty_service(open_folder(Path(asked.empty[0])), asked.empty[1]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        per_second, milliseconds = asyncio.run(to_the_end(measure(Path(scratch), asked.rounds, asked.calls)))
    for unit, measured in (("per second", per_second), ("ms, median of one", milliseconds)):
        print(f"| {unit} | median | min-max |\n|---|---|---|")
        for what, figures in measured.items():
            print(f"| {what} | {statistics.median(figures):.3g} | {min(figures):.3g}-{max(figures):.3g} |")
    print_ratios(per_second, milliseconds)


async def measure(scratch: Path, rounds: int, calls: int) -> tuple[Measured, Measured]:
    """(per second, milliseconds of one), each with one figure for each round."""
    per_second, milliseconds = defaultdict[str, list[float]](list), defaultdict[str, list[float]](list)
    serving, bare = open_folder(scratch / "serving"), open_folder(scratch / "bare")
    with await take_owner(serving, 0):
        async with Backbone(serving) as backbone:
            server = await start(bare)
            writer, asker = await connect(bare, "writer", server.url), await connect(bare, "desk", server.url)
            journal = Journal(writer)
            await journal.create()
            desk = await connect(serving, "desk", backbone.server.url)
            empty = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.bench.bench_append", "--empty", str(bare.path), server.url
            )
            await until_it_answers(asker)
            async with GroupCommit(journal) as commits:
                for _ in range(rounds):
                    per_second["disk: syncs of 4 KiB"].append(await asyncio.to_thread(sync_rate, scratch / "sync", 1))
                    for in_flight in (1, 16, 256):
                        total = max(calls * in_flight // 256, 300)
                        jobs = {
                            "raw publish": raw_publish(writer),
                            "journal, one fact": lambda: commits.append(change(f"j{next(_numbers)}")),
                            "raw batch of 2": raw_batch(writer, 2),
                            "journal, two facts": lambda: commits.append(
                                change(f"j{next(_numbers)}"), change(f"k{next(_numbers)}")
                            ),
                            "FastStream, empty": lambda: asker.request("cmd.ektp.3672.empty", b'{"receipt": "x"}', 10),
                            "command record, one fact": record(desk, await submitted(desk, serving, total)),
                            "command submit, two facts": submit(desk),
                        }
                        for what, call in jobs.items():
                            rate, median_s = await at_once(in_flight, total, call)
                            per_second[f"{what}, {in_flight} in flight"].append(rate)
                            if in_flight == 1:
                                milliseconds[what].append(median_s * 1000)
                    bulk = [raw_batch(writer, BATCH), journal_bulk(commits)]
                    for what, call in zip((f"raw batches of {BATCH}", f"journal, {BATCH} facts at once"), bulk, strict=True):
                        rate, _ = await at_once(1, 20, call)
                        per_second[f"{what}: messages"].append(rate * BATCH)
            empty.terminate()
            await empty.wait()
            for connection in (writer, asker, desk):
                await connection.close()
            await server.stop()
    return per_second, milliseconds


async def at_once(in_flight: int, total: int, call: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    """(calls per second, median seconds of one)"""
    turns, took = count(), list[float]()

    async def caller() -> None:
        while next(turns) < total:
            began = time.perf_counter()
            await call()
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(in_flight)))
    return total / (time.perf_counter() - began), statistics.median(took)


def raw_publish(connection: QuickClient) -> Callable[[], Awaitable[object]]:
    async def publish() -> None:
        one = change(f"r{next(_numbers)}")
        reply = await connection.request(
            one.subject, one.bodies[0], 10, headers={"Nats-Expected-Last-Subject-Sequence": "0"}
        )
        assert b'"seq"' in reply.data, reply.data

    return publish


def raw_batch(connection: QuickClient, size: int) -> Callable[[], Awaitable[object]]:
    async def publish() -> None:
        batch = {"Nats-Batch-Id": secrets.token_hex(12)}
        for sequence in range(1, size + 1):
            one = change(f"r{next(_numbers)}")
            headers = batch | {"Nats-Batch-Sequence": str(sequence), "Nats-Expected-Last-Subject-Sequence": "0"}
            if sequence < size:
                await connection.publish(one.subject, one.bodies[0], headers=headers)
        reply = await connection.request(one.subject, one.bodies[0], 10, headers=headers | {"Nats-Batch-Commit": "1"})
        assert b'"seq"' in reply.data, reply.data

    return publish


def journal_bulk(commits: GroupCommit) -> Callable[[], Awaitable[object]]:
    return lambda: commits.append(*(change(f"j{next(_numbers)}") for _ in range(BATCH)))


def record(desk: QuickClient, receipts: list[str]) -> Callable[[], Awaitable[object]]:
    left = iter(receipts)

    async def command() -> None:
        body = orjson.dumps({"command": "record", "receipt": next(left)})
        reply = await desk.request(f"cmd.ektp.{OFFICE}.record", body, 10, headers={"Idempotency-Key": "k"})
        assert not reply.headers, reply.data

    return command


def submit(desk: QuickClient) -> Callable[[], Awaitable[object]]:
    async def command() -> None:
        asked = {"command": "submit", "office": OFFICE, "nik": somebody(), "name": "Siti Rahayu", "kind": "new"}
        key = {"Idempotency-Key": secrets.token_hex(8)}
        reply = await desk.request(f"cmd.ektp.{OFFICE}.submit", orjson.dumps(asked), 10, headers=key)
        assert not reply.headers, reply.data

    return command


async def submitted(desk: QuickClient, folder: DataFolder, total: int) -> list[str]:
    """The receipts of so many new cases."""
    receipts = []
    for first in range(0, total, 500):
        rows = []
        for line in range(first, min(first + 500, total)):
            case = f"B{next(_numbers)}"
            receipts.append(receipt(folder.secret(), OFFICES[OFFICE], "case", case))
            at = "2016-03-01T08:00:00+07:00"
            rows.append((line, [case, OFFICE, "new", somebody(), "Siti Rahayu", "F", "", "submitted", at, "", "", ""]))
        body = orjson.dumps({"run": secrets.token_hex(8), "rows": rows})
        answer = orjson.loads((await desk.request("cmd.ektp.3672.import", body, 60)).data)
        assert answer["added"] == len(rows), answer
    return receipts


def somebody() -> Nik:
    number = next(_numbers)
    return Nik.of("367203", date(1950, 1, 1) + timedelta(days=number // 9_999), "F", number % 9_999 + 1)


async def empty_service(folder: DataFolder, url: str) -> None:
    """What FastStream alone costs: a typed body, an empty handler, an answer."""
    from pydantic import BaseModel  # noqa: PLC0415

    class Body(BaseModel):
        receipt: str

    service = broker(folder, "writer", url)

    @service.subscriber("cmd.ektp.3672.empty", max_workers=256)
    async def answer(body: Body) -> dict[str, str]:
        return {"receipt": body.receipt}

    await service.start()
    await asyncio.Event().wait()


async def until_it_answers(asker: QuickClient) -> None:
    while True:
        try:
            await asker.request("cmd.ektp.3672.empty", b'{"receipt": "x"}', 1)
        except Exception:
            await asyncio.sleep(0.1)
        else:
            return


def print_ratios(per_second: Measured, milliseconds: Measured) -> None:
    rate = {what: statistics.median(figures) for what, figures in per_second.items()}
    ms = {what: statistics.median(figures) for what, figures in milliseconds.items()}
    bulk = rate[f"journal, {BATCH} facts at once: messages"] / rate[f"raw batches of {BATCH}: messages"]
    one = ms["command record, one fact"] / (ms["FastStream, empty"] + ms["raw publish"])
    two = ms["command submit, two facts"] / (ms["FastStream, empty"] + ms["raw batch of 2"])
    print(f"journal in bulk / raw batches: {bulk:.2f}")
    print(f"one command alone / (empty FastStream + raw publish): {one:.2f}; of two facts (+ raw batch of 2): {two:.2f}")


if __name__ == "__main__":
    main()
