"""One application for a card, from the desk to the resident's hand: may this be done, and what then has happened.

Pure: time, rules and the resident's other cases come in as arguments. Stages and kinds: contract section 4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import NamedTuple, assert_never

from events.application import (
    ApplicationFact,
    Cancelled,
    Collected,
    Corrected,
    Printed,
    Queued,
    Recorded,
    Returned,
    Submitted,
    stage_reached,
)
from events.calendar import Calendar, local
from events.envelope import Event
from events.receipt import case_id
from events.stages import FINAL, ORDER, REPRINTS, Kind, Stage
from events.standard import Standard, promised
from services import refusals
from services.commands import Advance, AnyCommand, Cancel, Correct, Return, Submit

ADULT_YEARS = 17

_REACHES: dict[str, tuple[Stage, type[Recorded | Queued | Printed | Collected]]] = {
    "record": (Stage.RECORDED, Recorded),
    "queue": (Stage.QUEUED, Queued),
    "print": (Stage.PRINTED, Printed),
    "collect": (Stage.COLLECTED, Collected),
}


class Request(NamedTuple):
    """A command with the identity that makes it count once, and the receipt it is about."""

    event_id: str
    digest: str  # keyed digest of the command's content
    receipt: str
    command: AnyCommand
    causation: str = ""
    correlation: str = ""
    resident: str = ""  # submit: the applicant's random id


@dataclass(frozen=True)
class Rules:
    """The service standard and calendar in force."""

    standard: Standard
    calendar: Calendar


RulesAt = Callable[[str, datetime], Rules]  # what is in force for an office at an instant


class Noted(NamedTuple):
    """What later decisions need of one event of the case."""

    id: str
    digest: str
    stage: Stage | None  # that it reached; None for a correction
    occurred: datetime  # as corrected


class State(NamedTuple):
    """A case as its history tells it. No stage: it was never submitted."""

    receipt: str = ""
    office: str = ""
    kind: Kind = Kind.NEW
    resident: str = ""
    stage: Stage | None = None
    noted: tuple[Noted, ...] = ()
    reached: frozenset[Stage] = frozenset()

    @property
    def version(self) -> int:
        return len(self.noted)

    @property
    def last_occurred(self) -> datetime | None:
        """When the last event happened that was not a correction."""
        for noted in reversed(self.noted):
            if noted.stage:
                return noted.occurred
        return None


def evolve(state: State, event: Event) -> State:
    """The case after one more fact. Facts are not argued with; an impossible one is a damaged history."""
    fact, noted = event.fact, state.noted
    assert event.version == len(noted) + 1, f"version {event.version} follows {len(noted)}"
    match fact:
        case Submitted():
            reached, now = frozenset({Stage.SUBMITTED}), Noted(event.id, fact.digest, Stage.SUBMITTED, event.occurred)
            return State(fact.receipt, event.place, fact.kind, fact.resident, Stage.SUBMITTED, (now,), reached)
        case Corrected():
            stage, reached = state.stage, state.reached
            if fact.at:
                noted = tuple(old._replace(occurred=fact.at) if old.id == fact.corrects else old for old in noted)
            noted = (*noted, Noted(event.id, fact.digest, None, event.occurred))
        case Recorded() | Queued() | Printed() | Collected() | Cancelled() | Returned():
            stage = stage_reached(fact)
            assert stage is not None
            reached = _with(state.reached, stage)
            noted = (*noted, Noted(event.id, fact.digest, stage, event.occurred))
        case _:
            raise AssertionError(f"not an application's fact: {fact.TYPE}")
    return State(state.receipt, state.office, state.kind, state.resident, stage, noted, reached)


@cache
def _with(reached: frozenset[Stage], stage: Stage) -> frozenset[Stage]:
    """One set for all cases with the same course: there are a few dozen, and a hundred thousand cases in memory."""
    return reached | {stage}


def decide(request: Request, state: State, rules: Rules, now: datetime, others: Sequence[State] = ()) -> list[Event]:
    """What happened, if the answer is yes: one event, or none when this very request was done before.

    `others` are the resident's other cases (for submit). Raises one of services.refusals.
    """
    command = request.command
    for noted in state.noted:
        if noted.id == request.event_id:
            if noted.digest != request.digest:
                raise refusals.KeyReused
            return []
    occurred = _occurred(command, state, now)
    if isinstance(command, Submit):
        if state.stage is not None:  # a register book may tell twice how one case began
            raise refusals.AlreadyThere(Stage.SUBMITTED, state.stage)
        fact: ApplicationFact = _submitted(request, command, rules, occurred, others)
        place = command.office
    else:
        fact, place = _next_fact(request, command, state, now), state.office
    return [
        Event(
            id=request.event_id,
            place=place,
            entity_id=case_id(request.receipt),
            version=state.version + 1,
            occurred=occurred,
            fact=fact,
            actor=command.actor,
            causation=request.causation,
            correlation=request.correlation,
        )
    ]


def _occurred(command: AnyCommand, state: State, now: datetime) -> datetime:
    """When it happened: as said, else now; a clock that was set back does not put it before what came before."""
    previous = state.last_occurred
    if command.at is None:
        return max(now, previous) if previous else now
    if command.at > now:
        raise refusals.InFuture(command.at, now)
    if previous and command.at < previous:
        raise refusals.BeforePrevious(command.at, previous)
    return command.at.astimezone(now.tzinfo)


def _submitted(request: Request, command: Submit, rules: Rules, occurred: datetime, others: Sequence[State]) -> Submitted:
    today = local(rules.calendar, occurred).date()
    born = command.born or command.nik.born(today)
    if not command.nik.agrees_with(born) or born > today:
        raise refusals.BornDisagrees
    if command.foreigner and not command.stay_permit:
        raise refusals.NoStayPermit
    if not command.married and today < (adult := _anniversary(born, ADULT_YEARS)):
        raise refusals.UnderAge(adult)
    for other in others:
        if other.stage not in FINAL and other.stage is not None:
            raise refusals.CaseOpen(other.receipt, other.stage)
        if command.kind is Kind.NEW and Stage.PRINTED in other.reached and other.stage is not Stage.CANCELLED:
            raise refusals.CardExists(other.receipt)
    return Submitted(
        digest=request.digest,
        serial=command.serial,
        reason=command.reason,
        receipt=request.receipt,
        kind=command.kind,
        resident=request.resident,
        promised=promised(rules.standard, rules.calendar, occurred),
        standard_version=rules.standard.version,
        calendar_version=rules.calendar.version,
        nik=command.nik,
        name=command.name,
        born=born,
    )


def _next_fact(
    request: Request, command: Advance | Return | Cancel | Correct, state: State, now: datetime
) -> ApplicationFact:
    """The fact for a case that exists. Raises refusals when its stage does not allow it."""
    stage = state.stage
    assert stage is not None, "the command service answers for cases that do not exist"
    noted = {"digest": request.digest, "serial": command.serial, "reason": command.reason}
    match command:
        case Correct():
            return _corrected(request, command, state, now)
        case Cancel():
            _open(stage, Stage.CANCELLED)
            return Cancelled(**noted)
        case Return():
            _open(stage, command.to)
            if command.to not in state.reached or ORDER.index(command.to) >= ORDER.index(stage):
                raise refusals.CannotReturn(command.to, stage)
            return Returned(**noted, back_to=command.to)
        case Advance():
            target, fact = _REACHES[command.command]
            if stage is Stage.CANCELLED:
                raise refusals.CaseCancelled
            if ORDER.index(target) <= ORDER.index(stage):
                raise refusals.AlreadyThere(target, stage)
            may_skip = stage is Stage.SUBMITTED and state.kind in REPRINTS
            furthest = Stage.QUEUED if may_skip else ORDER[ORDER.index(stage) + 1]
            if ORDER.index(target) > ORDER.index(furthest):
                raise refusals.StageSkipped(target, stage, furthest)
            return fact(**noted)
        case _:
            assert_never(command)


def _open(stage: Stage, asked: Stage) -> None:
    if stage is Stage.CANCELLED:
        raise refusals.AlreadyThere(asked, stage) if asked is stage else refusals.CaseCancelled()
    if stage is Stage.COLLECTED:
        raise refusals.CaseCollected


def _corrected(request: Request, command: Correct, state: State, now: datetime) -> Corrected:
    """A correction of one event; its new time must stay between its neighbours', corrected ones included."""
    stages = [noted for noted in state.noted if noted.stage]
    index = next((i for i, noted in enumerate(stages) if noted.id == command.event), None)
    if index is None:
        raise refusals.NoSuchEvent(command.event)
    if command.new_name and index > 0:
        raise refusals.NothingCorrected("name")
    if not (command.new_at or command.new_serial or command.new_actor or command.new_name):
        raise refusals.NothingCorrected("-")
    if command.new_at:
        if command.new_at > now:
            raise refusals.InFuture(command.new_at, now)
        if index > 0 and command.new_at < (previous := stages[index - 1].occurred):
            raise refusals.BeforePrevious(command.new_at, previous)
        if index + 1 < len(stages) and command.new_at > (following := stages[index + 1].occurred):
            raise refusals.AfterNext(command.new_at, following)
    return Corrected(
        digest=request.digest,
        serial=command.serial,
        reason=command.reason,
        corrects=command.event,
        at=command.new_at,
        new_serial=command.new_serial,
        new_actor=command.new_actor,
        name=command.new_name,
    )


def _anniversary(born: date, years: int) -> date:
    try:
        return born.replace(year=born.year + years)
    except ValueError:  # 29 February: 1 March, as the Civil Code counts full years
        return date(born.year + years, 3, 1)
