"""What operations must be told of a case now: warnings and breaches of its targets, each once. Pure.

An id follows from the case, the target, the event that started it and the share, so two who decide the same tell it once,
and a corrected time tells nothing again. What was past when the journal first had the start (imported history, records on
paper) is judged by the views, and nobody is told.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from events.elapsed import causes
from events.envelope import Event
from events.outage import OfficeOutages
from events.receipt import event_id
from events.sla import Breached, Warned
from events.timers import SHARES, Case, Share, Timer, passed

LATE: Final = timedelta(minutes=1)


def decide(case: Case, told: Sequence[Event], outages: OfficeOutages, now: datetime) -> list[Event]:
    """The events to append at the aware instant `now` to the case's SLA subject, on which `told` stands; in order of time.

    Where more of a target was told, less is not: its start was corrected meanwhile.
    """
    before = {event.id for event in told}
    new = [
        (at, timer, share)
        for timer in case.timers
        if timer.target.is_breach
        for share, at in passed(timer, now)
        if at >= timer.known and before.isdisjoint(_id(case, timer, more) for more in SHARES if more >= share)
    ]
    new.sort(key=lambda one: one[0])
    return [
        Event(
            id=_id(case, timer, share),
            place=case.office,
            entity_id=case.id,
            version=version,
            occurred=now,
            fact=_fact(case, timer, share, at, outages, now),
            causation=timer.start_id,
        )
        for version, (at, timer, share) in enumerate(new, len(told) + 1)
    ]


def _id(case: Case, timer: Timer, share: Share) -> str:
    return event_id(f"sla {case.id} {timer.target.name} {timer.start_id}", share)


def _fact(case: Case, timer: Timer, share: Share, at: datetime, outages: OfficeOutages, now: datetime) -> Warned | Breached:
    said: dict[str, Any] = {
        "target": timer.target.name,
        "started": timer.started,
        "due": timer.due,
        "elapsed": causes(timer, case.steps, outages, at),
        "standard_version": timer.standard_version,
        "calendar_version": timer.calendar.version,
        "late": now - at > LATE,
    }
    return Breached(**said) if share == 100 else Warned(**said, share=share, reached=at)
