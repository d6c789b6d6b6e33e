"""What tests of the feed share: telling it, and what it holds beside what it should hold."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from events.feed import Message, public
from infra.journal import Journal
from infra.nats_connection import connect
from infra.nats_server import NatsServer
from projections.feed import Feed, feed_stream
from tests.support import events


@asynccontextmanager
async def reader_of(server: NatsServer) -> AsyncIterator[Journal]:
    """The journal as the reader has it."""
    connection = await connect(server.folder, "reader", server.url)
    try:
        yield Journal(connection)
    finally:
        await connection.close()


@asynccontextmanager
async def telling(*feeds: Feed) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(feed.run()) for feed in feeds]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def reaches(feed: Feed, position: int) -> None:
    async with asyncio.timeout(30):
        while feed.position < position:
            await asyncio.sleep(0.01)


async def told(reader: Journal) -> list[Message]:
    """All that the feed holds."""
    return [Message(one.subject, one.body) for one in await feed_stream(reader.connection).messages(">")]


async def to_tell(journal: Journal) -> list[Message]:
    """All that it should hold."""
    return [message for event in await events(journal) if (message := public(event))]
