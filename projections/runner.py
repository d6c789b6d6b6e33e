"""One runner for all projections: reads the journal in order and keeps each view and its position in one transaction.

The position in the views' database is the only record of progress, so an event is applied once however often it comes.
A hole in the journal or an event that cannot be read stops the runner in clear words; it never skips.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Gauge
from sqlalchemy.dialects.sqlite import insert

from events.envelope import Event, decode
from events.problem import Problem
from infra.journal import Journal, Stored
from infra.journal_reader import read
from infra.metrics import REGISTRY

log = structlog.get_logger()

POSITION = Gauge(
    "ektp_projection_position", "Journal position up to which a view holds everything.", ["projection"], registry=REGISTRY
)
APPLIED = Counter("ektp_projection_events", "Events applied to views.", registry=REGISTRY)

_POSITIONS = sa.Table(
    "positions",
    sa.MetaData(),
    sa.Column("projection", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
)


class Projection(Protocol):
    """A view: a module that says how events change its rows. Raise VERSION when a row would look different."""

    NAME: str
    VERSION: int
    TABLES: sa.MetaData

    def apply(self, db: sa.Connection, events: Sequence[Event]) -> None:
        """Change the rows for these events, which come in journal order, each once."""


class Runner:
    """Keeps `projections` up to the journal's head for as long as `run` runs."""

    def __init__(self, journal: Journal, engine: sa.Engine, projections: Sequence[Projection]) -> None:
        self._journal, self._engine, self._projections = journal, engine, projections
        self._advanced = asyncio.Condition()
        self.stopped_by: Problem | None = None
        with engine.begin() as db:
            _POSITIONS.metadata.create_all(db)
            for projection in projections:
                projection.TABLES.create_all(db)
        self._positions = {projection.NAME: self._stored_position(projection) for projection in projections}
        for name, position in self._positions.items():
            POSITION.labels(name).set(position)

    @property
    def position(self) -> int:
        """Every view holds everything up to here."""
        return min(self._positions.values())

    async def run(self) -> None:
        """Follow the journal until cancelled. On damage: remember why in `stopped_by`, say so, and stop."""
        try:
            async for batch in read(self._journal, self.position):
                await asyncio.to_thread(self._apply, batch)
                async with self._advanced:
                    self._advanced.notify_all()
        except Problem as problem:
            log.error("runner stopped", position=self.position, problem=problem.code, says=str(problem))  # noqa: TRY400
            self.stopped_by = problem
            async with self._advanced:
                self._advanced.notify_all()

    async def wait_for(self, position: int, without_progress_s: float) -> bool:
        """Wait until the views hold everything up to `position`; False when nothing moved for so long.

        Raises what stopped the runner.
        """
        async with self._advanced:
            while self.position < position:
                if self.stopped_by:
                    raise self.stopped_by
                try:
                    await asyncio.wait_for(self._advanced.wait(), without_progress_s)
                except TimeoutError:
                    return False
        return True

    def _apply(self, batch: list[Stored]) -> None:
        events = [decode(stored.body, stored.seq) for stored in batch]
        with self._engine.begin() as db:
            for projection in self._projections:
                after = self._positions[projection.NAME]
                projection.apply(db, events if events[0].seq > after else [event for event in events if event.seq > after])
                statement = insert(_POSITIONS).values(
                    projection=projection.NAME, version=projection.VERSION, position=events[-1].seq
                )
                db.execute(
                    statement.on_conflict_do_update(index_elements=["projection", "version"], set_=statement.excluded)
                )
        for projection in self._projections:
            self._positions[projection.NAME] = events[-1].seq
            POSITION.labels(projection.NAME).set(events[-1].seq)
        APPLIED.inc(len(events))

    def _stored_position(self, projection: Projection) -> int:
        query = sa.select(_POSITIONS.c.position).where(
            _POSITIONS.c.projection == projection.NAME, _POSITIONS.c.version == projection.VERSION
        )
        with self._engine.connect() as db:
            return db.execute(query).scalar() or 0
