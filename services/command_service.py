"""Commands as request and reply on `cmd.ektp.<office or backbone>.<command>` (contract: NATS)."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from faststream.nats import NatsBroker
from prometheus_client import generate_latest
from pydantic import BaseModel, ConfigDict, Field

from events.offices import BACKBONE_ID, office
from infra.metrics import REGISTRY
from services.answering import Answers, asked
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


def serve_office_commands(broker: NatsBroker, handler: OfficeHandler, answers: Answers) -> None:
    """Register the commands that are about an office or the backbone, likewise."""

    @broker.subscriber("cmd.ektp.{place}.outage_begin", no_reply=True, title="outage_begin")
    async def outage_begin(body: OutageBegin) -> None:
        answers.start(handler.outage(body, _key(), _correlation()))

    @broker.subscriber("cmd.ektp.{place}.outage_end", no_reply=True, title="outage_end")
    async def outage_end(body: OutageEnd) -> None:
        answers.start(handler.outage(body, _key(), _correlation()))

    for name in ("calendar_set", "standard_set"):

        @broker.subscriber(f"cmd.ektp.{BACKBONE_ID}.{name}", no_reply=True, title=name)
        async def set_rule(body: SetRule) -> None:
            answers.start(handler.set_rule(body, _key()))


def serve_commands(broker: NatsBroker, handler: CommandHandler, importer: Importer, answers: Answers) -> None:
    """Register the subscribers of the command service, on a broker with the middleware Answering, before it is started."""

    def command(name: str) -> Callable[[Callable[..., Awaitable[None]]], object]:
        return broker.subscriber(f"cmd.ektp.{{place}}.{name}", no_reply=True, title=name)

    async def done(command: AnyCommand) -> dict[str, Any]:
        return _document(command, await handler.handle(command, _key(), _correlation()))

    @command("submit")
    async def submit(body: Submit) -> None:
        place = asked().path["place"]
        if office(place).code != body.office:
            raise InvalidRequest([{"pointer": "/office", "message": f"sent to {place}"}])
        answers.start(done(body))

    async def advance(body: Advance) -> None:
        answers.start(done(body))

    for name in ("record", "queue", "print", "collect"):
        command(name)(advance)

    @command("return")
    async def return_(body: Return) -> None:
        answers.start(done(body))

    @command("cancel")
    async def cancel(body: Cancel) -> None:
        answers.start(done(body))

    @command("correct")
    async def correct(body: Correct) -> None:
        answers.start(done(body))

    @command("import")
    async def import_(body: ImportRows) -> None:
        answers.start(take(body))

    async def take(chunk: ImportRows) -> dict[str, Any]:
        outcome = await importer.take(chunk.run, chunk.rows, chunk.number, chunk.ahead)
        rejected = [[line, problem.code, problem.message("id"), problem.message("en")] for line, problem in outcome.rejected]
        return {"added": outcome.added, "already_there": outcome.already_there, "rejected": rejected}

    @broker.subscriber(f"cmd.ektp.{BACKBONE_ID}.ping", no_reply=True)
    async def ping() -> None:
        answers.start(answers.ping())

    @broker.subscriber(f"cmd.ektp.{BACKBONE_ID}.metrics", no_reply=True)
    async def metrics() -> None:
        answers.start(figures())

    async def figures() -> bytes:
        return generate_latest(REGISTRY)


def _document(command: AnyCommand, done: Done) -> dict[str, Any]:
    """The answer as contract section 2 has it."""
    if isinstance(command, Submit):
        assert done.promised is not None
        return {"receipt": done.receipt, "case": done.case, "seq": done.seq, "promised": done.promised.isoformat()}
    return {"receipt": done.receipt, "stage": done.stage, "seq": done.seq}


def _key() -> str:
    return asked().headers.get(KEY_HEADER) or secrets.token_hex(16)


def _correlation() -> str:
    return str(asked().headers.get(CORRELATION_HEADER, ""))
