"""The citizen's page: where a case stands, by the receipt alone. It names nobody, needs no login and no JavaScript.

Where the office is off line it says so, and since when; where the views lag behind the journal, nothing else is said.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import segno
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from events.calendar import CALENDAR_V1
from events.outage import OUTAGE_CAUSES
from events.problem import Problem
from events.stages import ORDER
from infra.journal import Journal
from services.access import Caller, requires
from services.office_outages import office_outages
from services.question_service import Questions
from services.questions import AskStatus
from services.rate_limits import limited
from services.web.language import lang_of
from services.web.live import STALE_AFTER, Live
from services.web.page import page
from services.web.problem_page import wants_json

_PER_MINUTE = 60  # of one address: a family, or an office's counter
_TYPED_MAX = 40  # characters of a receipt that are looked at
Desk = Annotated[Caller, Depends(requires("desk"))]


@dataclass(eq=False)
class OfficeOffline(Problem):
    """The views do not hold what was recorded since then; an answer would be stale."""

    since: datetime
    code: ClassVar[str] = "office_offline"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Kantor tidak terhubung sejak {since:%d-%m-%Y %H:%M}; keadaan permohonan belum dapat ditampilkan. "
        "Permohonan tidak hilang. Coba lagi nanti."
    )
    sentence_en: ClassVar[str] = (
        "The office has been off line since {since:%d-%m-%Y %H:%M}; where the case stands cannot be shown. "
        "Nothing of it is lost. Try again later."
    )


def status_router(questions: Questions, journal: Journal, live: Live) -> APIRouter:
    """`/status`, `/status/{receipt}` (limited by address), and for the desk `/receipt/{receipt}`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/status")
    async def ask(request: Request, receipt: str = "") -> Response:
        """A form for the receipt."""
        if receipt.strip():
            there = f"/status/{quote(receipt.strip()[:_TYPED_MAX], safe='')}"
            return RedirectResponse(there + (f"?lang={lang_of(request)}" if "lang" in request.query_params else ""), 303)
        return page(request, "ask.html")

    @router.get("/status/{receipt:path}", dependencies=[Depends(limited("status", _PER_MINUTE))])
    async def status(request: Request, receipt: str) -> Response:
        """Raises InvalidReceipt for whatever is not a receipt of a case, OfficeOffline, TooManyRequests."""
        found = await _fresh(AskStatus(receipt=receipt[:_TYPED_MAX], lang=lang_of(request)))
        if wants_json(request):
            return JSONResponse(found, headers={"vary": "Accept, Accept-Language"})
        since = await _outage_since(found)
        return page(request, "status.html", found=found, steps=_steps(found), outage_since=since)

    @router.get("/receipt/{receipt}")
    async def receipt(request: Request, receipt: str, _: Desk) -> Response:
        """To be printed: the receipt, the case id for the subscribers' desks, and the way to the citizen's page."""
        found = await _fresh(AskStatus(receipt=receipt, lang=lang_of(request)))
        there = f"{request.base_url}status/{found['receipt']}"
        code = segno.make(there, error="m").svg_inline(scale=4, light="white")
        return page(request, "receipt.html", found=found, there=there, qr=code)

    async def _fresh(ask: AskStatus) -> dict[str, Any]:
        if live.stale_since is None:
            asking = asyncio.ensure_future(questions.status(ask))
            await asyncio.wait({asking}, timeout=STALE_AFTER.total_seconds())
            if asking.done():
                return asking.result()
            asking.add_done_callback(lambda late: late.exception())
        raise OfficeOffline(live.complete_until.astimezone(CALENDAR_V1.zone))

    async def _outage_since(found: dict[str, Any]) -> datetime | None:
        cause = next((cause for cause in OUTAGE_CAUSES if cause == found["waits_for"]), None)
        return (await office_outages(journal, found["office"]))[cause][-1].began if cause else None

    return router


def _steps(found: dict[str, Any]) -> list[dict[str, Any]]:
    """The five stages: how each stands to the case, and when it came there. None is `now` in a case that was cancelled."""
    reached = {line["event"]: line["occurred"] for line in found["history"]}
    stands = ORDER.index(found["stage"]) if found["stage"] in ORDER else len(ORDER)
    steps = []
    for number, stage in enumerate(ORDER):
        at = reached.get(stage) if number <= stands else None
        how = "todo" if number > stands else "now" if number == stands else "done" if at else "skipped"
        steps.append({"stage": stage, "how": how, "at": at})
    return steps
