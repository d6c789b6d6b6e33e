"""Commands about cases, and where a case stands."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel, ConfigDict

from events.stages import Stage
from services.access import Caller, requires
from services.api.answer import READERS, Instant, Position, PositionAhead, When, document
from services.api.documented import COMMAND, QUESTION, answers
from services.api.idempotency import IdempotencyKey
from services.api.problems import language
from services.commands import Actor, Advance, AnyCommand, Cancel, Correct, Name, Reason, Return, Serial, Submit
from services.desk import Desk
from services.question_service import Questions
from services.questions import AskStatus

_RECEIPT = "PM-7VPX-4TZ9-GQ1MC"
_SUBMITTED = {"receipt": _RECEIPT, "case": "4f…", "seq": 41, "promised": "2026-11-25T08:00:00+07:00"}
_MOVED = answers(*COMMAND, example={"receipt": _RECEIPT, "stage": "recorded", "seq": 42})
_STATUS = {"receipt": _RECEIPT, "office": "367203", "kind": "new", "stage": "queued", "waits_for": "office", "history": []}
OfDesk = Annotated[Caller, Depends(requires("desk"))]


class SubmitBody(Submit):
    """An application, as `ektp submit` takes it. Without an actor it is the token's name."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"office": "367203", "nik": "3672036010990003", "name": "Siti Aminah", "kind": "new"}],
        }
    )
    at: Instant | None = None


class NotedBody(BaseModel):
    """When it happened, if not now; who did it, if not the token's holder."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    at: Instant | None = None
    actor: Actor | None = None
    serial: Serial | None = None
    reason: Reason | None = None


class ReturnBody(NotedBody):
    """To which earlier stage, and why."""

    to: Stage
    reason: Reason


class CancelBody(NotedBody):
    """Why."""

    reason: Reason


class CorrectBody(NotedBody):
    """Which event, and what holds instead."""

    event: str
    reason: Reason
    new_at: Instant | None = None
    new_serial: Serial | None = None
    new_actor: Actor | None = None
    new_name: Name | None = None


def case_router(desk: Desk, questions: Questions) -> APIRouter:
    """`/cases`; commands go over NATS to the writer, as everybody's do."""
    router = APIRouter(prefix="/cases", tags=["cases"])

    async def done(command: AnyCommand, caller: Caller, key: str | None) -> Response:
        named = command.model_copy(update={"actor": command.actor or caller.name})
        return document(await desk.command(named, key))

    @router.post("", status_code=201, responses=answers(*COMMAND, status=201, example=_SUBMITTED))
    async def submit(body: SubmitBody, caller: OfDesk, key: IdempotencyKey) -> Response:
        """Hand in an application; the answer has the receipt and the promised date."""
        command = Submit.model_validate(body.model_dump() | {"actor": body.actor or caller.name})
        answer = await desk.command(command, key)
        return document(answer, 201, {"location": f"/api/cases/{answer['receipt']}"})

    def advance(name: Literal["record", "queue", "print", "collect"], says: str) -> None:
        @router.post(f"/{{receipt}}/{name}", name=name, summary=says, responses=_MOVED)
        async def command(receipt: str, caller: OfDesk, key: IdempotencyKey, body: NotedBody | None = None) -> Response:
            noted = body.model_dump() if body else {}
            return await done(Advance(command=name, receipt=receipt, **noted), caller, key)

    advance("record", "Photo, fingerprints, signature and iris were taken.")
    advance("queue", "The centre found no double: print-ready.")
    advance("print", "A card is in hand and was checked.")
    advance("collect", "The resident has the card.")

    @router.post("/{receipt}/return", responses=_MOVED)
    async def return_(receipt: str, body: ReturnBody, caller: OfDesk, key: IdempotencyKey) -> Response:
        """Send a case back to an earlier stage."""
        return await done(Return(receipt=receipt, **body.model_dump()), caller, key)

    @router.post("/{receipt}/cancel", responses=_MOVED)
    async def cancel(receipt: str, body: CancelBody, caller: OfDesk, key: IdempotencyKey) -> Response:
        """End a case without a card."""
        return await done(Cancel(receipt=receipt, **body.model_dump()), caller, key)

    @router.post("/{receipt}/correct", responses=_MOVED)
    async def correct(receipt: str, body: CorrectBody, caller: OfDesk, key: IdempotencyKey) -> Response:
        """Put right what an event says; the event itself stays."""
        return await done(Correct(receipt=receipt, **body.model_dump()), caller, key)

    @router.get(
        "/{receipt}",
        responses=answers(304, 404, 410, *QUESTION, example=_STATUS),
        dependencies=[Depends(requires(*READERS))],
    )
    async def status(
        request: Request,
        receipt: str,
        when: When,
        at_least: Annotated[
            Position, Query(alias="at-least", description="Not before this position, as a command told.")
        ] = 0,
        if_none_match: Annotated[str | None, Header(description="The ETag of the answer that is known.")] = None,
    ) -> Response:
        """Where a case stands. The ETag is the journal's position; nothing can have changed before that does.

        The answer always holds what was acknowledged before it was asked for, so nobody misses a write of one's own;
        `at-least` also notices a journal that was restored to an earlier state.
        """
        lang, head = language(request), (await questions.lag())["head"]
        if at_least > head:
            raise PositionAhead(at_least, head)
        etag = f'W/"{head}-{lang}"'
        headers = {"etag": etag, "content-language": lang, "vary": "accept-language", "cache-control": "private, no-cache"}
        if etag in (if_none_match or ""):
            return Response(status_code=304, headers=headers)
        return document(await questions.status(AskStatus(receipt=receipt, lang=lang, **when)), headers=headers)

    return router
