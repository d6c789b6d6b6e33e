"""The operations board: first what is about to be broken, why, and what would prevent it; then what stands where.

It is made on the server and complete without JavaScript; with it, it follows the journal by server-sent events. The id of
each is the journal position, so that a browser that was away learns at once that it has missed something.
"""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from events.offices import office as known_office
from events.standard import STANDARD_V1
from services.access import Caller, requires
from services.instants import InvalidInstant, instant
from services.web.board import LISTED_MAX, Board, threats
from services.web.charts import ROW_HEIGHT, WIDTH, ageing
from services.web.live import Live
from services.web.page import page

_YEARS = range(1900, 2200)
Watcher = Annotated[Caller, Depends(requires("operations", "admin", "auditor"))]


def board_router(board: Board, live: Live) -> APIRouter:
    """`/board` and its events."""
    router = APIRouter(include_in_schema=False)

    @router.get("/board")
    async def show(request: Request, caller: Watcher, office: str = "", as_of: str = "") -> Response:
        """Of one office or all, now or as it was. Raises UnknownOffice, InvalidInstant."""
        place, then = known_office(office).code if office else None, instant(as_of or None)
        if then and then.year not in _YEARS:
            raise InvalidInstant
        figures = await (board.then(place, then) if then else board.now(place, live.position))
        return page(
            request,
            "board.html",
            office=place,
            then=then,
            as_of=as_of,
            figures=figures,
            threats=threats(figures.pressing),
            ageing=ageing(figures.cases.stages),
            picture=(WIDTH, ROW_HEIGHT),
            listed_max=LISTED_MAX,
            stale_since=None if then else live.stale_since,
            sees_cases=caller.role == "auditor",
            collection=STANDARD_V1.target("collection").limit,
        )

    @router.get("/board/events")
    async def events(_: Watcher, last_event_id: Annotated[str, Header()] = "0") -> EventSourceResponse:
        """That something changed, at most once a second; begins with where the views are, if that is news."""
        after = int(last_event_id) if last_event_id.isascii() and last_event_id.isdecimal() else 0
        return EventSourceResponse(_told(live.positions(after)))

    return router


async def _told(positions: AsyncIterator[int]) -> AsyncIterator[ServerSentEvent]:
    async for position in positions:
        yield ServerSentEvent(event="changed", id=str(position), data=str(position), retry=2_000)
