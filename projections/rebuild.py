"""A view built anew from the journal, beside the one that serves, which it replaces when it has caught up.

Silent: a view only writes rows. Killed half-way, it goes on where it was; until it takes over, nobody sees it.
"""

import asyncio
import time
from dataclasses import dataclass
from functools import partial

import sqlalchemy as sa

from infra.database_beside import open_beside, take_over
from infra.journal import Journal
from infra.nats_connection import end
from projections import positions
from projections.runner import Runner
from projections.views import Projection, Views

WITHOUT_PROGRESS_S = 60.0


class Stuck(Exception):
    """The view that is built does not come on; what serves goes on serving. Look into the reader's log."""


@dataclass
class Progress:
    """How far a build is."""

    projection: str
    position: int
    head: int
    events_per_second: float = 0.0
    done: bool = False

    @property
    def seconds_left(self) -> float | None:
        return (self.head - self.position) / self.events_per_second if self.events_per_second else None


async def rebuild(journal: Journal, engine: sa.Engine, serving: Runner, projection: Projection, progress: Progress) -> None:
    """Build, and take over; `progress` is kept up to date. Raises Stuck, and what stopped the build."""
    beside = open_beside(engine, projection.NAME)
    building = Runner(journal, beside, Views(beside, [projection]), told=False)
    following, started, first = asyncio.create_task(building.run()), time.monotonic(), building.views.position
    try:
        while not progress.done:
            progress.head = serving.views.positions[projection.NAME]
            if not await building.wait_for(min(building.views.position + 10_000, progress.head), WITHOUT_PROGRESS_S):
                raise Stuck
            progress.position = building.views.position
            progress.events_per_second = (progress.position - first) / (time.monotonic() - started)
            async with serving.writing, building.writing:  # nobody is in the midst of a batch
                if building.views.position >= serving.views.positions[projection.NAME]:
                    await end(following)
                    await asyncio.to_thread(_take_over, engine, beside, building.views, projection)
                    await asyncio.to_thread(serving.views.look)
                    progress.done = True
    finally:
        await end(following)
        beside.dispose()


def _take_over(engine: sa.Engine, beside: sa.Engine, built: Views, projection: Projection) -> None:
    tables, aside, position = projection.TABLES.sorted_tables, [dict(row) for row in built.aside()], built.position
    beside.dispose()  # its last connection brings SQLite's write-ahead log home
    take_over(engine, projection.NAME, tables, partial(positions.put, view=projection, position=position, aside=aside))
