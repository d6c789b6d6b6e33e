"""Recorders of `eventsourcing` on a stream: each event on a subject of its own, which must not exist yet.

The state is stored as it comes, the topic in a header. Position in the application's sequence = position in the stream.
"""

import sys
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    DataError,
    IntegrityError,
    Notification,
    StoredEvent,
)

from infra.group_commit import Change
from infra.jetstream.link import Link
from infra.jetstream.names import TOPIC, notification, originator_token, prefix, quoted_topic, stream_config, topic, version
from infra.jetstream.subscription import JetStreamSubscription
from infra.journal import BATCH_MESSAGES_MAX, Stored

_SUBJECT_SIZE_MAX = 1_000  # the server takes 4 KiB for a whole line of its protocol
_HEADERS_SIZE_MAX = 256  # bytes of all headers but the topic
_PAGE_MAX = 1_000


class JetStreamAggregateRecorder(AggregateRecorder):
    """Events or snapshots of one application. Made by the factory."""

    def __init__(self, link: Link, application: str, purpose: str = "events") -> None:
        self._link, self._prefix = link, prefix(application, purpose)
        self._journal, self._commits = link.open(stream_config(application, purpose))

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Store all or none. Raises IntegrityError where one is there already, DataError for what does not fit, and
        OperationalError (which says what is stored) when JetStream does not answer."""
        self._insert(stored_events)
        return None

    def _insert(self, stored_events: Sequence[StoredEvent]) -> list[int]:
        changes = [self._change(event) for event in stored_events]
        if len({change.subject for change in changes}) < len(changes):
            raise IntegrityError("the same originator and version more than once")
        if len(changes) > BATCH_MESSAGES_MAX:
            raise DataError(f"{len(changes)} events at once; JetStream stores at most {BATCH_MESSAGES_MAX} all or none")
        return self._link.call(self._commits.append(*changes)) if changes else []

    def _change(self, event: StoredEvent) -> Change:
        subject = f"{self._prefix}.{originator_token(event.originator_id)}.{event.originator_version}"
        headers = {TOPIC: quoted_topic(event.topic)}
        if len(subject) > _SUBJECT_SIZE_MAX or not event.originator_id:
            raise DataError(f"originator id is empty or too long: {event.originator_id!r:.100}")
        if (size := len(event.state) + len(headers[TOPIC]) + _HEADERS_SIZE_MAX) > self._link.payload_size_max:
            raise DataError(f"an event of {size} bytes; the server's max_payload is {self._link.payload_size_max}")
        return Change(subject, 0, [event.state], headers)

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Events of one originator by version. Raises InternalError where one cannot be read, OperationalError."""
        subject = f"{self._prefix}.{originator_token(originator_id)}"
        versions = range(-sys.maxsize if gt is None else gt + 1, sys.maxsize if lte is None else lte + 1)
        stored = self._link.call(self._descending(subject, versions, limit) if desc else self._ascending(subject, versions))
        return [StoredEvent(originator_id, version(one), topic(one), one.body) for one in stored[:limit]]

    async def _ascending(self, subject: str, versions: range) -> list[Stored]:
        """Versions of events are recorded in their order, so whoever has a snapshot begins at its version."""
        before = await self._journal.last([f"{subject}.{versions.start - 1}"]) if versions.start > 0 else {}
        start = max((one.seq for one in before.values()), default=1)
        stored = await self._journal.messages(f"{subject}.*", start)
        return sorted((one for one in stored if version(one) in versions), key=version)

    async def _descending(self, subject: str, versions: range, limit: int | None) -> list[Stored]:
        """Snapshots may be taken of older versions, too: the server is asked which there are, and for the newest."""
        there = [Stored(0, name, b"") for name in (await self._journal.info(f"{subject}.*"))["state"].get("subjects", {})]
        chosen = sorted((one for one in there if version(one) in versions), key=version, reverse=True)[:limit]
        last = await self._journal.last([one.subject for one in chosen])
        return [last[one.subject] for one in chosen]


class JetStreamApplicationRecorder(JetStreamAggregateRecorder, ApplicationRecorder):
    """Events of one application, and all of them in the order in which they were recorded. Made by the factory."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """As JetStreamAggregateRecorder; returns their positions: 1, 2, … without a hole."""
        return self._insert(stored_events)

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Events by position. Those of other topics are read, too. Raises InternalError at a hole, OperationalError."""
        first = 1 if start is None else max(1, start if inclusive_of_start else start + 1)
        return self._link.call(self._select(first, limit, stop, frozenset(topics)))

    async def _select(self, start: int, limit: int, stop: int | None, topics: frozenset[str]) -> list[Notification]:
        found: list[Notification] = []
        while len(found) < limit and (stop is None or start <= stop):
            wanted = _PAGE_MAX if topics else limit - len(found)
            room = wanted if stop is None else min(wanted, stop - start + 1)
            page, more = await self._journal.page(start, min(room, _PAGE_MAX))
            found += [one for one in map(notification, page) if not topics or one.topic in topics]
            if not more:
                break
            start = page[-1].seq + 1
        return found[:limit]

    def max_notification_id(self) -> int | None:
        """Position of the last event; None where there is none. Raises OperationalError."""
        return self._link.call(self._journal.last_seq()) or None

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> JetStreamSubscription:
        """Events behind position `gt`, then those to come, until stopped; it waits for a server that is away."""
        return JetStreamSubscription(self, self._link, self._journal, gt, topics)
