"""Request and reply on NATS: every request is answered, by a document or by a typed problem, never by a time-out.

FastStream takes requests one at a time and swallows exceptions; here each request becomes a bounded task that answers
for itself. A problem travels as RFC 9457 JSON, told apart by the header `ektp-problem` (and NATS's own service headers).
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

import nats.errors
import orjson
import structlog
from faststream import BaseMiddleware
from faststream.nats import NatsBroker, NatsMessage
from nats.aio.msg import Msg
from prometheus_client import Histogram

from events.problem import Problem
from infra import tracing
from infra.metrics import REGISTRY
from services.wire import PROBLEM_HEADER, TooBusy, problem_of

log = structlog.get_logger()

TASKS_MAX = 2_000  # requests being answered at once; beyond that they are told to come again


_message: ContextVar[NatsMessage] = ContextVar("message")


def asked() -> NatsMessage:
    """The request that is being taken. (FastStream's own way, a parameter, asks a thread for it: 0.2 ms a request.)"""
    return _message.get()


class Answering(BaseMiddleware):
    """FastStream middleware: what fails before the handler has taken over is answered too."""

    async def consume_scope(self, call_next: Any, msg: Any) -> Any:
        _message.set(msg)
        try:
            return await call_next(msg)
        except Exception as error:
            await _refuse(msg.raw_message, problem_of(error))


class Answers:
    """The requests being answered by one service."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._instance = secrets.token_hex(8)

    async def ping(self) -> dict[str, str]:
        """Tells this process from the one before it: who still waits for an answer of that one may stop waiting."""
        return {"instance": self._instance}

    def serve(self, broker: NatsBroker, subject: str, work: Callable[..., Awaitable[Any]], body: type | None = None) -> None:
        """Answer each request on `subject` with what `work` makes of its body; None: it has none.

        The broker has the middleware Answering, and is not started yet.
        """

        async def take(asked: Any) -> None:
            self.start(subject, work(asked))

        async def take_nothing() -> None:
            self.start(subject, work())

        if body:
            take.__annotations__["asked"] = body  # by which FastStream reads it
        name = subject.rpartition(".")[2]
        broker.subscriber(subject, no_reply=True, title=name)(take if body else take_nothing)

    def start(self, template: str, work: Awaitable[Any]) -> None:
        """Answer the request, on a subject of this template, with what `work` returns (a JSON value) or raises.

        Raises TooBusy.
        """
        if len(self._tasks) >= TASKS_MAX:
            asyncio.ensure_future(work).cancel()
            raise TooBusy
        task = asyncio.create_task(self._answer(template, asked().raw_message, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for all that is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _answer(self, template: str, message: Msg, work: Awaitable[Any]) -> None:
        with tracing.span("process", template, message.headers or {}) as span:
            said = await self._answered(message, work)
            if span and said != "done":
                span.set_attribute("error.type", said)

    async def _answered(self, message: Msg, work: Awaitable[Any]) -> str:
        started = time.monotonic()
        try:
            answer = await work
            body = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        except Exception as error:  # an answer that cannot be written is a mistake of ours, and is told as one
            answer = problem_of(error)
            await _refuse(message, answer)
        else:
            await _reply(message, body)
        said = answer.code if isinstance(answer, Problem) else "done"
        of = "command" if message.subject.startswith("cmd.") else "question"
        _duration(of, message.subject.rpartition(".")[2], said).observe(time.monotonic() - started)
        return said


@cache
def _durations(of: str) -> Histogram:
    """(FastStream's own middleware would tell how long a request takes to be taken, at 50 µs each.)"""
    return Histogram(f"ektp_{of}_duration_seconds", "From taken to answered.", [of, "answer"], registry=REGISTRY)


@cache
def _duration(of: str, request: str, answer: str) -> Histogram:
    """Of our own names alone: as many as there are subscribers and problems."""
    return _durations(of).labels(request, answer)


async def _refuse(message: Msg, problem: Problem) -> None:
    headers = {
        PROBLEM_HEADER: problem.code,
        "Nats-Service-Error": problem.code,
        "Nats-Service-Error-Code": str(problem.status),
    }
    await _reply(message, orjson.dumps(problem.document(), default=str), headers)


async def _reply(message: Msg, body: bytes, headers: dict[str, str] | None = None) -> None:
    if message.reply.startswith("_INBOX_"):  # elsewhere the writer's own rights would carry the answer into the journal
        try:
            await message._client.publish(message.reply, body, headers=headers)
        except nats.errors.Error as error:  # the asker sends the same command again, and finds it done
            log.warning("answer not delivered", why=repr(error))
