"""How many acknowledged events no signed checkpoint covers yet: under an import, and under 100 commands a second.

What a disk that loses the journal's end can take without a copy of it. Run by `make bench`.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from infra.data_folder import DataFolder, open_folder
from infra.folder_lock import take_owner
from infra.journal import Journal
from infra.nats_connection import connect, end, to_the_end
from infra.tlog.tiles import read_head
from services.backbone import Backbone
from tests.bench.bench_append import submit

EKTP = Path(sys.executable).with_name("ektp")
LOOK_S = 0.02
COMMANDS_PER_S = 100


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=float, default=0.05, help="of the sample that is imported")
    arguments.add_argument("--seconds", type=float, default=30, help="of steady commands")
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        asyncio.run(to_the_end(measure(Path(scratch), asked.scale, asked.seconds)))


async def measure(scratch: Path, scale: float, seconds: float) -> None:
    folder, book = open_folder(scratch / "data"), scratch / "book.csv"
    with book.open("wb") as out:
        subprocess.run([EKTP, "sample", "cilegon", "--scale", str(scale)], stdout=out, check=True)
    with await take_owner(folder, 0):
        async with Backbone(folder) as backbone:
            desk = await connect(folder, "desk", backbone.server.url)
            journal = Journal(desk)
            await watched("import", folder, journal, lambda: imported(book, folder))
            await watched(f"{COMMANDS_PER_S} commands/s", folder, journal, lambda: steady(submit(desk), seconds))
            await desk.close()


async def imported(book: Path, folder: DataFolder) -> None:
    importing = await asyncio.create_subprocess_exec(EKTP, "import", book, "--data", folder.path)
    assert await importing.wait() == 0


async def steady(command: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Begun at their times, however long the others take."""
    started, under_way = time.monotonic(), list[asyncio.Future[object]]()
    for number in range(int(seconds * COMMANDS_PER_S)):
        await asyncio.sleep(max(0, started + number / COMMANDS_PER_S - time.monotonic()))
        under_way.append(asyncio.ensure_future(command()))
    await asyncio.gather(*under_way)


async def watched(what: str, folder: DataFolder, journal: Journal, work: Callable[[], Awaitable[None]]) -> None:
    """Print head minus signed size, most and 99th percentile, while `work` goes on."""

    async def now() -> int:
        signed = read_head(folder.log)  # first, so that what is signed meanwhile is counted as unsigned
        return await journal.last_seq() - (signed[0].size if signed else 0)

    async def look() -> None:
        while True:
            unsigned.append(await now())
            await asyncio.sleep(LOOK_S)

    while await now():
        await asyncio.sleep(LOOK_S)
    first, started, unsigned = await journal.last_seq(), time.monotonic(), list[int]()
    looking = asyncio.create_task(look())
    await work()
    seconds, count = time.monotonic() - started, await journal.last_seq() - first
    await end(looking)
    p99 = sorted(unsigned)[len(unsigned) * 99 // 100]
    print(f"{what}: {count / seconds:.0f} events/s for {seconds:.0f} s; unsigned: at most {max(unsigned)}, p99 {p99}")


if __name__ == "__main__":
    main()
