"""Views built anew from the journal, beside those that serve, which they replace when they have caught up: reading and
decoding take most of the time, so several are built by one reading.

Silent: a view only writes rows. Killed half-way, it goes on where it was; until it takes over, nobody sees it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

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

    position: int = 0
    head: int = 0
    events_per_second: float = 0.0
    done: bool = False

    @property
    def seconds_left(self) -> float | None:
        return (self.head - self.position) / self.events_per_second if self.events_per_second else None


async def rebuild(
    journal: Journal, engine: sa.Engine, serving: Runner, views: Sequence[Projection], progress: Progress
) -> None:
    """Build, and take over; `progress` is kept up to date. Raises Stuck, and what stopped the build."""
    beside = open_beside(engine, _names(views))
    building = Runner(journal, beside, Views(beside, views, indexes=False), told=False)
    following, started, first = asyncio.create_task(building.run()), time.monotonic(), building.views.position
    try:
        while not progress.done:
            progress.head = _position(serving, views)
            if not await building.wait_for(min(building.views.position + 10_000, progress.head), WITHOUT_PROGRESS_S):
                raise Stuck
            progress.position = building.views.position
            progress.events_per_second = (progress.position - first) / (time.monotonic() - started)
            async with serving.writing, building.writing:  # nobody is in the midst of a batch
                if building.views.position >= _position(serving, views):
                    await end(following)
                    await asyncio.to_thread(_take_over, engine, beside, building.views, views)
                    await asyncio.to_thread(serving.views.look)
                    progress.done = True
    finally:
        await end(following)
        beside.dispose()


def _take_over(engine: sa.Engine, beside: sa.Engine, built: Views, views: Sequence[Projection]) -> None:
    aside, position = [dict(row) for row in built.aside()], built.position
    beside.dispose()  # its last connection brings SQLite's write-ahead log home

    def put_positions(db: sa.Connection) -> None:
        for view in views:
            positions.put(db, view, position, [row for row in aside if row["projection"] == view.NAME])

    take_over(engine, _names(views), [table for view in views for table in view.TABLES.sorted_tables], put_positions)


def _position(serving: Runner, views: Sequence[Projection]) -> int:
    """How far the views that serve are: the last of them to be replaced must not go back."""
    return max(serving.views.positions[view.NAME] for view in views)


def _names(views: Sequence[Projection]) -> list[str]:
    return [view.NAME for view in views]
