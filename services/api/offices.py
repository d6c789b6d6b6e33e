"""Commands that are not about a case: an office cannot work, a person is to be forgotten."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict

from events.outage import OutageCause
from services.access import Caller, requires
from services.api.answer import Instant, document
from services.api.documented import COMMAND, answers
from services.api.idempotency import IdempotencyKey
from services.commands import Actor, Reason
from services.desk import Desk
from services.erasure import Erase
from services.outage import OutageBegin, OutageEnd

_OUTAGE = {"office": "367203", "cause": "power", "open_since": "2026-11-24T09:30:00+07:00", "seq": 41}
_ERASED = {"receipt": "PM-7VPX-4TZ9-GQ1MC", "erased": "2026-11-24T09:30:00+07:00", "cases": ["4f…"], "seq": 41}


class OutageBody(BaseModel):
    """An outage begins or ends, now or at `at`."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        json_schema_extra={"examples": [{"office": "367203", "cause": "power", "does": "begin"}]},
    )
    office: str
    cause: OutageCause
    does: Literal["begin", "end"]
    at: Instant | None = None
    actor: Actor | None = None


class ErasureBody(BaseModel):
    """The person behind this receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    receipt: str
    reason: Reason
    actor: Actor | None = None


def office_router(desk: Desk) -> APIRouter:
    """`/outages` and `/erasures`."""
    router = APIRouter()

    @router.post("/outages", tags=["offices"], responses=answers(*COMMAND, example=_OUTAGE))
    async def outage(
        body: OutageBody, caller: Annotated[Caller, Depends(requires("desk", "operations"))], key: IdempotencyKey
    ) -> Response:
        """An office cannot work, or can again."""
        kind = OutageBegin if body.does == "begin" else OutageEnd
        command = kind(office=body.office, cause=body.cause, at=body.at, actor=body.actor or caller.name)
        return document(await desk.office_command(command, key))

    @router.post("/erasures", tags=["persons"], responses=answers(*COMMAND, example=_ERASED))
    async def erase(
        body: ErasureBody, caller: Annotated[Caller, Depends(requires("admin"))], key: IdempotencyKey
    ) -> Response:
        """Destroy the key of a person; the person's cases stay, and tell no more who it was."""
        command = Erase(receipt=body.receipt, reason=body.reason, actor=body.actor or caller.name)
        return document(await desk.office_command(command, key))

    return router
