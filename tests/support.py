"""What tests against a real server share: events, faults that are done to it, and a link that loses its answers."""

import asyncio
import os
import signal
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

from events.application import Recorded
from events.envelope import Event, case_subject, decode, encode
from infra.data_folder import DataFolder
from infra.group_commit import Change
from infra.journal import Journal, Stored
from infra.journal_reader import read
from infra.nats_client import QuickClient
from infra.nats_configuration import HOST, stream_directory
from infra.nats_connection import connect
from infra.nats_server import NatsServer, start

OFFICE = "367203"


def subject(case: str) -> str:
    return case_subject(OFFICE, case)


def event_id(case: str, version: int) -> str:
    return blake2b(f"{case} {version}".encode(), digest_size=16).hexdigest()


def change(case: str, expected_seq: int = 0, first: int = 1, count: int = 1, serial: str | None = None) -> Change:
    """The events `first`, `first` + 1, … of a case; another `serial` is another content under the same ids."""
    fact, occurred = Recorded(digest="d", serial=serial), datetime(2026, 1, 5, 9, tzinfo=UTC)
    events = [
        Event(event_id(case, version), OFFICE, case, version, occurred, fact) for version in range(first, first + count)
    ]
    return Change(subject(case), expected_seq, [encode(event, fact.model_dump(exclude_none=True)) for event in events])


async def stored(journal: Journal) -> list[Stored]:
    """The journal from its first event to its head."""
    return [one async for batch in read(journal, 0, await journal.last_seq()) for one in batch]


async def events(journal: Journal) -> list[Event]:
    """Likewise, decoded; no event is there twice."""
    found = [decode(one.body, one.seq) for one in await stored(journal)]
    assert [(event, count) for event, count in Counter(event.id for event in found).items() if count > 1] == []
    return found


@asynccontextmanager
async def connected_writer(server: NatsServer, url: str = "") -> AsyncIterator[QuickClient]:
    """The writer's connection, by way of `url` if given."""
    connection = await connect(server.folder, "writer", url or server.url)
    try:
        yield connection
    finally:
        await connection.close()


async def kill(server: NatsServer) -> None:
    """kill -9."""
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL


@asynccontextmanager
async def frozen(server: NatsServer) -> AsyncIterator[None]:
    """A server that takes what is sent to it and answers nothing, until the end of the block."""
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert os.waitid(os.P_PID, server.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads stand still
        yield
    finally:
        os.kill(server.pid, signal.SIGCONT)


@asynccontextmanager
async def damaged(server: NatsServer, *seqs: int) -> AsyncIterator[Journal]:
    """The journal after a clean stop, a flipped bit in the body of each of these records, and a start (nats-server#8632)."""
    await server.stop()
    assert server.folder.clean_stop.exists()
    for seq in seqs:
        flip_bit(server.folder, seq)
    again = await start(server.folder)
    async with connected_writer(again) as connection:
        journal = Journal(connection)
        state = (await journal.info())["state"]
        assert (state["messages"], state.get("num_deleted", 0)) == (state["last_seq"], 0)  # the server knows of no hole
        assert [await journal.at(seq) for seq in seqs] == [None] * len(seqs)
        yield journal
    await again.stop()


def flip_bit(folder: DataFolder, seq: int, stream: str = "EKTP") -> None:
    """In the body of a record: u32 length (top bit: has headers), u64 sequence, i64 time, …, body, 8 bytes of checksum."""
    for block in (stream_directory(folder, stream) / "msgs").glob("*.blk"):
        content, at = bytearray(block.read_bytes()), 0
        while at < len(content):
            length, found = struct.unpack_from("<IQ", content, at)
            at += length & 0x7FFF_FFFF
            if found == seq:
                content[at - 20] ^= 1
                block.write_bytes(content)
                return
    raise AssertionError(f"no record {seq}")


class Link:
    """A link between clients and the server that loses acknowledgements of appends: use `lossy_link`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.to_lose = 0  # acknowledgements still to be lost
        self.how: Literal["drop", "cut"] = "drop"  # cut: the connection goes with it
        self.lost: list[bytes] = []

    async def carry(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection, until either end has closed or it is cut."""
        from_server, to_server = await asyncio.open_connection(HOST, self._port)
        ways = [
            asyncio.create_task(_copy(from_client, to_server)),
            asyncio.create_task(self._answers(from_server, to_client)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        to_client.close()
        to_server.close()

    async def _answers(self, from_server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """What the server says, message by message: `MSG|HMSG <subject> <sid> … <size>`, then the payload."""
        while line := await from_server.readline():
            if line.startswith((b"MSG ", b"HMSG ")):
                payload = await from_server.readexactly(int(line.split()[-1]) + 2)
                if self.to_lose and payload.startswith(b'{"stream":"'):  # a refusal begins otherwise
                    self.to_lose -= 1
                    self.lost.append(payload)
                    if self.how == "cut":
                        return
                    continue
                line += payload
            to_client.write(line)
            await to_client.drain()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while some := await reader.read(65_536):
        writer.write(some)
        await writer.drain()


@asynccontextmanager
async def lossy_link(server: NatsServer) -> AsyncIterator[tuple[Link, str]]:
    """A link to the server, and the URL that leads through it."""
    link = Link(server.port)
    listening = await asyncio.start_server(link.carry, HOST, 0)
    try:
        yield link, f"nats://{HOST}:{listening.sockets[0].getsockname()[1]}"
    finally:
        listening.close()
