"""How far the views are, looked at once a second for all: whether answers are stale, and when something changed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

LOOK_S = 1.0
STALE_AFTER = timedelta(seconds=10)


class Live:
    """`lag` as Questions.lag. Of use while `run` runs."""

    def __init__(self, lag: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        self._lag, self._changed = lag, asyncio.Event()
        self._head, self._looked = 0, datetime.now(UTC)
        self._stopped = False
        self.position = 0
        self.complete_until = datetime.now(UTC)  # the views hold all that was in the journal then

    @property
    def stale_since(self) -> datetime | None:
        """Since when answers do not hold what was recorded; None: they are fresh."""
        return self.complete_until if datetime.now(UTC) - self.complete_until > STALE_AFTER else None

    async def run(self) -> None:
        """Look until cancelled. While the journal does not answer, nothing is fresh."""
        while True:
            with suppress(Exception):  # whatever it is, it shows in that time goes by
                await self._look()
            await asyncio.sleep(LOOK_S)

    async def positions(self, after: int) -> AsyncIterator[int]:
        """The views' position whenever it is beyond `after` and the one before, until `stop`."""
        while not self._stopped:
            if self.position > after:
                after = self.position
                yield after
            else:
                await self._changed.wait()

    def stop(self) -> None:
        """Let all who watch go, as the server waits for them."""
        self._stopped = True
        self._changed.set()

    async def _look(self) -> None:
        looking, known = datetime.now(UTC), await self._lag()
        if known["position"] >= self._head:  # all that the journal had when it was last looked at
            self.complete_until, self._head, self._looked = self._looked, known["head"], looking
        if known["position"] != self.position:
            self.position = known["position"]
            self._changed.set()
            self._changed = asyncio.Event()
