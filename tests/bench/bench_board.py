"""The operations board with 100,000 open cases while 1,000 events come each second: what server and browser pay.

A backbone, register rows that move cases through all stages, and one page that follows in a real browser; run by
`python -m tests.bench.bench_board`. A delay is from when rows were acknowledged to when the page shows their position.
"""

import argparse
import asyncio
import bisect
import secrets
import shutil
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import psutil
from playwright.async_api import CDPSession, Page, async_playwright

from events.calendar import CALENDAR_V1
from events.offices import BACKBONE_ID, OFFICES
from events.stages import OPEN, ORDER, Stage
from infra.data_folder import open_folder
from infra.database import open_sqlite
from infra.folder_lock import endpoint
from infra.journal import Journal
from infra.nats_client import QuickClient
from infra.nats_connection import connect, to_the_end
from projections import board, desk
from services.access import COOKIE
from services.coverage_document import AGES_DAYS
from services.register.row import ROWS_MAX
from services.web.board import LISTED_MAX, THROUGHPUT_DAYS
from tests.bench.bench_append import somebody
from tests.command import Up, running
from tests.over_http import tokens_for

CHUNKS_PER_S = 10
PARTS = ("nats-server", "writer", "reader")
PLACES = list(OFFICES)
OLDEST_DAYS = 120
_numbers = count(1)
_WATCH = """() => {
    window.shown = [];
    const note = () => shown.push([Number(document.getElementById("position").textContent), Date.now()]);
    new MutationObserver(note).observe(document.getElementById("figures"), {childList: true});
}"""
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


class Case(NamedTuple):
    """What a register row says of a case, whatever happens to it."""

    number: str
    office: str
    nik: str

    def row(self, event: str, at: datetime) -> list[str]:
        return [self.number, self.office, "new", self.nik, "Siti Rahayu", "F", "", event, at.isoformat(), "", "", ""]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cases", type=int, default=100_000)
    arguments.add_argument("--rate", type=int, default=1_000, help=f"rows a second, up to {ROWS_MAX * CHUNKS_PER_S}")
    arguments.add_argument("--minutes", type=float, default=10)
    asked = arguments.parse_args()
    if (chromium := shutil.which("chromium")) is None:
        arguments.error("there is no chromium on the path; nothing was measured: apt-get install -y chromium")
    with tempfile.TemporaryDirectory() as scratch:
        data = Path(scratch) / "data"
        token = tokens_for(data)["operations"]
        with running(data, "--http", 0) as up:
            asyncio.run(to_the_end(measure(up, token, chromium, asked.cases, asked.rate, asked.minutes * 60)))


