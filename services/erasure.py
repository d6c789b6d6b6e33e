"""Erasing a person: may it be done, and what then is told. Pure.

The person's cases stay, with all that they tell of the office's work; who it was cannot be read any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from events.envelope import Event
from events.erasure import ErasureOrdered
from events.fact import Fact
from events.offices import BACKBONE_ID
from events.receipt import case_id, event_id
from events.resident import ClaimsClosed
from events.stages import FINAL, Stage
from services import application
from services.commands import Actor, Reason
from services.refusals import KeyReused, Refused


class Erase(BaseModel):
    """Forget the person behind this receipt."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    command: Literal["erase"] = "erase"
    receipt: str
    reason: Reason  # not kept, see events.erasure
    actor: Actor | None = None


@dataclass(eq=False)
class RetentionHold(Refused):
    """A case of the person is open, or its card not collected: the office still has to know whose it is."""

    receipt: str
    stage: Stage
    code: ClassVar[str] = "retention_hold"
    sentence_id: ClassVar[str] = (
        "Permohonan {receipt} warga ini masih {stage}; tidak ada yang dihapus. Selesaikan (collect) atau batalkan dulu."
    )
    sentence_en: ClassVar[str] = (
        "Case {receipt} of this person is still {stage}; nothing was erased. Have it collected or cancel it first."
    )


class Request(NamedTuple):
    """A command with the identity that makes it count once."""

    event_id: str
    digest: str  # keyed digest of the command's content
    command: Erase
    causation: str = ""
    correlation: str = ""


class State(NamedTuple):
    """The order to erase this person, once there is one: id and digest of its event."""

    order: tuple[str, str] | None = None


def evolve(state: State, event: Event) -> State:
    """After one more fact of the person's erasure. A second order is a damaged history."""
    assert isinstance(event.fact, ErasureOrdered), f"not an erasure's fact: {event.fact.TYPE}"
    assert state.order is None, f"ordered twice: {event.id}"
    return State((event.id, event.fact.digest))


def decide(request: Request, state: State, resident: str, cases: Sequence[application.State], now: datetime) -> list[Event]:
    """The order, and with it the end of the resident's claims; none when the person is erased already.

    `cases` are all that the resident ever claimed. Raises RetentionHold, KeyReused.
    """
    if state.order:
        if state.order[0] == request.event_id and state.order[1] != request.digest:
            raise KeyReused
        return []
    for case in cases:
        assert case.stage is not None, "a claim and its submission stand together"
        if case.stage not in FINAL:
            raise RetentionHold(case.receipt, case.stage)
    order = ErasureOrdered(digest=request.digest, cases=tuple(case_id(case.receipt) for case in cases))
    facts: list[tuple[int, Fact]] = [(1, order), (len(cases) + 1, ClaimsClosed())]
    return [
        Event(
            id=event_id(request.event_id, index) if index else request.event_id,
            place=BACKBONE_ID,
            entity_id=resident,
            version=version,
            occurred=now,
            fact=fact,
            actor=request.command.actor,
            causation=request.causation,
            correlation=request.correlation,
        )
        for index, (version, fact) in enumerate(facts)
    ]
