"""Looking after the views of a running reader: a view built anew beside the serving one, and events that were set aside."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa
import structlog
from faststream.nats import NatsBroker

from events.offices import BACKBONE_ID
from events.problem import Problem
from infra.database_beside import begun
from infra.journal import Journal
from infra.nats_connection import end
from projections.rebuild import Progress, rebuild
from projections.runner import Runner
from projections.views import Projection
from services.answering import Answers
from services.questions import AskRebuild, AskRetry

log = structlog.get_logger()


@dataclass(eq=False)
class UnknownProjection(Problem):
    """There is no such view; `known` lists them."""

    known: str
    code: ClassVar[str] = "unknown_projection"
    status: ClassVar[int] = 404
    sentence_id: ClassVar[str] = "Tidak ada tampilan dengan nama itu. Yang ada: {known}."
    sentence_en: ClassVar[str] = "There is no view of that name. There are: {known}."


@dataclass(eq=False)
class RebuildFailed(Problem):
    """The view that was being built came to nothing; the one that serves goes on. `why` is the kind of error."""

    projection: str
    why: str
    code: ClassVar[str] = "rebuild_failed"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Tampilan {projection} gagal disusun ulang ({why}); yang lama tetap melayani. Ulangi: ektp rebuild."
    )
    sentence_en: ClassVar[str] = (
        "Rebuilding {projection} failed ({why}); the old one keeps serving. Try again: ektp rebuild."
    )


class Maintenance:
    """What is being built, by projection. Builds that were cut off are taken up when it is made."""

    def __init__(self, journal: Journal, engine: sa.Engine, runner: Runner, projections: Sequence[Projection]) -> None:
        self._journal, self._engine, self._runner = journal, engine, runner
        self._projections = {projection.NAME: projection for projection in projections}
        self._progress: dict[str, Progress] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        for names in begun(engine):
            if self._projections.keys() >= set(names):
                self._begin(names)

    async def rebuild(self, ask: AskRebuild) -> dict[str, Any]:
        """Begin to build these views, unless they are being built; how far they are. Raises UnknownProjection,
        RebuildFailed."""
        names = [ask.projection] if ask.projection else list(self._projections)
        if not set(names) <= self._projections.keys():
            raise UnknownProjection(", ".join(self._projections))
        ended = [name for name in names if name not in self._tasks or self._tasks[name].done()]
        if ask.begin and ended:
            self._begin(ended)
        for name in names:
            if (task := self._tasks.get(name)) and task.done() and (error := task.exception()):
                raise RebuildFailed(name, type(error).__name__)
        known = [(name, self._progress[name]) for name in names if name in self._progress]
        return {
            "builds": [
                {"projection": name} | vars(progress) | {"seconds_left": progress.seconds_left} for name, progress in known
            ]
        }

    async def retry(self, ask: AskRetry) -> dict[str, Any]:
        """Try again what was set aside."""
        taken = await self._runner.retry(ask.seq)
        return {"taken": taken, "set_aside": [dict(row) for row in await asyncio.to_thread(self._runner.views.aside)]}

    async def stop(self) -> None:
        """Leave builds as they are, to be taken up later."""
        await end(*self._tasks.values())

    def _begin(self, names: Sequence[str]) -> None:
        """One build of all of them."""
        progress, views = Progress(), [self._projections[name] for name in names]
        task = asyncio.create_task(rebuild(self._journal, self._engine, self._runner, views, progress))
        for name in names:
            self._progress[name], self._tasks[name] = progress, task
        log.info("rebuilding", projections=names)


def serve_maintenance(broker: NatsBroker, maintenance: Maintenance, answers: Answers) -> None:
    """Register the subscribers."""
    answers.serve(broker, f"ask.ektp.{BACKBONE_ID}.rebuild", maintenance.rebuild, AskRebuild)
    answers.serve(broker, f"ask.ektp.{BACKBONE_ID}.retry", maintenance.retry, AskRetry)
