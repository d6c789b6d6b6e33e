"""What tests about timers share: one case in November 2026, other rules, and lawful histories of any kind."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce
from typing import Any

from hypothesis import strategies as st

from events.application import ApplicationFact, Corrected
from events.calendar import CALENDAR_V1
from events.envelope import Event
from events.rules import CalendarSet, Rulebook, RuleFact, StandardSet
from events.rules import evolve as with_rule
from events.stages import Stage
from events.standard import STANDARD_V1
from events.timers import Case, evolve
from tests.applications import CANCELLED, CASE, COLLECTED, OFFICE, PRINTED, QUEUED, RECORDED, SUBMITTED, at, back_to

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
V1 = Rulebook()


def nov(text: str) -> datetime:
    """`25 08:00`: of November 2026, whose 25th is a Wednesday."""
    day, _, clock = text.partition(" ")
    return at(f"2026-11-{day}T{clock}")


def happened(version: int, occurred: datetime, fact: ApplicationFact, recorded: datetime) -> Event:
    return Event(f"event-{version}", OFFICE, CASE, version, occurred, fact, recorded=recorded, seq=version)


def rulebook(*facts: RuleFact) -> Rulebook:
    return reduce(with_rule, facts, Rulebook())


def of_events(history: Sequence[Event], book: Rulebook = V1) -> Case:
    return reduce(lambda state, event: evolve(state, event, book), history, Case())


def case(*history: tuple[str, ApplicationFact], book: Rulebook = V1, known: str | None = None) -> Case:
    """case(("25 08:00", SUBMITTED), …): each event recorded when it occurred, or all of them at `known`."""
    lines = enumerate(history, 1)
    return of_events([happened(version, nov(at), fact, nov(known or at)) for version, (at, fact) in lines], book)


def corrected(version: int, to: str | None) -> Corrected:
    return Corrected(digest="d", corrects=f"event-{version}", at=nov(to) if to else None, new_serial="B")


STRAIGHT = (
    ("25 08:00", SUBMITTED),
    ("25 09:00", RECORDED),
    ("26 09:00", QUEUED),
    ("27 10:00", PRINTED),
    ("30 08:00", COLLECTED),
)


def standard(version: int, valid_from: str, **changed: dict[str, str]) -> StandardSet:
    """standard(2, "25 12:00", queueing={"limit": "PT3H"})"""
    shown: dict[str, Any] = STANDARD_V1.model_dump(mode="json")
    targets = [target | changed.get(target["name"], {}) for target in shown["targets"]]
    return StandardSet(standard=shown | {"version": version, "targets": targets}, valid_from=nov(valid_from))


CLOSED_ON_THE_26TH = {OFFICE: {"2026-11-26": {"sessions": [], "why": "Banjir"}}}
FLOODED = CalendarSet(
    calendar=CALENDAR_V1.model_dump(mode="json") | {"version": 2, "offices": CLOSED_ON_THE_26TH}, valid_from=nov("25 12:00")
)


STEPS: dict[Stage, list[ApplicationFact]] = {
    Stage.SUBMITTED: [RECORDED, QUEUED, CANCELLED],
    Stage.RECORDED: [QUEUED, CANCELLED, back_to(Stage.SUBMITTED)],
    Stage.QUEUED: [PRINTED, back_to(Stage.SUBMITTED), back_to(Stage.RECORDED)],
    Stage.PRINTED: [COLLECTED, back_to(Stage.SUBMITTED), back_to(Stage.RECORDED), back_to(Stage.QUEUED)],
    Stage.COLLECTED: [],
    Stage.CANCELLED: [],
}


@st.composite
def histories(draw: st.DrawFn) -> list[Event]:
    """Lawful ones, with corrections that keep the order of time; some events at the same instant. Recorded as they occur."""
    events = [happened(1, nov("02 08:00"), SUBMITTED, nov("02 08:00"))]
    for version in range(2, draw(st.integers(2, 12))):
        steps = of_events(events).steps
        fact: ApplicationFact | None = draw(st.sampled_from([*STEPS[steps[-1].stage], None]))
        if fact is None:
            index = draw(st.integers(0, len(steps) - 1))
            low = steps[index - 1].occurred if index else steps[0].occurred - DAY
            high = steps[index + 1].occurred if index + 1 < len(steps) else steps[-1].occurred + DAY
            moved = low + (high - low) * draw(st.integers(0, 4)) / 4
            fact = Corrected(digest="d", corrects=steps[index].event_id, at=moved)
        occurred = steps[-1].occurred + draw(st.integers(0, 3000)) * MINUTE
        events.append(happened(version, occurred, fact, occurred))
    return events
