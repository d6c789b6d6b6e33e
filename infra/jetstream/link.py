"""One connection to NATS on a thread of its own, for callers that are not asynchronous; and our errors in their words."""

import asyncio
import threading
import weakref
from collections.abc import Coroutine, Mapping
from concurrent.futures import CancelledError, Future
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    PersistenceError,
    ProgrammingError,
)

from events.problem import Problem
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.journal_errors import Conflict, JournalBusy, JournalDamaged, JournalFull
from infra.nats_client import QuickClient
from infra.nats_connection import OPTIONS, to_the_end

CONNECT_S_MAX = 10.0
CLOSE_S_MAX = 5.0
T = TypeVar("T")


@dataclass(frozen=True)
class _Running:
    """What the thread has made, for use in its loop alone."""

    loop: asyncio.AbstractEventLoop
    connection: QuickClient
    resources: AsyncExitStack
    stop: asyncio.Event


class Link:
    """A connection that reconnects by itself. Closed by `close`, or with its last user, or at the end of the program."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Raises InterfaceError where no server lets us in within 10 s."""
        started: Future[_Running] = Future()
        thread = threading.Thread(target=_run, args=(started, url, user, password), name="JetStream", daemon=True)
        thread.start()
        self._running = started.result()
        self.close = weakref.finalize(self, _close, self._running, thread)

    def open(self, config: Mapping[str, Any]) -> tuple[Journal, GroupCommit]:
        """A stream, made where it is missing, and its appender."""
        return self.call(self._open(config))

    async def _open(self, config: Mapping[str, Any]) -> tuple[Journal, GroupCommit]:
        journal = Journal(self._running.connection, config=config)
        await journal.create()
        commits = GroupCommit(journal, stamped=False)
        return journal, await self._running.resources.enter_async_context(commits)

    @property
    def payload_size_max(self) -> int:
        """Bytes of a message, headers included, that the server takes."""
        return self._running.connection.max_payload

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, or raises, in the library's words. Raises InterfaceError when closed meanwhile."""
        return self.result(self.submit(work))

    def submit(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin `work` without waiting for it. Raises InterfaceError when closed."""
        if self.close.alive:
            with suppress(RuntimeError):  # closed in this very moment
                return asyncio.run_coroutine_threadsafe(work, self._running.loop)
        work.close()
        raise InterfaceError("the connection to JetStream is closed")

    @staticmethod
    def result(future: "Future[T]") -> T:
        """As `call`, for what was submitted."""
        try:
            return future.result()
        except Problem as problem:
            raise _translated(problem) from problem
        except CancelledError:
            raise InterfaceError("the connection to JetStream was closed") from None


def _run(started: "Future[_Running]", url: str, user: str, password: str) -> None:
    try:
        asyncio.run(to_the_end(_serve(started, url, user, password)))
    except Exception as error:
        if started.done():
            raise
        started.set_exception(InterfaceError(f"cannot connect to {url} as {user}: {error}"))


async def _serve(started: "Future[_Running]", url: str, user: str, password: str) -> None:
    inbox_prefix = f"_INBOX_{user}".encode()
    connection = QuickClient()
    connecting = asyncio.create_task(
        connection.connect(url, user=user, password=password, inbox_prefix=inbox_prefix, **OPTIONS)
    )
    try:
        if not (await asyncio.wait({connecting}, timeout=CONNECT_S_MAX))[0]:  # it tries for ever, with a wrong password, too
            raise ConnectionError(connection.last_error or f"no answer within {CONNECT_S_MAX:.0f} s")
        await connecting
        async with AsyncExitStack() as resources:
            running = _Running(asyncio.get_running_loop(), connection, resources, asyncio.Event())
            started.set_result(running)
            await running.stop.wait()
    finally:
        if started.done():
            await connection.close()


def _close(running: _Running, thread: threading.Thread) -> None:
    with suppress(RuntimeError):  # the loop has ended
        running.loop.call_soon_threadsafe(running.stop.set)
    if threading.current_thread() is not thread:  # where the last user was garbage that this very thread collected
        thread.join(CLOSE_S_MAX)


def _translated(problem: Problem) -> PersistenceError:
    match problem:
        case Conflict():
            return IntegrityError(f"already recorded: {', '.join(problem.subjects)}")
        case JournalBusy():
            return OperationalError(f"no answer from JetStream within {problem.waited_s:.0f} s; stored: {problem.stored}")
        case JournalFull():
            return OperationalError(str(problem))
        case JournalDamaged():
            return InternalError(f"{problem.where}: {problem.why}")
        case _:
            return ProgrammingError(str(problem))
