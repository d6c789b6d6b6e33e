"""What tests about applications share: one made-up resident and case, its facts, and given/when/then."""

from datetime import date, datetime, timedelta
from functools import reduce
from typing import Any, Literal

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
)
from events.audit import AdministrativeCall, PutBack, Restored
from events.calendar import CALENDAR_V1
from events.envelope import Event
from events.erasure import ErasureOrdered
from events.fact import Fact
from events.nik import Nik
from events.offices import OFFICES
from events.outage import OutageBegan, OutageEnded
from events.problem import Problem
from events.receipt import case_id, receipt
from events.resident import CaseClaimed, ClaimsClosed
from events.rules import CalendarSet, StandardSet
from events.sla import Breached, Warned
from events.stages import Kind, Stage
from events.standard import STANDARD_V1
from services.application import Request, Rules, State, decide, evolve
from services.commands import Advance, AnyCommand, Cancel, Correct, Return, Submit

RULES = Rules(STANDARD_V1, CALENDAR_V1)


def at(text: str) -> datetime:
    """An instant in Jakarta."""
    return datetime.fromisoformat(text).replace(tzinfo=CALENDAR_V1.zone)


OFFICE = "367203"
RECEIPT = receipt(b"secret", OFFICES[OFFICE], "a case of these tests")
CASE = case_id(RECEIPT)
RESIDENT = "0123456789abcdef01234567"
NAME, REASON, BORN = "Siti Rahayu", "salinan akta keliru", date(1990, 5, 1)
NIK = Nik.of(OFFICE, BORN, "F", 7)
NOW = at("2026-11-25T09:00")  # a Wednesday
_DAY = timedelta(days=1)
_FIRST = at("2026-11-02T08:00")

SUBMITTED = Submitted(
    digest="earlier",
    receipt=RECEIPT,
    kind=Kind.NEW,
    resident=RESIDENT,
    promised=at("2026-11-03T08:00"),
    standard_version=1,
    calendar_version=1,
)
RECORDED, QUEUED, PRINTED = Recorded(digest="earlier"), Queued(digest="earlier"), Printed(digest="earlier")
COLLECTED, CANCELLED = Collected(digest="earlier"), Cancelled(digest="earlier")
SO_FAR = {  # the shortest history to each stage
    Stage.SUBMITTED: (SUBMITTED,),
    Stage.RECORDED: (SUBMITTED, RECORDED),
    Stage.QUEUED: (SUBMITTED, RECORDED, QUEUED),
    Stage.PRINTED: (SUBMITTED, RECORDED, QUEUED, PRINTED),
    Stage.COLLECTED: (SUBMITTED, RECORDED, QUEUED, PRINTED, COLLECTED),
    Stage.CANCELLED: (SUBMITTED, CANCELLED),
}
_FLOOD: Any = {OFFICE: {"2026-11-25": {"sessions": [], "why": "Banjir"}}}
_SLA: dict[str, Any] = {
    "target": "issuance",
    "started": _FIRST,
    "due": _FIRST + _DAY,
    "elapsed": {"office": 30_600, "power": 9},
}
_SLA |= {"standard_version": 1, "calendar_version": 1, "late": False}
_NOTED: dict[str, Any] = {"digest": "d", "serial": "B-17", "reason": REASON}
EXAMPLES: dict[type[Fact], Fact] = {  # each kind of fact with every field set but `sealed`
    type(fact): fact
    for fact in (
        Submitted(**SUBMITTED.model_dump(exclude_none=True) | _NOTED, nik=NIK, name=NAME, born=BORN),
        *(kind(**_NOTED) for kind in (Recorded, Queued, Printed, Collected, Cancelled)),
        Returned(**_NOTED, back_to=Stage.RECORDED),
        Corrected(**_NOTED, corrects="event-1", at=NOW, new_serial="B-18", new_actor="p.2", name=NAME),
        CaseClaimed(case=CASE, office=OFFICE),
        ClaimsClosed(),
        ErasureOrdered(digest="d", cases=(CASE,)),
        CalendarSet(calendar=CALENDAR_V1.model_dump(mode="json") | {"version": 2, "offices": _FLOOD}, valid_from=NOW),
        StandardSet(standard=STANDARD_V1.model_dump(mode="json") | {"version": 2}, valid_from=NOW),
        OutageBegan(digest="d", cause="power"),
        OutageEnded(digest="d", cause="power"),
        Warned(**_SLA, share=75, reached=_FIRST + _DAY * 3 / 4),
        Breached(**_SLA),
        PutBack(why="altered", first=7, last=9, places=2, source="archive", events=12),
        Restored(restored=12, lost=3, first_lost=13),
        AdministrativeCall(call="STREAM.UPDATE", stream="EKTP", account="BACKBONE", user="admin", outcome="done"),
    )
}


