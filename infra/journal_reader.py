"""Reading the journal in order, from any position, to its head or on and on.

An ephemeral pull consumer without acknowledgements, made afresh on any doubt: the reader's own position is the only
record of progress. Requests are sent ahead and answered into one inbox. A hole, or messages that the server counts but
never sends, stop the reader: nats-server#8632 skips damaged records silently.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncGenerator

import nats.errors
import orjson
import structlog
from nats.aio.msg import Msg

from infra.journal import Journal, Stored
from infra.journal_errors import JournalBusy, JournalDamaged
from infra.nats_client import Headers

log = structlog.get_logger()

BATCH_MAX = 1_000
_AHEAD_MAX = 16 * BATCH_MAX  # messages asked for and not yet handed on: bounds the memory, and a batch handed on
_REQUEST = orjson.dumps({"batch": BATCH_MAX, "expires": 30_000_000_000, "idle_heartbeat": 1_000_000_000})
_SILENCE_MAX_S = 3.0  # the server sends a heartbeat each second while a request is open


async def read(journal: Journal, after: int, until: int | None = None) -> AsyncGenerator[list[Stored], None]:
    """Batches of 1 to 8,000 messages with the positions after + 1, after + 2, …; to `until`, or on and on.

    Raises JournalDamaged behind the last event before one that cannot be read, and when the journal ends before `after`.
    Waits for the server as long as it takes.
    """
    position = after
    while until is None or position < until:
        try:
            async with contextlib.aclosing(_consume(journal, position)) as batches:
                async for batch in batches:
                    new = [stored for stored in batch if stored.seq > position]  # what comes again counts once
                    missing = next((seq for seq, stored in enumerate(new, position + 1) if stored.seq != seq), None)
                    whole = new[: missing - position - 1] if missing else new
                    position += len(whole)
                    if wanted := whole if until is None else [stored for stored in whole if stored.seq <= until]:
                        yield wanted
                    if until is not None and position >= until:
                        return
                    if missing:
                        raise JournalDamaged(f"event {missing}", f"the server goes on with {new[len(whole)].seq}")
        except (_Stale, nats.errors.Error, JournalBusy) as doubt:
            log.debug("reader starts again", position=position, why=repr(doubt))
            await asyncio.sleep(0.2)


class _Stale(Exception):
    """The consumer is gone or silent: make a new one."""


async def _consume(journal: Journal, after: int) -> AsyncGenerator[list[Stored], None]:
    """What one consumer delivers, until it is gone. Raises _Stale, JournalDamaged."""
    head = await journal.last_seq()
    if head < after:
        raise JournalDamaged(f"event {head + 1}", f"the journal ends at {head}, and this reader was at {after}")
    name = f"r{secrets.token_hex(8)}"
    config = {
        "name": name,
        "deliver_policy": "by_start_sequence",
        "opt_start_seq": after + 1,
        "ack_policy": "none",
        "mem_storage": True,
        "inactive_threshold": 30_000_000_000,
    }
    consumer = await journal.api(
        f"CONSUMER.CREATE.{journal.stream}.{name}", {"stream_name": journal.stream, "config": config}
    )
    inbox = _Inbox(journal, name, consumer["num_pending"])
    subscription = await journal.connection.tap(inbox.subject, inbox.take, inbox.remark)
    try:
        await inbox.ask()
        while True:
            batch = await inbox.next_batch()
            if batch:
                after = batch[-1].seq
                yield batch
                await inbox.ask()
            elif inbox.pending and await journal.at(after + 1) is None:
                raise JournalDamaged(f"event {after + 1}", f"the server counts {inbox.pending} more and sends none")
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()
            await journal.connection.publish(f"$JS.API.CONSUMER.DELETE.{journal.stream}.{name}")


class _Inbox:
    """Where one consumer's messages arrive."""

    def __init__(self, journal: Journal, consumer: str, pending: int) -> None:
        self.subject = journal.connection.new_inbox()
        self.pending = pending  # what the server says it has yet to send
        self._connection = journal.connection
        self._next_subject = f"$JS.API.CONSUMER.MSG.NEXT.{journal.stream}.{consumer}"
        self._messages: deque[Stored] = deque()
        self._asked = 0  # messages asked for and not yet arrived
        self._arrived = asyncio.Event()
        self._remarked = False
        self._stale: str | None = None

    async def ask(self) -> None:
        """Keep requests ahead of what is read."""
        while self._asked + len(self._messages) <= _AHEAD_MAX - BATCH_MAX:
            self._asked += BATCH_MAX
            await self._connection.publish(self._next_subject, _REQUEST, reply=self.subject)

    def take(self, subject: bytes, reply: bytes, body: bytes, headers: bytes) -> None:
        """One message; `reply`: $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>."""
        tokens = reply.split(b".")
        self._messages.append(Stored(int(tokens[5]), subject.decode(), body, Headers(headers) if headers else None))
        self.pending = int(tokens[8])
        self._asked -= 1
        self._arrived.set()

    async def remark(self, message: Msg) -> None:
        """One of the server's remarks on a request."""
        headers = message.headers or {}
        status = headers.get("Status")
        if status == "408":  # the request ran out
            self._asked -= int(headers.get("Nats-Pending-Messages", 0))
            await self.ask()
        elif status != "100":  # 100: heartbeat
            self._stale = f"{status} {headers.get('Description', '')}"
        self._remarked = True
        self._arrived.set()

    async def next_batch(self) -> list[Stored]:
        """What was asked for, as far as the server has it; empty after a heartbeat. Raises _Stale.

        A part of it would do, but what arrives while somebody works on the last batch slows both down.
        """
        self._remarked = False
        while not self._stale and not self._remarked and (not self._messages or (self._asked and self.pending)):
            self._arrived.clear()
            try:
                async with asyncio.timeout(_SILENCE_MAX_S):
                    await self._arrived.wait()
            except TimeoutError:
                self._stale = "silence"
        if self._stale and not self._messages:
            raise _Stale(self._stale)
        return [self._messages.popleft() for _ in range(len(self._messages))]
