"""Where a target's time went: every second has one cause, and the parts add up to the whole; and the due instant that is
fair to the office. Contract section 2.

An outage counts before everything else, also outside working time: a case that waits three months for blank cards waits
for them at night, too.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import merge
from itertools import pairwise
from typing import Final

from events.outage import OUTAGE_CAUSES, OfficeOutages, during
from events.sla import CAUSES, Cause
from events.stages import Stage
from events.standard import due
from events.timers import Step, Timer
from events.working_clock import working_time_between

NONE, SECOND = timedelta(0), timedelta(seconds=1)
_WAITS_FOR: Final[dict[Stage, Cause]] = {Stage.RECORDED: "centre", Stage.PRINTED: "applicant"}  # else for the office


def causes(timer: Timer, steps: Sequence[Step], outages: OfficeOutages, as_of: datetime) -> dict[Cause, int]:
    """Wall seconds by cause, from the timer's start until it stopped or `as_of`, an aware instant that is not before it.

    They add up to the whole seconds of that span; each is less than a second off.
    """
    started, until = timer.started, min(as_of, timer.stopped or as_of)
    assert started <= until, "what has not started has no causes"
    out = [(cause, list(during(outages.get(cause, ()), started, until))) for cause in OUTAGE_CAUSES]
    edges = {edge for _, parts in out for part in parts for edge in part}
    edges |= {step.occurred for step in steps if started < step.occurred < until} | {started, until}
    spent: dict[Cause, timedelta] = dict.fromkeys(CAUSES, NONE)
    for begin, end in pairwise(sorted(edges)):
        overriding = next((cause for cause, parts in out if any(here <= begin < over for here, over in parts)), None)
        if overriding:
            spent[overriding] += end - begin
        else:
            worked = working_time_between(timer.calendar, begin, end)
            spent[_WAITS_FOR.get(_stage(steps, begin), "office")] += worked
            spent["closed"] += end - begin - worked
    return _whole_seconds(spent)


def office_due(timer: Timer, outages: OfficeOutages, as_of: datetime) -> datetime:
    """The due instant if the target's clock had stood still during outages, as far as they are known at `as_of`."""
    began, left = timer.started, timer.target.limit
    for begin, end in merge(*(during(one, timer.started, as_of) for one in outages.values())):
        if begin > began:
            gone = _on_its_clock(timer, began, begin)
            if gone >= left:
                break
            left -= gone
        began = max(began, end)
    return due(replace(timer.target, limit=left), timer.calendar, began)


def _on_its_clock(timer: Timer, begin: datetime, end: datetime) -> timedelta:
    return working_time_between(timer.calendar, begin, end) if timer.target.clock == "working" else end - begin


def _stage(steps: Sequence[Step], at: datetime) -> Stage:
    return next(step.stage for step in reversed(steps) if step.occurred <= at)


def _whole_seconds(spent: dict[Cause, timedelta]) -> dict[Cause, int]:
    """Each part as the difference of two sums in whole seconds, so that nothing is lost between them."""
    seconds: dict[Cause, int] = {}
    until = NONE
    for cause, part in spent.items():
        seconds[cause] = (until + part) // SECOND - until // SECOND
        until += part
    return seconds