def of_kind(kind: Kind) -> Submitted:
    return SUBMITTED.model_copy(update={"kind": kind})


def back_to(stage: Stage) -> Returned:
    return Returned(digest="earlier", back_to=stage)


def day(number: int) -> datetime:
    """When the `number`-th event of a given history happened: one each day."""
    return _FIRST + (number - 1) * _DAY


def happened(version: int, fact: ApplicationFact) -> Event:
    """The event `event-<version>` of the case, on its day."""
    return Event(id=f"event-{version}", place=OFFICE, entity_id=CASE, version=version, occurred=day(version), fact=fact)


def case(*history: ApplicationFact) -> State:
    return reduce(evolve, (happened(version, fact) for version, fact in enumerate(history, 1)), State())


def submit(**said: Any) -> Submit:
    return Submit(**{"office": OFFICE, "nik": NIK, "name": NAME, "kind": Kind.NEW} | said)


def do(step: Literal["record", "queue", "print", "collect"], **said: Any) -> Advance:
    return Advance(command=step, receipt=RECEIPT, **said)


def return_to(stage: Stage, **said: Any) -> Return:
    return Return(receipt=RECEIPT, to=stage, reason=REASON, **said)


def cancel(**said: Any) -> Cancel:
    return Cancel(receipt=RECEIPT, reason=REASON, **said)


def correct(version: int, **new: Any) -> Correct:
    """Correct the `version`-th event of the case."""
    return Correct(**{"receipt": RECEIPT, "event": f"event-{version}", "reason": REASON} | new)


def request(command: AnyCommand, event_id: str = "asked", digest: str = "asked") -> Request:
    return Request(event_id, digest, RECEIPT, command, causation="command", correlation="desk", resident=RESIDENT)


class given:
    """given(*facts).when(command).then(fact): reads as a sentence. `others` are the resident's other cases."""

    def __init__(self, *history: ApplicationFact, others: tuple[State, ...] = ()) -> None:
        self.state, self.others = case(*history), others

    def when(self, command: AnyCommand, now: datetime = NOW, event_id: str = "asked", digest: str = "asked") -> "given":
        self.command, self.outcome = command, None
        try:
            self.outcome = decide(request(command, event_id, digest), self.state, RULES, now, self.others)
        except Problem as refusal:
            self.refusal = refusal
        return self

    def then(self, fact: ApplicationFact, occurred: datetime = NOW) -> None:
        """One event came of it, and `evolve` accepts it."""
        asked = request(self.command)
        event = Event(
            id="asked",
            place=OFFICE,
            entity_id=CASE,
            version=self.state.version + 1,
            occurred=occurred,
            fact=fact.model_copy(update={"digest": "asked"}),
            actor=self.command.actor,
            causation=asked.causation,
            correlation=asked.correlation,
        )
        assert self.outcome == [event]
        assert evolve(self.state, event).version == event.version

    def then_nothing_more(self) -> None:
        assert self.outcome == []

    def then_refused(self, kind: type[Problem], **figures: object) -> None:
        """Nothing came of it, for this reason, which names nobody."""
        assert self.outcome is None, self.outcome
        assert (type(self.refusal), vars(self.refusal)) == (kind, figures)
        told = f"{self.refusal.document()}{self.refusal.message('id')}"
        assert not [secret for secret in (NIK, NAME, REASON, BORN.isoformat()) if secret in told]
