"""A subscriber's folder: its credentials, a program of its own that runs there, and what it is told."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from events.envelope import Event
from events.feed import Message, public
from infra.journal import Journal
from infra.nats_leftover import die_with_parent
from infra.nats_server import NatsServer
from projections.feed import STREAM, feed_stream
from services.subscribers import add
from tests.applications import COLLECTED, NOW, OFFICE
from tests.telling import reader_of


class Bank:
    """It hears what is collected and breached, and is told in place of the feed: cases named after their position."""

    def __init__(self, folder: Path, given: dict[str, Any], reader: Journal) -> None:
        self.folder, self._reader = folder, reader
        (folder / "bank.json").write_text(json.dumps(given))

    async def is_told(self, *seqs: int) -> None:
        for seq in seqs:
            await self.is_sent(*message_of(seq))

    async def is_sent(self, subject: str, body: bytes) -> None:
        async with asyncio.timeout(20):
            while not self._reader.connection.is_connected:  # the server was started again
                await asyncio.sleep(0.01)
        await self._reader.connection.request(subject, body)

    async def is_told_again_after(self, ack_wait_s: float) -> None:
        """What it does not acknowledge; as it is added, after 30 s."""
        feed = feed_stream(self._reader.connection)
        config = (await feed.api(f"CONSUMER.INFO.{STREAM}.bank", None))["config"] | {"ack_wait": int(ack_wait_s * 1e9)}
        await feed.api(f"CONSUMER.CREATE.{STREAM}.bank", {"stream_name": STREAM, "config": config, "action": "update"})

    @contextmanager
    def runs(self, *command: str) -> Iterator["subprocess.Popen[str]"]:
        """Until the end of the block; then kill -9."""
        with subprocess.Popen(
            command, cwd=self.folder, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent()  # noqa: PLW1509
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()


@asynccontextmanager
async def bank_of(server: NatsServer, folder: Path) -> AsyncIterator[Bank]:
    async with reader_of(server) as reader:
        feed = feed_stream(reader.connection)
        given = await add(feed, server.folder, server.url, "bank", ["collected", "breached"], OFFICE)
        yield Bank(folder, given, reader)


def message_of(seq: int, event_id: str = "") -> Message:
    """That a card was collected, as the feed tells it."""
    event = Event(event_id or f"{seq:032x}", OFFICE, f"case {seq}", 5, NOW, COLLECTED, recorded=NOW, seq=seq)
    message = public(event)
    assert message
    return message
