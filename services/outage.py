"""An outage of one cause at one office: may it begin or end then, also as told later. Pure.

Its facts stand on one subject per office and cause, see events.outage.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict

from events import outage
from events.envelope import Event
from events.outage import OutageBegan, OutageCause, OutageEnded, Outages
from services.commands import Actor
from services.refusals import InFuture, KeyReused, Refused


class _OutageCommand(BaseModel):
    """`at`: when it happened at the office; not given: now."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    office: str
    cause: OutageCause
    at: AwareDatetime | None = None
    actor: Actor | None = None


class OutageBegin(_OutageCommand):
    """The office cannot work, for this cause."""

    command: Literal["outage_begin"] = "outage_begin"


class OutageEnd(_OutageCommand):
    """It can work again."""

    command: Literal["outage_end"] = "outage_end"


@dataclass(eq=False)
class OutageOverlaps(Refused):
    """Two outages of one cause at one office cannot overlap."""

    at: datetime
    began: datetime
    ended: datetime
    code: ClassVar[str] = "outage_overlaps"
    sentence_id: ClassVar[str] = (
        "Waktu {at} bertumpang tindih dengan gangguan {began} sampai {ended}; tidak ada yang dicatat. Periksa waktunya."
    )
    sentence_en: ClassVar[str] = (
        "{at} would overlap with the outage from {began} to {ended}; nothing was noted. Check the time."
    )


@dataclass(eq=False)
class OutageNotBegun(Refused):
    """No outage of this cause is without an end."""

    cause: str
    at: datetime
    code: ClassVar[str] = "outage_not_begun"
    sentence_id: ClassVar[str] = (
        "Tidak ada gangguan {cause} yang berjalan pada {at}; tidak ada yang dicatat. Catat dulu: ektp outage begin."
    )
    sentence_en: ClassVar[str] = (
        "There is no {cause} outage to end at {at}; nothing was noted. Enter its begin first: ektp outage begin."
    )


@dataclass(eq=False)
class OutageEndsTooEarly(Refused):
    """An outage ends after it began."""

    at: datetime
    began: datetime
    code: ClassVar[str] = "outage_ends_too_early"
    sentence_id: ClassVar[str] = (
        "Gangguan itu baru mulai {began}, jadi tidak selesai pada {at}; tidak ada yang dicatat. Periksa waktunya."
    )
    sentence_en: ClassVar[str] = (
        "That outage began at {began}, so it did not end at {at}; nothing was noted. Check the time."
    )


class Request(NamedTuple):
    """A command with the identity that makes it count once."""

    event_id: str
    digest: str  # keyed digest of the command's content
    command: OutageBegin | OutageEnd
    causation: str = ""
    correlation: str = ""


class State(NamedTuple):
    """The outages of one office and cause, and id and digest of each event that told of them."""

    outages: Outages = ()
    noted: tuple[tuple[str, str], ...] = ()


def evolve(state: State, event: Event) -> State:
    """The outages after one more fact. Facts are not argued with; an impossible one is a damaged history."""
    fact = event.fact
    assert isinstance(fact, OutageBegan | OutageEnded), f"not an outage's fact: {fact.TYPE}"
    return State(outage.evolve(state.outages, fact, event.occurred), (*state.noted, (event.id, fact.digest)))


def decide(request: Request, state: State, now: datetime) -> list[Event]:
    """What happened, if the answer is yes: one event; none when this request was done before, or it is known already.

    `state` is of the command's office and cause. Raises InFuture, KeyReused and the refusals above.
    """
    command = request.command
    for event_id, digest in state.noted:
        if event_id == request.event_id:
            if digest != request.digest:
                raise KeyReused
            return []
    at = now if command.at is None else command.at.astimezone(now.tzinfo)
    if at > now:
        raise InFuture(at, now)
    begins = isinstance(command, OutageBegin)
    if _is_out(state.outages, at) if begins else _is_over(state.outages, at, command.cause):
        return []
    fact = (OutageBegan if begins else OutageEnded)(digest=request.digest, cause=command.cause)
    return [
        Event(
            id=request.event_id,
            place=command.office,
            entity_id=command.cause,
            version=len(state.noted) + 1,
            occurred=at,
            fact=fact,
            actor=command.actor,
            causation=request.causation,
            correlation=request.correlation,
        )
    ]


def _is_out(outages: Outages, at: datetime) -> bool:
    """Whether an outage is known that began at this instant, or before and has no end yet. Raises OutageOverlaps."""
    earlier = [one for one in outages if one.began <= at]
    if not earlier:
        return False
    began, ended = earlier[-1]
    if began == at or ended is None:
        return True
    if at < ended:
        raise OutageOverlaps(at, began, ended)
    return False


def _is_over(outages: Outages, at: datetime, cause: OutageCause) -> bool:
    """Whether the last outage that began before is known to have ended at this instant; False: it ends only now.

    Raises OutageNotBegun, OutageEndsTooEarly, OutageOverlaps.
    """
    last = next((one for one in reversed(outages) if one.began < at), None)
    if last and last.ended == at:
        return True
    unended = next((one for one in outages if one.ended is None), None)
    if unended is None:
        raise OutageNotBegun(cause, at)
    if unended.began >= at:
        raise OutageEndsTooEarly(at, unended.began)
    if last and last.ended:  # it lies between the one that is to end and `at`
        raise OutageOverlaps(at, last.began, last.ended)
    return False
