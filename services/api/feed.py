"""The feed of public events for who has no NATS: a long poll from a journal position on, batches of CloudEvents 1.0."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from events.feed import sequence
from infra.journal import Journal
from infra.journal_errors import JournalDamaged
from projections.feed import feed_stream
from services.access import requires
from services.api.answer import Position, PositionAhead
from services.api.documented import QUESTION, answers
from services.tokens import ROLES

BATCH = "application/cloudevents-batch+json"
_PRINTED = {"type": "id.go.ektp.feed.application.printed.v1", "sequence": "00000000000000000041", "data": {"case": "4f…"}}
_LOOK_S = 0.1  # at a number in this process


def feed_router(journal: Journal, position: Callable[[], int]) -> APIRouter:
    """`/events`. `position`: of the journal, up to which the feed holds everything."""
    router, stream = APIRouter(tags=["feed"]), feed_stream(journal.connection)

    @router.get(
        "/events",
        response_class=Response,
        responses=answers(410, *QUESTION, media_type=BATCH, example=[_PRINTED]),
        dependencies=[Depends(requires(*ROLES))],
    )
    async def events(
        after: Annotated[Position, Query(description="`sequence` of the last event that is known.")] = 0,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
        wait: Annotated[float, Query(ge=0, le=30, description="Seconds to wait for the first event.")] = 0,
    ) -> Response:
        """Public events behind a journal position, in order; `Link: rel="next"` goes on behind the last of them."""
        head = await journal.last_seq()
        if after > head:
            raise PositionAhead(after, head)
        seen, found = position(), await _behind(stream, after, limit)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while not found:
                    while position() == seen:  # noqa: ASYNC110 (a number of this process; the feed tells nobody)
                        await asyncio.sleep(_LOOK_S)
                    seen, found = position(), await _behind(stream, after, limit)
        reached = sequence(found[-1]) if found else after
        link = f'</api/events?after={reached}&limit={limit}>; rel="next"'
        return Response(b"[" + b",".join(found) + b"]", headers={"link": link}, media_type=BATCH)

    return router


async def _behind(stream: Journal, after: int, limit: int) -> list[bytes]:
    """Up to `limit` messages that tell of journal positions behind `after`. Raises JournalDamaged, JournalBusy."""
    first, end = 1, await stream.last_seq() + 1
    while first < end:  # the sequences of the journal grow with those of the stream
        middle = (first + end) // 2
        stored = await stream.at(middle)
        if stored is None:
            raise JournalDamaged(f"{stream.stream} {middle}", "it cannot be read")
        if sequence(stored.body) > after:
            end = middle
        else:
            first = middle + 1
    return [stored.body for stored in (await stream.page(first, limit))[0]]
