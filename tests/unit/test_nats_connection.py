"""Ending tasks that miss being cancelled."""

import asyncio
import contextlib

from infra.nats_connection import end


async def test_a_task_that_swallows_being_cancelled_is_ended_all_the_same() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 3:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            swallowed += 1
        await asyncio.sleep(60)

    async def failing() -> None:
        raise ValueError

    task, failed = asyncio.create_task(stubborn()), asyncio.create_task(failing())
    await asyncio.sleep(0)
    await end(task, failed)
    assert (task.cancelled(), swallowed) == (True, 3)
