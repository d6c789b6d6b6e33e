"""What the office and operations look at: coverage, desk, uncollected cards, targets; also of another time.

A long list comes in parts: `next` of an answer is the `cursor` of the question for the next part, null at the end.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from fastapi import APIRouter, Depends, Query, Response

from events.problem import Problem
from projections.desk import PAGE_ROWS
from services.access import requires
from services.api.answer import READERS, Instant, Office, When, document
from services.api.documented import QUESTION, answers
from services.question_service import Questions
from services.questions import AskCoverage, AskDesk, AskRest, AskSla

_PAGE = b"page "
Cursor = Annotated[str | None, Query(description="`next` of the answer before.", max_length=100)]


@dataclass(eq=False)
class InvalidCursor(Problem):
    """Not a cursor of ours."""

    code: ClassVar[str] = "invalid_cursor"
    sentence_id: ClassVar[str] = "Cursor ini tidak dikenal. Ambil dari `next` jawaban sebelumnya, atau mulai tanpa cursor."
    sentence_en: ClassVar[str] = "This cursor is not known. Take `next` of the answer before, or start without one."


def view_router(questions: Questions) -> APIRouter:
    """`/coverage`, `/desk`, `/uncollected`, `/sla`."""
    router = APIRouter(tags=["views"], dependencies=[Depends(requires(*READERS))])

    @router.get("/coverage", responses=answers(*QUESTION, example={"rows": [], "total": {"recorded": 245122}}))
    async def coverage(when: When, office: Office = None) -> Response:
        """Persons recorded and cards printed per office, beside how many are obliged."""
        return document(await questions.coverage(AskCoverage(office=office, **when)))

    @router.get("/desk", responses=answers(*QUESTION, example={"page": 1, "stages": [], "next": None}))
    async def desk(when: When, office: Office = None, cursor: Cursor = None) -> Response:
        """The queue of each open stage, oldest first."""
        page = _page(cursor)
        told = await questions.desk(AskDesk(office=office, page=page, **when))
        return _part(told, page, max(stage["count"] for stage in told["stages"]))

    @router.get("/uncollected", responses=answers(*QUESTION, example={"page": 1, "count": 0, "cases": [], "next": None}))
    async def uncollected(when: When, office: Office = None, cursor: Cursor = None) -> Response:
        """Printed cards that nobody has fetched, oldest first."""
        page = _page(cursor)
        told = await questions.uncollected(AskDesk(office=office, page=page, **when))
        return _part(told, page, told["count"])

    @router.get(
        "/sla", responses=answers(410, *QUESTION, example={"running": 12, "at_risk": [], "breached": [], "next": None})
    )
    async def sla(
        when: When,
        office: Office = None,
        since: Annotated[Instant | None, Query(description="Breached: due from then on; not given: 90 days.")] = None,
        recomputed: bool = False,
        cursor: Cursor = None,
    ) -> Response:
        """Which targets run, are at risk or were breached, and through what. A cursor of this one is good for one time."""
        if cursor:
            told = await questions.rest(AskRest(rest=cursor))
        else:
            told = await questions.sla(AskSla(office=office, since=since, recomputed=recomputed, **when))
        told["next"] = told.pop("rest")
        return document(told)

    return router


def _part(told: dict[str, Any], page: int, count: int) -> Response:
    more = count > page * PAGE_ROWS
    return document(told | {"next": urlsafe_b64encode(_PAGE + b"%d" % (page + 1)).decode() if more else None})


def _page(cursor: str | None) -> int:
    """Raises InvalidCursor."""
    if cursor is None:
        return 1
    try:
        page = int(urlsafe_b64decode(cursor).removeprefix(_PAGE))
    except ValueError:
        raise InvalidCursor from None
    if not 1 < page <= 1_000_000:
        raise InvalidCursor
    return page