async def measure(up: Up, token: str, chromium: str, cases: int, rate: int, seconds: float) -> None:
    there = endpoint(open_folder(up.data))
    assert there is not None
    client = await connect(open_folder(up.data), "desk", there.url)
    made = 0
    for size in (cases // 10, cases):
        await prepare(client, size - made)
        made = size
        print(f"{size} open cases: {queries(up.data)}", flush=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        context = await browser.new_context(locale="id-ID")
        await context.add_cookies([{"name": COOKIE, "value": token, "url": up.http}])
        page = await context.new_page()
        for which in ("cold", "warm"):
            began = time.perf_counter()
            await page.goto(f"{up.http}/board")
            loaded_s = time.perf_counter() - began
            while (first_paint_ms := await page.evaluate(_PAINT)) is None:  # it may come after the page was loaded
                await asyncio.sleep(0.1)
            print(f"first paint, {which}: {first_paint_ms:.0f} ms; loaded after {loaded_s:.2f} s")
        await page.evaluate(_WATCH)
        devtools = await context.new_cdp_session(page)
        await devtools.send("Performance.enable")
        print(f"page at the start: {await memory(devtools)}")
        acknowledged, first = list[tuple[int, float]](), await Journal(client).last_seq()
        for part in ("middle", "end"):
            used, began = cpu_s(up), time.monotonic()
            acknowledged += await feed(client, rate, seconds / 2)
            took = time.monotonic() - began
            shares = {name: (cpu_s(up)[name] - used[name]) / took for name in PARTS}
            print(", ".join(f"{name} {share:.0%}" for name, share in shares.items()), "of one core")
            print(f"page in the {part}: {await memory(devtools)}", flush=True)
        print(f"events: {(acknowledged[-1][0] - first) / seconds:.0f}/s")
        await tell_delays(page, acknowledged)
        print(f"after it: {queries(up.data)}")
        await browser.close()
    await client.close()


async def prepare(client: QuickClient, cases: int) -> None:
    """So many more cases that stand in all open stages, for up to OLDEST_DAYS; the views hold them then."""
    rows, now = list[list[str]](), datetime.now(CALENDAR_V1.zone)
    for number in range(cases):
        case, steps = a_case(), number % len(OPEN) + 1
        began = now - timedelta(days=OLDEST_DAYS) * (number / cases) - timedelta(hours=steps)
        rows += [case.row(event, began + timedelta(hours=step)) for step, event in enumerate(ORDER[:steps])]
    for first in range(0, len(rows), ROWS_MAX):
        await take(client, rows[first : first + ROWS_MAX])
    while (await ask(client, f"ask.ektp.{BACKBONE_ID}.lag", {}))["lag_events"]:
        await asyncio.sleep(0.1)


async def feed(client: QuickClient, rate: int, seconds: float) -> list[tuple[int, float]]:
    """(position of the journal, when it was known to be there) after each chunk of rows; cases go through all stages."""
    going: list[list[Case]] = [[] for _ in ORDER]  # by what comes next
    found, journal, began = list[tuple[int, float]](), Journal(client), time.monotonic()
    for number in count():
        await asyncio.sleep(began + number / CHUNKS_PER_S - time.monotonic())
        if time.monotonic() - began > seconds:
            return found
        going = [[a_case() for _ in range(rate // CHUNKS_PER_S // len(ORDER))], *going[:-1]]
        at = datetime.now(CALENDAR_V1.zone)
        await take(client, [case.row(event, at) for event, some in zip(ORDER, going, strict=True) for case in some])
        acknowledged = time.time()
        found.append((await journal.last_seq(), acknowledged))
    raise AssertionError("count ends")


def a_case() -> Case:
    number = next(_numbers)
    return Case(f"B{number}", PLACES[number % len(PLACES)], str(somebody()))


async def take(client: QuickClient, rows: list[list[str]]) -> None:
    answer = await ask(
        client, f"cmd.ektp.{BACKBONE_ID}.import", {"run": secrets.token_hex(8), "rows": list(enumerate(rows))}
    )
    assert answer["added"] == len(rows), answer


async def ask(client: QuickClient, subject: str, body: dict[str, Any]) -> Any:
    reply = await client.request(subject, orjson.dumps(body), 60)
    assert not reply.headers, reply.data
    return orjson.loads(reply.data)


def cpu_s(up: Up) -> dict[str, float]:
    return {name: sum(up.part(name).cpu_times()[:2]) for name in PARTS}


async def memory(devtools: CDPSession) -> str:
    """Of the page, after its garbage was collected."""
    await devtools.send("HeapProfiler.collectGarbage")
    metrics = {each["name"]: each["value"] for each in (await devtools.send("Performance.getMetrics"))["metrics"]}
    renderers = [each for each in psutil.Process().children(recursive=True) if "--type=renderer" in each.cmdline()]
    resident = max(each.memory_info().rss for each in renderers)
    return f"heap {metrics['JSHeapUsedSize'] / 1e6:.1f} MB, {metrics['Nodes']:.0f} nodes, renderer {resident / 1e6:.0f} MB"


async def tell_delays(page: Page, acknowledged: list[tuple[int, float]]) -> None:
    shown: list[tuple[int, float]] = []
    while not shown or shown[-1][0] < acknowledged[-1][0]:
        await asyncio.sleep(1)
        shown = [(position, when_ms / 1000) for position, when_ms in await page.evaluate("shown")]
    delays = sorted(shown[bisect.bisect_left(shown, (seq, 0.0))][1] - when for seq, when in acknowledged)
    p50, p99 = delays[len(delays) // 2], delays[len(delays) * 99 // 100]
    print(f"update delay: p50 {p50:.1f} s, p99 {p99:.1f} s, longest {delays[-1]:.1f} s, {len(shown)} updates")


def queries(data: Path) -> str:
    """Milliseconds of each question that the board asks."""
    engine, at = open_sqlite(data / "views" / "views.sqlite"), datetime.now(UTC)
    with engine.connect() as db:
        asked: dict[str, Callable[[], object]] = {
            "standing": partial(board.standing, db, PLACES, at),
            "throughput": partial(board.throughput, db, PLACES, at, CALENDAR_V1.zone, THROUGHPUT_DAYS),
            "pressing": partial(board.pressing, db, PLACES, at, LISTED_MAX),
            "uncollected": partial(desk.queue, db, Stage.PRINTED, None, 1),
            "older": partial(desk.older, db, Stage.PRINTED, None, at, AGES_DAYS),
        }
        told = ", ".join(f"{name} {milliseconds(question):.0f} ms" for name, question in asked.items())
    engine.dispose()
    return told


def milliseconds(question: Callable[[], object]) -> float:
    question()
    began = time.perf_counter()
    question()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
