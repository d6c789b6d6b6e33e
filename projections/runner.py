"""One runner for all projections: reads the journal in order and brings every view to its head.

The position in the views' database is the only record of progress. A hole in the journal stops the runner in clear words;
it never skips. Two runners of one database: one works, the other waits and takes over.
"""

import asyncio
from contextlib import aclosing

import sqlalchemy as sa
import structlog
from prometheus_client import Counter, Gauge

from events.problem import Problem
from infra import tracing
from infra.journal import Journal
from infra.journal_reader import read
from infra.metrics import REGISTRY
from infra.sole_runner import SoleRunner
from projections.views import TROUBLE, Views

log = structlog.get_logger()

POSITION = Gauge(
    "ektp_projection_position", "Journal position up to which a view holds everything.", ["projection"], registry=REGISTRY
)
MARKED = Gauge(
    "ektp_projection_marked_subjects",
    "Cases of which a view set an event aside.",
    ["projection"],
    registry=REGISTRY,
)
APPLIED = Counter("ektp_projection_events", "Events applied to views.", registry=REGISTRY)
_PAUSE_S = 0.5  # before looking again whether the other runner is gone, or the database is back


class Runner:
    """Keeps `views` up to the journal's head for as long as `run` runs."""

    def __init__(self, journal: Journal, engine: sa.Engine, views: Views, told: bool = True) -> None:
        """`told`: its figures are this process's metrics."""
        self._told = told
        self._journal, self._engine, self.views = journal, engine, views
        self._advanced = asyncio.Condition()
        self.writing = asyncio.Lock()  # held while views are changed
        self.stopped_by: Problem | None = None

    async def run(self) -> None:
        """Follow the journal until cancelled. On damage: remember why in `stopped_by`, say so, and stop."""
        while not self.stopped_by:
            try:
                with SoleRunner(self._engine) as right:
                    while not await asyncio.to_thread(right.is_ours):
                        await self._look()
                        await asyncio.sleep(_PAUSE_S)
                    await self._look()
                    await self._follow()
            except Problem as problem:
                position = self.views.position
                log.error("runner stopped", position=position, problem=problem.code, says=str(problem))  # noqa: TRY400
                self.stopped_by = problem
            except TROUBLE as trouble:
                log.warning("runner starts again", position=self.views.position, why=type(trouble).__name__)
                await asyncio.sleep(_PAUSE_S)
        await self._tell()

    async def wait_for(self, position: int, without_progress_s: float) -> bool:
        """Wait until the views hold everything up to `position`; False when nothing moved for so long.

        Raises what stopped the runner.
        """
        async with self._advanced:
            while (before := self.views.position) < position:
                if self.stopped_by:
                    raise self.stopped_by
                moved = self._advanced.wait_for(lambda: self.views.position > before or self.stopped_by)
                try:
                    await asyncio.wait_for(moved, without_progress_s)
                except TimeoutError:
                    return False
        return True

    async def retry(self, seq: int | None = None) -> int:
        """Try the events again that were set aside, or those on one event's subject; returns how many were taken.

        Raises the journal's errors.
        """
        async with self.writing:
            rows = await asyncio.to_thread(self.views.aside)
            subjects = {row["subject"] for row in rows if seq in {None, row["seq"]}}
            found = [await self._journal.at(each) for each in {row["seq"] for row in rows if row["subject"] in subjects}]
            return await asyncio.to_thread(self.views.retry, [stored for stored in found if stored])

    async def _follow(self) -> None:
        async with aclosing(read(self._journal, self.views.position)) as batches:
            async for batch in batches:
                with tracing.batch("ektp.views", batch if self._told else []):
                    async with self.writing:
                        await asyncio.to_thread(self.views.apply, batch)
                if self._told:
                    APPLIED.inc(len(batch))
                await self._tell()

    async def _look(self) -> None:
        await asyncio.to_thread(self.views.look)
        await self._tell()

    async def _tell(self) -> None:
        for name, position in self.views.positions.items() if self._told else ():
            POSITION.labels(name).set(position)
            MARKED.labels(name).set(len(self.views.marked[name]))
        async with self._advanced:
            self._advanced.notify_all()
