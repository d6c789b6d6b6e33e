"""Submissions and status questions over HTTP beside the same over NATS, 1 and 8 in flight: what the API costs.

One backbone, interleaved rounds, medians; run by `.venv/bin/python -m tests.bench.bench_http`. The client is bare sockets:
an HTTP library would be slower than what is measured.
"""

import argparse
import asyncio
import socket
import statistics
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from infra.data_folder import open_folder
from infra.folder_lock import take_owner
from infra.nats_client import QuickClient
from infra.nats_configuration import HOST
from infra.nats_connection import connect, to_the_end
from services.backbone import Backbone
from services.tokens import add_token
from tests.bench.bench_append import OFFICE, at_once, somebody, submit

IN_FLIGHT = (1, 8)
Ask = Callable[[str, str, bytes], Awaitable[bytes]]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--calls", type=int, default=1_000)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measured = asyncio.run(to_the_end(measure(Path(scratch), asked.rounds, asked.calls)))
    print("| per second | HTTP | NATS | ratio |\n|---|---|---|---|")
    for what, (http, nats) in measured.items():
        print(f"| {what} | {http:.0f} | {nats:.0f} | {http / nats:.2f} |")


async def measure(scratch: Path, rounds: int, calls: int) -> dict[str, tuple[float, float]]:
    """(HTTP, NATS) per second of each, the medians of the rounds."""
    rates = defaultdict[tuple[str, str], list[float]](list)
    folder, listening = open_folder(scratch / "data"), socket.create_server((HOST, 0))
    token = add_token(folder, "bench", "desk")
    with await take_owner(folder, 0):
        async with Backbone(folder, http=listening) as backbone, over_http(listening.getsockname()[1], token) as ask:
            desk = await connect(folder, "desk", backbone.server.url)
            case = orjson.loads(await ask("POST", "/api/cases", application()))["receipt"]
            jobs: dict[tuple[str, str], Callable[[], Awaitable[object]]] = {
                ("submit", "HTTP"): lambda: ask("POST", "/api/cases", application()),
                ("submit", "NATS"): submit(desk),
                ("status", "HTTP"): lambda: ask("GET", f"/api/cases/{case}", b""),
                ("status", "NATS"): status(desk, case),
            }
            for _ in range(rounds):
                for in_flight in IN_FLIGHT:
                    for (what, way), call in jobs.items():
                        rate, _ = await at_once(in_flight, calls, call)
                        rates[f"{what}, {in_flight} in flight", way].append(rate)
            await desk.close()
    medians = {key: statistics.median(each) for key, each in rates.items()}
    return {what: (medians[what, "HTTP"], medians[what, "NATS"]) for what, way in medians if way == "HTTP"}


def application() -> bytes:
    return orjson.dumps({"office": OFFICE, "nik": somebody(), "name": "Siti Rahayu", "kind": "new"})


def status(desk: QuickClient, case: str) -> Callable[[], Awaitable[object]]:
    async def question() -> None:
        reply = await desk.request("ask.ektp.3672.status", orjson.dumps({"receipt": case}), 10)
        assert not reply.headers, reply.data

    return question


@asynccontextmanager
async def over_http(port: int, token: str) -> AsyncIterator[Ask]:
    """(method, path, body) -> body of the answer, which must be good, over as many kept connections as are in flight."""
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def ask(method: str, path: str, body: bytes) -> bytes:
        while idle and idle[-1][0].at_eof():  # the server keeps an idle one for 5 s
            idle.pop()[1].close()
        reader, writer = idle.pop() if idle else await asyncio.open_connection(HOST, port)
        head = f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        first, *fields = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
        size = next(int(field.split(":")[1]) for field in fields if field.startswith("content-length:"))
        answer = await reader.readexactly(size)
        assert first.split()[1] in {"200", "201"}, answer
        idle.append((reader, writer))
        return answer

    yield ask
    for _, writer in idle:
        writer.close()


if __name__ == "__main__":
    main()
