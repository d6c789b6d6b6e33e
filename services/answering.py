"""Request and reply on NATS: every request is answered, by a document or by a typed problem, never by a time-out.

FastStream takes requests one at a time and swallows exceptions; here each request becomes a bounded task that answers
for itself. A problem travels as RFC 9457 JSON, told apart by the header `ektp-problem` (and NATS's own service headers).
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Any, ClassVar

import nats.errors
import orjson
import structlog
from faststream import BaseMiddleware
from faststream.nats import NatsMessage
from nats.aio.msg import Msg
from pydantic import ValidationError

from events.problem import Problem

log = structlog.get_logger()

PROBLEM_HEADER = "ektp-problem"
TASKS_MAX = 2_000  # requests being answered at once; beyond that they are told to come again


@dataclass(eq=False)
class InvalidRequest(Problem):
    """The body is not what this subject takes; `errors` names each field. Nothing was done."""

    errors: list[dict[str, str]]
    code: ClassVar[str] = "invalid_request"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Isian tidak sah: {fields}. Betulkan lalu kirim lagi."
    sentence_en: ClassVar[str] = "These entries are not valid: {fields}. Correct them and send again."

    @property
    def fields(self) -> str:
        return "; ".join(f"{error['pointer']} ({error['message']})" for error in self.errors)

    def message(self, lang: Any) -> str:
        return (self.sentence_id if lang == "id" else self.sentence_en).format(fields=self.fields)


@dataclass(eq=False)
class TooBusy(Problem):
    """More requests are under way than this service takes on; nothing was done."""

    code: ClassVar[str] = "too_busy"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Layanan sedang sangat sibuk; belum ada yang dikerjakan. Ulangi sebentar lagi."
    sentence_en: ClassVar[str] = "The service is very busy; nothing was done. Try again in a moment."


@dataclass(eq=False)
class Unexpected(Problem):
    """A mistake of ours; the log has the rest. Whether something was stored is told by asking for the case."""

    kind: str
    code: ClassVar[str] = "unexpected"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = "Kesalahan tak terduga ({kind}). Lihat catatan layanan; ulangi dengan kunci yang sama."
    sentence_en: ClassVar[str] = "An unexpected error ({kind}). See the service's log; try again with the same key."


def problem_of(error: BaseException) -> Problem:
    """The problem to answer with. Values that did not validate are left out: they may be a name or a NIK."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False, include_context=False, include_input=False)
        return InvalidRequest(
            [
                {"pointer": "/" + "/".join(str(part) for part in detail["loc"] if part != "body"), "message": detail["msg"]}
                for detail in details
            ]
        )
    log.error("unexpected", exc_info=error)
    return Unexpected(type(error).__name__)


class Answering(BaseMiddleware):
    """FastStream middleware: what fails before the handler has taken over is answered too."""

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        try:
            return await call_next(msg)
        except Exception as error:
            await _reply(msg.raw_message, problem_of(error))


class Answers:
    """The requests being answered by one service."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, message: NatsMessage, work: Awaitable[Any]) -> None:
        """Answer `message` with what `work` returns (a JSON value) or raises. Raises TooBusy."""
        if len(self._tasks) >= TASKS_MAX:
            asyncio.ensure_future(work).cancel()
            raise TooBusy
        task = asyncio.create_task(self._answer(message.raw_message, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for all that is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, message: Msg, work: Awaitable[Any]) -> None:
        try:
            answer = await work
        except Exception as error:
            answer = problem_of(error)
        await _reply(message, answer)


async def _reply(message: Msg, answer: Any) -> None:
    headers = None
    if isinstance(answer, Problem):
        headers = {
            PROBLEM_HEADER: answer.code,
            "Nats-Service-Error": answer.code,
            "Nats-Service-Error-Code": str(answer.status),
        }
        answer = answer.document()
    if message.reply:
        try:
            await message._client.publish(message.reply, orjson.dumps(answer), headers=headers)
        except nats.errors.Error as error:  # the asker sends the same command again, and finds it done
            log.warning("answer not delivered", why=repr(error))
