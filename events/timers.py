"""The timers of a case: which targets ran when, by when each was due, and whether it was met.

A fold over the case's events (contract section 4). Each target goes by the standard and the calendar that were in force
when it started, whatever is set later; a corrected time moves what started or stopped by the corrected event.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Final, Literal, NamedTuple

from events.application import Corrected, Returned, stage_reached
from events.calendar import Calendar, for_office
from events.envelope import Event
from events.rules import THE_BEGINNING, Rulebook, Version, in_force
from events.stages import FINAL, ORDER, Stage
from events.standard import Target, TargetName, due

Share = Literal[75, 90, 100]  # per cent of a target's time; the last is its due instant
SHARES: Final[tuple[Share, ...]] = (75, 90, 100)
_RANK: Final = {stage: rank for rank, stage in enumerate(ORDER)}


class Step(NamedTuple):
    """An event that brought the case to a stage."""

    event_id: str
    stage: Stage
    is_return: bool
    occurred: datetime  # as corrected
    recorded: datetime


class Timer(NamedTuple):
    """One run of one target. It stops when it is `met`, or `ended` by a return or the cancellation."""

    target: Target
    standard_version: int
    calendar: Calendar  # the office's
    start_id: str  # of the event that started it; stays when its time is corrected
    started: datetime
    known: datetime  # since when the journal has its start: later than `due` for imported history
    due: datetime
    met: datetime | None = None
    ended: datetime | None = None

    @property
    def stopped(self) -> datetime | None:
        """When it was met or ended; None: it runs."""
        return self.met or self.ended


class Case(NamedTuple):
    """A case as its timers need it. No steps: it was never submitted."""

    id: str = ""
    office: str = ""
    steps: tuple[Step, ...] = ()
    timers: tuple[Timer, ...] = ()  # in the order in which they started


def evolve(case: Case, event: Event, rulebook: Rulebook) -> Case:
    """The case after one more of its stored events. Everything is derived anew where a time was corrected: that is rare."""
    fact = event.fact
    if isinstance(fact, Corrected):
        if fact.at is None:
            return case
        moved = (step._replace(occurred=fact.at) if step.event_id == fact.corrects else step for step in case.steps)
        return judged(case._replace(steps=tuple(moved)), rulebook)
    stage, recorded = stage_reached(fact), event.recorded
    assert stage is not None, f"not an application's fact: {fact.TYPE}"
    assert recorded is not None, "timers follow from what is stored"
    step = Step(event.id, stage, isinstance(fact, Returned), event.occurred, recorded)
    return Case(event.entity_id, event.place, (*case.steps, step), _advance(case.timers, step, event.place, rulebook))


def judged(case: Case, rulebook: Rulebook) -> Case:
    """The case with the timers that follow from its steps."""
    timers: tuple[Timer, ...] = ()
    for step in case.steps:
        timers = _advance(timers, step, case.office, rulebook)
    return case._replace(timers=timers)


def recomputed(case: Case, rulebook: Rulebook, at: datetime) -> Case:
    """The case as it would be judged if what is in force at the aware instant `at` had always been."""
    calendar, standard = in_force(rulebook.calendars, at), in_force(rulebook.standards, at)
    return judged(case, Rulebook((Version(THE_BEGINNING, calendar),), (Version(THE_BEGINNING, standard),)))


def stands_still(case: Case) -> bool:
    """Whether it is open and no timer runs, so that nothing would ever remind anyone of it."""
    return bool(case.steps) and case.steps[-1].stage not in FINAL and all(timer.stopped for timer in case.timers)


def instant(timer: Timer, share: Share) -> datetime:
    """When `share` per cent of the target's time are gone, on its own clock."""
    if share == 100:
        return timer.due
    return due(_part(timer.target, share), timer.calendar, timer.started)


def passed(timer: Timer, as_of: datetime) -> Iterator[tuple[Share, datetime]]:
    """What it passed by the aware instant `as_of` before it stopped, in order; 100 is among them when it was breached.

    Met at the very due instant is met in time.
    """
    for share in SHARES:
        at = instant(timer, share)
        if at <= as_of and (timer.stopped is None or at < timer.stopped):
            yield share, at


def _advance(timers: tuple[Timer, ...], step: Step, office: str, rulebook: Rulebook) -> tuple[Timer, ...]:
    """The timers after one more step: some stop, then some start. Not what runs already, and issuance only once."""
    after, taken, rank = list[Timer](), set[TargetName](), _RANK.get(step.stage)
    for before in timers:
        timer = before if before.met or before.ended else _stopped(before, step, rank)
        after.append(timer)
        name = timer.target.name
        if name == "issuance" or not (timer.met or timer.ended):
            taken.add(name)
    standard = in_force(rulebook.standards, step.occurred)
    for target in standard.targets:
        if target.from_stage is step.stage and target.name not in taken:
            calendar = for_office(in_force(rulebook.calendars, step.occurred), office)
            at = due(target, calendar, step.occurred)
            after.append(Timer(target, standard.version, calendar, step.event_id, step.occurred, step.recorded, at))
    return tuple(after)


def _stopped(timer: Timer, step: Step, rank: int | None) -> Timer:
    """The running timer, stopped if this step stops it. `rank`: of its stage; None: cancelled."""
    target = timer.target
    if rank is None:
        return timer._replace(ended=step.occurred)
    if step.is_return:  # issuance keeps its start
        goes_on = target.name == "issuance" or _RANK[target.from_stage] < rank
        return timer if goes_on else timer._replace(ended=step.occurred)
    # later than its own stage where that was left out
    return Timer(*timer[:7], met=step.occurred) if rank >= _RANK[target.to_stage] else timer


@cache
def _part(target: Target, share: Share) -> Target:
    return replace(target, limit=target.limit * share / 100)
