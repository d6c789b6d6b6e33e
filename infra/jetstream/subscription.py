"""An application's events as they are recorded, for a thread that waits for them and may be stopped by another."""

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Lock

from eventsourcing.persistence import ApplicationRecorder, InterfaceError, Notification, Subscription

from infra.jetstream.link import Link
from infra.jetstream.names import notification
from infra.journal import Journal, Stored
from infra.journal_reader import read


class JetStreamSubscription(Subscription[ApplicationRecorder]):
    """Made by `ApplicationRecorder.subscribe`. Ends when it is stopped. Raises InternalError at a hole."""

    def __init__(
        self, recorder: ApplicationRecorder, link: Link, journal: Journal, gt: int | None, topics: Sequence[str]
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._link, self._wanted = link, frozenset(topics)
        self._batches = read(journal, gt or 0)
        self._ready: deque[Notification] = deque()
        self._waiting: Future[list[Stored]] | None = None
        self._lock = Lock()  # between the thread that waits and the one that stops

    def __next__(self) -> Notification:
        while not self._ready and not self._has_been_stopped:
            with self._lock:
                if self._has_been_stopped:
                    break
                self._waiting = self._link.submit(self._next_batch())
            try:
                batch = self._link.result(self._waiting)
            except InterfaceError:
                if self._has_been_stopped:
                    break
                raise
            self._ready.extend(one for one in map(notification, batch) if not self._wanted or one.topic in self._wanted)
        if self._has_been_stopped:
            raise StopIteration
        return self._ready.popleft()

    def stop(self) -> None:
        """End the iteration, also while it waits. Twice is harmless."""
        with self._lock:
            super().stop()
            waits = self._waiting is not None and self._waiting.cancel()
        if not waits:  # else the reader ends with its cancellation
            with suppress(InterfaceError):  # the link was closed before
                self._link.submit(self._batches.aclose())  # not waited for: the library also stops what it finds as garbage

    async def _next_batch(self) -> list[Stored]:
        async for batch in self._batches:
            return batch
        raise InterfaceError("this subscription has ended")
