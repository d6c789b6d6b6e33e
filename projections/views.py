"""The views of one database: applying a batch of the journal to all of them, each event once, in one transaction.

An event that a view cannot take is set aside with its reason, and so is what follows on its subject, in that view alone;
nobody else waits.
"""

from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa
import structlog

from events.envelope import Event, UnreadableEvent, decode
from infra.database import create_tables
from infra.journal import Stored
from projections import positions

log = structlog.get_logger()

_FOLLOWS = "follows"  # an event of its subject that was set aside
TROUBLE = (positions.MovedByAnother, sa.exc.OperationalError, sa.exc.InterfaceError)  # not the event's fault
Decoded = tuple[Stored, Event | UnreadableEvent]


class Projection(Protocol):
    """A view: a module that says how events change its rows. Raise VERSION when a row would look different."""

    NAME: str
    VERSION: int
    TABLES: sa.MetaData

    def apply(self, db: sa.Connection, events: Sequence[Event]) -> None:
        """Change the rows for these events, which come in journal order, each once."""


class Views:
    """Synchronous; one thread at a time. Raises TROUBLE when the database fails or another process writes."""

    def __init__(self, engine: sa.Engine, projections: Sequence[Projection], *, indexes: bool = True) -> None:
        """`indexes`: for questions; whoever builds views that nobody asks yet makes them at the end."""
        self._engine, self.projections = engine, projections
        create_tables(engine, [positions.TABLES, *(projection.TABLES for projection in projections)], indexes=indexes)
        self.positions: dict[str, int] = {}  # by projection
        self.marked: dict[str, set[str]] = {}  # by projection: subjects with an event that was set aside
        self.look()

    @property
    def position(self) -> int:
        """Every view holds everything up to here."""
        return min(self.positions.values())

    def look(self) -> None:
        """Take positions and what is set aside from the database."""
        with self._engine.begin() as db:
            for projection in self.projections:
                self.marked[projection.NAME] = {row["subject"] for row in positions.aside(db, projection)}
                self.positions[projection.NAME] = positions.position(db, projection)

    def apply(self, batch: list[Stored]) -> None:
        """Bring all views to the end of this batch."""
        self._apply([(stored, _decoded(stored)) for stored in batch])

    def retry(self, read: Sequence[Stored]) -> int:
        """Try these events again in every view that has set them aside; returns how many were taken.

        One that is not among them, or fails, keeps those behind it on its subject waiting.
        """
        taken, by_seq = 0, {stored.seq: stored for stored in read}
        for projection in self.projections:
            with self._engine.connect() as db:
                waiting = positions.aside(db, projection)
            stuck: set[str] = set()
            for seq, subject in ((row["seq"], row["subject"]) for row in waiting):
                stored = by_seq.get(seq)
                if stored is None:
                    stuck.add(subject)
                elif subject not in stuck:
                    if why := self._refusal(projection, stored, _decoded(stored)):
                        log.error("event stays aside", projection=projection.NAME, seq=seq, why=why)
                        stuck.add(subject)
                    else:
                        taken += 1
        self.look()
        return taken

    def aside(self) -> list[sa.RowMapping]:
        """What is set aside (projection, seq, subject, why), in journal order for each view."""
        with self._engine.connect() as db:
            return [row for projection in self.projections for row in positions.aside(db, projection)]

    def _apply(self, decoded: Sequence[Decoded]) -> None:
        try:
            self._apply_all([_readable(event) for _, event in decoded])
        except TROUBLE:
            raise
        except Exception:  # some view cannot take some event: which, is found by halves
            if half := len(decoded) // 2:
                self._apply(decoded[:half])
                self._apply(decoded[half:])
                return
            for projection in self.projections:
                if decoded[0][0].seq > self.positions[projection.NAME]:
                    self._apply_one(projection, *decoded[0])

    def _apply_all(self, events: list[Event]) -> None:
        last = events[-1].seq
        with self._engine.begin() as db:
            for projection in self.projections:
                after, aside = self.positions[projection.NAME], self.marked[projection.NAME]
                new = events if events[0].seq > after else [event for event in events if event.seq > after]
                if aside:
                    for event in [event for event in new if event.subject in aside]:
                        positions.set_aside(db, projection, event.seq, event.subject, _FOLLOWS)
                    new = [event for event in new if event.subject not in aside]
                projection.apply(db, new)
                if last > after:
                    positions.move(db, projection, after, last)
        for projection in self.projections:
            self._moved(projection, last)

    def _apply_one(self, projection: Projection, stored: Stored, event: Event | UnreadableEvent) -> None:
        aside, after = self.marked[projection.NAME], self.positions[projection.NAME]
        why = _FOLLOWS if stored.subject in aside else self._refusal(projection, stored, event, after)
        if why:
            with self._engine.begin() as db:
                positions.set_aside(db, projection, stored.seq, stored.subject, why)
                positions.move(db, projection, after, stored.seq)
            aside.add(stored.subject)
            log.error("event set aside", projection=projection.NAME, seq=stored.seq, why=why)
        self._moved(projection, stored.seq)

    def _refusal(
        self, projection: Projection, stored: Stored, event: Event | UnreadableEvent, after: int | None = None
    ) -> str | None:
        """Why the view cannot take this event; None when it has. `after`: its position; None: the event was set aside."""
        if isinstance(event, UnreadableEvent):
            return event.why
        try:
            with self._engine.begin() as db:
                projection.apply(db, [event])
                if after is None:
                    positions.taken_back(db, projection, stored.seq)
                else:
                    positions.move(db, projection, after, stored.seq)
        except TROUBLE:
            raise
        except Exception as error:  # its text may hold values, so only its kind is told
            return type(error).__name__
        return None

    def _moved(self, projection: Projection, position: int) -> None:
        self.positions[projection.NAME] = max(position, self.positions[projection.NAME])


def _decoded(stored: Stored) -> Event | UnreadableEvent:
    try:
        return decode(stored.body, stored.seq)
    except UnreadableEvent as unreadable:
        return unreadable


def _readable(event: Event | UnreadableEvent) -> Event:
    if isinstance(event, UnreadableEvent):
        raise event
    return event
