"""One way to connect to NATS. Nothing is buffered while disconnected: what was reported as failed is not sent later."""

import asyncio
from collections.abc import Callable
from typing import Any

import nats
import structlog
from nats.aio.client import Client

from infra.data_folder import DataFolder
from infra.nats_users import User, credentials

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
) -> Client:
    """A connection that reconnects by itself; `disconnected` is called when the link breaks.

    Raises TimeoutError when no server answers at first.
    """

    async def lost() -> None:
        if disconnected:
            disconnected()

    name, password, inbox_prefix = credentials(folder, user)
    connecting = nats.connect(url, user=name, password=password, inbox_prefix=inbox_prefix, disconnected_cb=lost, **OPTIONS)
    return await asyncio.wait_for(connecting, timeout_s)
