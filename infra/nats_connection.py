"""One way to connect to NATS. Nothing is buffered while disconnected: what was reported as failed is not sent later."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import structlog

from infra.data_folder import DataFolder
from infra.nats_client import QuickClient
from infra.nats_users import User, credentials

T = TypeVar("T")
log = structlog.get_logger()


async def _told(error: Exception) -> None:
    """nats-py prints tracebacks unless it has a place for its errors."""
    log.debug("nats", error=str(error) or type(error).__name__)


OPTIONS: dict[str, Any] = {
    "pending_size": 0,  # the default sends a timed-out request after a reconnect: a ghost write
    "max_reconnect_attempts": -1,
    "reconnect_time_wait": 0.2,
    "error_cb": _told,
}


async def connect(
    folder: DataFolder, user: User, url: str, timeout_s: float = 10, disconnected: Callable[[], None] | None = None
) -> QuickClient:
    """A connection that reconnects by itself; `disconnected` is called when the link breaks.

    Raises TimeoutError when no server answers at first.
    """

    client = QuickClient()

    async def lost() -> None:
        client.link_broke()
        if disconnected:
            disconnected()

    name, password, inbox_prefix = credentials(folder, user)
    task = asyncio.ensure_future(
        client.connect(url, user=name, password=password, inbox_prefix=inbox_prefix, disconnected_cb=lost, **OPTIONS)
    )
    await asyncio.wait({task}, timeout=timeout_s)
    if not task.done():
        await end(task)
        raise TimeoutError
    await task
    return client


async def to_the_end(main: Coroutine[Any, Any, T]) -> T:
    """`main`, and nothing of it goes on behind it: asyncio.run would wait for ever for what missed being cancelled."""
    try:
        return await main
    finally:
        await end(*(asyncio.all_tasks() - {asyncio.current_task()}))


async def end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel tasks until it helps, whatever they come to.

    Python 3.11's wait_for, of which nats-py's requests are full, swallows a cancellation that comes together with the
    answer: a task that asks again and again would then go on for ever, and whoever waits for its end with it.
    """
    going = set(tasks)
    while going:
        for task in going:
            task.cancel()
        _, going = await asyncio.wait(going, timeout=0.1)
    await asyncio.gather(*tasks, return_exceptions=True)
