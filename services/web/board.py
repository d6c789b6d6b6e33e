"""What the board shows, asked of the views once for all who watch."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import sqlalchemy as sa

from events.calendar import CALENDAR_V1
from events.offices import OFFICES
from events.outage import OutageCause
from events.stages import Stage
from events.standard import TargetName
from projections import board, desk, sla, status
from projections.board import Pressed, Pressing, Standing
from projections.desk import Waiting
from services.coverage_document import AGES_DAYS
from services.question_service import Questions
from services.questions import AsOf
from services.wording import OFFICE_WORKS

THROUGHPUT_DAYS = 7
LISTED_MAX = 25  # of each list on the page
_KEPT_S_MIN, _KEPT_TIMES = 1.0, 5  # figures are kept for so long, or so many times as long as they took
_KEPT_S_MAX = 10.0  # though nothing changed: ages go on


class Threat(NamedTuple):
    """Targets of one kind that will be broken at one office unless something is done, and what stands in their way."""

    office: str
    target: TargetName
    stage: Stage
    outage: OutageCause | None
    outage_since: datetime | None
    first_due: datetime
    cases: int


class Cases(NamedTuple):
    """What stands where, and what was done lately."""

    stages: Mapping[Stage, Standing]
    days: Mapping[date, Mapping[str, int]]
    uncollected: Sequence[Waiting]
    uncollected_older: Mapping[int, int]  # by days


class Figures(NamedTuple):
    """Of one office or all, at the instant `at`; `position`: the views' when they were asked."""

    at: datetime
    position: int
    cases: Cases
    pressing: Pressing


class Board:
    """`now` from the running views, as they are; `then` from a fold of the journal, one at a time."""

    def __init__(self, engine: sa.Engine, questions: Questions) -> None:
        self._engine, self._questions = engine, questions
        self._kept: dict[str | None, tuple[Figures, float, float]] = {}  # and when they were asked, and how long it took
        self._asking: defaultdict[str | None, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._folding = asyncio.Lock()

    async def now(self, place: str | None, position: int) -> Figures:
        """The figures, at most some seconds old; those of the views' `position` if it does not move too fast."""
        async with self._asking[place]:
            if place in self._kept:
                figures, asked, took_s = self._kept[place]
                age_s = time.monotonic() - asked
                kept_s = _KEPT_S_MAX if figures.position == position else max(_KEPT_S_MIN, _KEPT_TIMES * took_s)
                if age_s < kept_s:
                    return figures
            began = time.monotonic()
            figures = await asyncio.to_thread(self._now, place, position)
            self._kept[place] = figures, began, time.monotonic() - began
            return figures

    async def then(self, place: str | None, at: datetime) -> Figures:
        """What was true at `at`. Raises ViewsLag, JournalDamaged."""
        ask = AsOf(as_of=at)
        async with self._folding:
            async with self._questions.view(status, ask, place) as db:
                cases = await asyncio.to_thread(cases_of, db, place, at)
            async with self._questions.view(sla, ask, place) as db:
                return Figures(at, 0, cases, await asyncio.to_thread(board.pressing, db, _offices(place), at, LISTED_MAX))

    def _now(self, place: str | None, position: int) -> Figures:
        at = datetime.now(UTC)
        with self._engine.connect() as db:
            return Figures(at, position, cases_of(db, place, at), board.pressing(db, _offices(place), at, LISTED_MAX))


def threats(pressing: Pressing) -> list[Threat]:
    """What is at risk, by what stands in its way; the first to be broken first."""
    groups: dict[tuple[str, TargetName, Stage], list[Pressed]] = defaultdict(list)
    for each in pressing.at_risk:
        groups[each.case.office, each.timer.target.name, each.case.steps[-1].stage].append(each)
    found = []
    for (place, target, stage), some in groups.items():
        lasting = pressing.outages.get(place, {}) if stage in OFFICE_WORKS else {}
        cause, outage = next(iter(lasting.items()), (None, None))
        found.append(Threat(place, target, stage, cause, outage and outage.began, some[0].timer.due, len(some)))
    return sorted(found, key=lambda threat: threat.first_due)


def cases_of(db: sa.Connection, place: str | None, at: datetime) -> Cases:
    """Of one office or all. Of the status view."""
    offices = _offices(place)
    return Cases(
        board.standing(db, offices, at),
        board.throughput(db, offices, at, CALENDAR_V1.zone, THROUGHPUT_DAYS),
        desk.queue(db, Stage.PRINTED, place, 1).cases[:LISTED_MAX],
        desk.older(db, Stage.PRINTED, place, at, AGES_DAYS),
    )


def _offices(place: str | None) -> list[str]:
    return [place] if place else list(OFFICES)
