"""How a command line reaches its backbone: the one that runs on the data folder, or one started for as long as it lasts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from infra.data_folder import DataFolder, open_folder
from infra.folder_lock import OwnerLock, endpoint, take_owner, try_owner, users_exclusive, users_shared
from services.desk import GONE_S_MAX, Desk


@asynccontextmanager
async def at_desk(data: Path) -> AsyncIterator[Desk]:
    """A desk at the backbone of this folder: the running one, else one started for as long as the command lasts.

    Decided once, here. A starter waits, when it is done, for the commands that use what it started.
    Raises the problems of open_folder and of starting.
    """
    folder = open_folder(data)
    found = Desk(folder)
    async with AsyncExitStack() as using:
        await using.enter_async_context(users_shared(folder))
        owner = await _owner(folder)
        if owner is None:
            using.push_async_callback(found.close)
            yield found
            return
        with owner:
            from services.backbone import Backbone  # noqa: PLC0415 (what only a starter needs)

            async with Backbone(folder), AsyncExitStack() as stopping:
                try:
                    yield found
                finally:
                    await found.close()
                    await using.aclose()
                    await stopping.enter_async_context(users_exclusive(folder))


async def _owner(folder: DataFolder) -> OwnerLock | None:
    """The right to start a backbone; None when one serves. Waits for one that is starting or stopping."""
    deadline = time.monotonic() + GONE_S_MAX
    while (owner := try_owner(folder)) is None:
        if endpoint(folder):
            return None
        if time.monotonic() > deadline:
            return await take_owner(folder, 0)  # raises SecondBackbone, which names the holder
        await asyncio.sleep(0.05)
    return owner
