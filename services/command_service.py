"""Commands as request and reply on `cmd.ektp.<office or backbone>.<command>` (contract: NATS)."""

import secrets
from typing import Annotated, Any

from faststream.nats import NatsBroker
from prometheus_client import generate_latest
from pydantic import BaseModel, ConfigDict, Field

from events.offices import BACKBONE_ID, office
from infra import tracing
from infra.metrics import REGISTRY
from services.answering import Answers, asked
from services.command_handler import CommandHandler, Done
from services.commands import Advance, AnyCommand, Cancel, Correct, Return, Submit
from services.erasure import Erase
from services.erasure_handler import ErasureHandler
from services.office_handler import OfficeHandler
from services.outage import OutageBegin, OutageEnd
from services.register.importer import Importer
from services.register.row import COLUMNS, ROWS_MAX
from services.rules import SetRule
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
    """Register the commands that are about an office or the backbone."""

    async def outage(command: OutageBegin | OutageEnd) -> dict[str, Any]:
        return await handler.outage(command, _key(), _correlation())

    async def set_rule(command: SetRule) -> dict[str, Any]:
        return await handler.set_rule(command, _key())

    answers.serve(broker, "cmd.ektp.{place}.outage_begin", outage, OutageBegin)
    answers.serve(broker, "cmd.ektp.{place}.outage_end", outage, OutageEnd)
    answers.serve(broker, f"cmd.ektp.{BACKBONE_ID}.calendar_set", set_rule, SetRule)
    answers.serve(broker, f"cmd.ektp.{BACKBONE_ID}.standard_set", set_rule, SetRule)


def serve_erasure(broker: NatsBroker, handler: ErasureHandler, answers: Answers) -> None:
    """Register the command that is about a person."""

    async def erase(command: Erase) -> dict[str, Any]:
        return await handler.erase(command, _key(), _correlation())

    answers.serve(broker, f"cmd.ektp.{BACKBONE_ID}.erase", erase, Erase)


def serve_commands(broker: NatsBroker, handler: CommandHandler, importer: Importer, answers: Answers) -> None:
    """Register the commands that are about cases, and what is asked of the writer itself."""

    async def done(command: AnyCommand) -> dict[str, Any]:
        place = asked().path["place"]
        if isinstance(command, Submit) and office(place).code != command.office:
            raise InvalidRequest([{"pointer": "/office", "message": f"sent to {place}"}])
        return _document(command, await handler.handle(command, _key(), _correlation()))

    async def take(chunk: ImportRows) -> dict[str, Any]:
        outcome = await importer.take(chunk.run, chunk.rows, chunk.number, chunk.ahead)
        rejected = [[line, problem.code, problem.message("id"), problem.message("en")] for line, problem in outcome.rejected]
        return {"added": outcome.added, "already_there": outcome.already_there, "rejected": rejected}

    async def figures() -> bytes:
        return generate_latest(REGISTRY)

    commands = {"submit": Submit, "return": Return, "cancel": Cancel, "correct": Correct}
    commands |= dict.fromkeys(("record", "queue", "print", "collect"), Advance)
    for name, command in commands.items():
        answers.serve(broker, f"cmd.ektp.{{place}}.{name}", done, command)
    answers.serve(broker, "cmd.ektp.{place}.import", take, ImportRows)
    answers.serve(broker, f"cmd.ektp.{BACKBONE_ID}.ping", answers.ping)
    answers.serve(broker, f"cmd.ektp.{BACKBONE_ID}.metrics", figures)


def _document(command: AnyCommand, done: Done) -> dict[str, Any]:
    """The answer as contract section 2 has it."""
    if isinstance(command, Submit):
        assert done.promised is not None
        return {"receipt": done.receipt, "case": done.case, "seq": done.seq, "promised": done.promised.isoformat()}
    return {"receipt": done.receipt, "stage": done.stage, "seq": done.seq}


def _key() -> str:
    return asked().headers.get(KEY_HEADER) or secrets.token_hex(16)


def _correlation() -> str:
    return str(asked().headers.get(CORRELATION_HEADER) or tracing.trace_id())
