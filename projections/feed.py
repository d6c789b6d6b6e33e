"""The feed's stream: a projection whose rows are messages. Reads the journal in order, tells what is public (events.feed).

Its position is the `sequence` of its own last message, so it needs no other record, and an append expects that message to
be the last: whoever is killed, cut off or overtaken starts again from there, and nothing repeats or is left out. Facts that
are not public leave no message: after a restart those since the last public one are read again. There are few in a row,
as most come with a public one, and they are read at 100,000 a second, so this needs no checkpoint.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from itertools import islice

import structlog
from prometheus_client import Gauge

from events.envelope import decode
from events.feed import Message, public, sequence
from events.problem import Problem
from infra import tracing
from infra.atomic_batch import store_behind
from infra.journal import BATCH_MESSAGES_MAX, Journal, Stored
from infra.journal import STREAM_CONFIG as JOURNAL_CONFIG
from infra.journal_reader import read
from infra.metrics import REGISTRY
from infra.nats_client import QuickClient

log = structlog.get_logger()

STREAM = "EKTP_FEED"
STREAM_CONFIG = JOURNAL_CONFIG | {
    "name": STREAM,
    "subjects": ["ektp.feed.*.*.*"],
    # who merely listens hears what is stored, not a batch that was refused
    "republish": {"src": "ektp.feed.>", "dest": "live.ektp.feed.>"},
}
_AGAIN_S = 1.0

POSITION = Gauge("ektp_feed_position", "Journal position up to which the feed holds everything.", registry=REGISTRY)
LAG = Gauge("ektp_feed_lag_events", "How far the feed is behind the journal's head.", registry=REGISTRY)


def feed_stream(connection: QuickClient) -> Journal:
    """The feed's stream, to be looked at as the journal is."""
    return Journal(connection, config=STREAM_CONFIG)


class Feed:
    """Keeps the feed up to the journal's head for as long as `run` runs."""

    def __init__(self, journal: Journal, may_append: Callable[[], None] = lambda: None) -> None:
        """`may_append` raises what speaks against storing anything, such as a nearly full disk."""
        self._journal, self._stream, self._may_append = journal, feed_stream(journal.connection), may_append
        self._last_seq = 0  # of the stream
        self.position = 0  # of the journal

    async def run(self) -> None:
        """Follow the journal until cancelled. Trouble of any kind: say so, the same only once, and start again."""
        said = ""
        while True:
            try:
                await self._follow()
            except Exception as trouble:
                says = str(trouble) if isinstance(trouble, Problem) else type(trouble).__name__
                if says != said:
                    log.warning("feed starts again", position=self.position, says=says)
                said = says
                await asyncio.sleep(_AGAIN_S)

    def tell_lag(self, head: int) -> None:
        """Set the metric, as the journal ends at `head`."""
        LAG.set(head - self.position)

    async def _follow(self) -> None:
        await self._stream.create()
        newest = await self._stream.newest()
        self._last_seq, self.position = (newest.seq, sequence(newest.body)) if newest else (0, 0)
        async with aclosing(read(self._journal, self.position)) as batches:
            async for batch in batches:
                with tracing.batch("ektp.feed", batch):
                    messages = iter(await asyncio.to_thread(_public, batch))
                    while some := list(islice(messages, BATCH_MESSAGES_MAX)):
                        await self._append(some)
                self.position = batch[-1].seq
                POSITION.set(self.position)

    async def _append(self, messages: list[Message]) -> None:
        """Store them all behind the last, or none. Raises Problem, nats' errors, TimeoutError, and then perhaps it has."""
        self._may_append()
        self._last_seq = await store_behind(self._stream, self._last_seq, messages)


def _public(batch: Sequence[Stored]) -> list[Message]:
    """Raises UnreadableEvent: a later version knows it, and subscribers get it then, in its place."""
    told = (public(decode(stored.body, stored.seq)) for stored in batch)
    return [message for message in told if message]
