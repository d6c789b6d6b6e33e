"""Commands as request and reply on `cmd.ektp.<office or backbone>.<command>` (contract: NATS)."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from faststream import Path
from faststream.nats import NatsBroker, NatsMessage
from faststream.nats.prometheus import NatsPrometheusMiddleware
from prometheus_client import generate_latest
from pydantic import BaseModel, ConfigDict, Field

from events.offices import BACKBONE_ID, office
from infra.metrics import REGISTRY
from services.answering import Answering, Answers
from services.command_handler import CommandHandler, Done
from services.commands import Advance, AnyCommand, Cancel, Correct, Return, Submit
from services.office_handler import OfficeHandler, SetRule
from services.outage import OutageBegin, OutageEnd
from services.register.importer import Importer
from services.register.row import COLUMNS, ROWS_MAX
from services.wire import CORRELATION_HEADER, KEY_HEADER, InvalidRequest

Cells = Annotated[list[str], Field(min_length=len(COLUMNS), max_length=len(COLUMNS))]  # in the order of COLUMNS


class ImportRows(BaseModel):
    """A chunk of a register book. `run` is the same for all chunks of one import, `number` counts them from 0; `ahead`:
    the answer for the one before had not come when this one was sent."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    run: str
    number: int = 0
    ahead: bool = False
    rows: Annotated[list[tuple[int, Cells]], Field(max_length=ROWS_MAX)]  # line in the file, cells


MIDDLEWARES = (Answering, NatsPrometheusMiddleware(registry=REGISTRY, app_name="writer"))


def serve_office_commands(broker: NatsBroker, handler: OfficeHandler, answers: Answers) -> None:
    """Register the commands that are about an office or the backbone, likewise."""

    def key(message: NatsMessage) -> str:
        return message.headers.get(KEY_HEADER) or secrets.token_hex(16)

    @broker.subscriber("cmd.ektp.{place}.outage_begin", no_reply=True, title="outage_begin")
    async def outage_begin(body: OutageBegin, message: NatsMessage) -> None:
        answers.start(message, handler.outage(body, key(message), message.headers.get(CORRELATION_HEADER, "")))

    @broker.subscriber("cmd.ektp.{place}.outage_end", no_reply=True, title="outage_end")
    async def outage_end(body: OutageEnd, message: NatsMessage) -> None:
        answers.start(message, handler.outage(body, key(message), message.headers.get(CORRELATION_HEADER, "")))

    for name in ("calendar_set", "standard_set"):

        @broker.subscriber(f"cmd.ektp.{BACKBONE_ID}.{name}", no_reply=True, title=name)
        async def set_rule(body: SetRule, message: NatsMessage) -> None:
            answers.start(message, handler.set_rule(body, key(message)))


def serve_commands(broker: NatsBroker, handler: CommandHandler, importer: Importer, answers: Answers) -> None:
    """Register the subscribers of the command service, on a broker with MIDDLEWARES, before it is started."""

    def command(name: str) -> Callable[[Callable[..., Awaitable[None]]], object]:
        return broker.subscriber(f"cmd.ektp.{{place}}.{name}", no_reply=True, title=name)

    async def done(command: AnyCommand, message: NatsMessage) -> dict[str, Any]:
        key = message.headers.get(KEY_HEADER) or secrets.token_hex(16)
        return _document(command, await handler.handle(command, key, message.headers.get(CORRELATION_HEADER, "")))

    @command("submit")
    async def submit(body: Submit, message: NatsMessage, place: Annotated[str, Path()]) -> None:
        if office(place).code != body.office:
            raise InvalidRequest([{"pointer": "/office", "message": f"sent to {place}"}])
        answers.start(message, done(body, message))

    async def advance(body: Advance, message: NatsMessage) -> None:
        answers.start(message, done(body, message))

    for name in ("record", "queue", "print", "collect"):
        command(name)(advance)

    @command("return")
    async def return_(body: Return, message: NatsMessage) -> None:
        answers.start(message, done(body, message))

    @command("cancel")
    async def cancel(body: Cancel, message: NatsMessage) -> None:
        answers.start(message, done(body, message))

    @command("correct")
    async def correct(body: Correct, message: NatsMessage) -> None:
        answers.start(message, done(body, message))

    @command("import")
    async def import_(body: ImportRows, message: NatsMessage) -> None:
        answers.start(message, take(body))

    async def take(chunk: ImportRows) -> dict[str, Any]:
        outcome = await importer.take(chunk.run, chunk.rows, chunk.number, chunk.ahead)
        rejected = [[line, problem.code, problem.message("id"), problem.message("en")] for line, problem in outcome.rejected]
        return {"added": outcome.added, "already_there": outcome.already_there, "rejected": rejected}

    @broker.subscriber(f"cmd.ektp.{BACKBONE_ID}.ping", no_reply=True)
    async def ping(message: NatsMessage) -> None:
        answers.start(message, answers.ping())

    @broker.subscriber(f"cmd.ektp.{BACKBONE_ID}.metrics", no_reply=True)
    async def metrics(message: NatsMessage) -> None:
        answers.start(message, figures())

    async def figures() -> bytes:
        return generate_latest(REGISTRY)


def _document(command: AnyCommand, done: Done) -> dict[str, Any]:
    """The answer as contract section 2 has it."""
    if isinstance(command, Submit):
        assert done.promised is not None
        return {"receipt": done.receipt, "case": done.case, "seq": done.seq, "promised": done.promised.isoformat()}
    return {"receipt": done.receipt, "stage": done.stage, "seq": done.seq}
