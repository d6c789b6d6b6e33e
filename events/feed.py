"""The feed: what subscribers are told of a fact. A public contract with types and versions of its own, CloudEvents 1.0.

Public is what is listed here and nothing else: no receipt, resident, officer, digest, and nothing that an officer typed,
such as a serial. A case is known by its case id, which its owner can show. `sequence` is the event's position in the
journal, of 20 digits, since the CloudEvents extension "sequence" wants strings that sort; it grows, but has gaps, as not
every fact is public. Add fields with a default; a new meaning is a new type `.v2`.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

import orjson

from events.application import CaseFact, Corrected, Submitted, stage_reached
from events.envelope import Event
from events.erasure import ErasureOrdered
from events.offices import BACKBONE_ID
from events.sla import Breached, Cause, Warned
from events.stages import Kind, Stage
from events.standard import TargetName


@dataclass(frozen=True, slots=True)
class CaseMoved:
    """A case reached this stage, for the first time or again."""

    office: str
    case: str
    stage: Stage


@dataclass(frozen=True, slots=True)
class CaseSubmitted(CaseMoved):
    """A resident handed in an application; `promised` is what the receipt said."""

    kind: Kind
    promised: datetime


@dataclass(frozen=True, slots=True)
class CaseCorrected:
    """An earlier event of the case, of this id, had happened at another time."""

    office: str
    case: str
    corrects: str
    at: datetime


@dataclass(frozen=True, slots=True)
class TargetBreached:
    """A target was not met by its due instant. `causes`: seconds from `started` to `due`."""

    office: str
    case: str
    target: TargetName
    started: datetime
    due: datetime
    causes: dict[Cause, int]


@dataclass(frozen=True, slots=True)
class TargetWarned(TargetBreached):
    """So much of a target's time, in per cent, was gone when `reached` came. `causes`: seconds until then."""

    share: Literal[75, 90]
    reached: datetime


@dataclass(frozen=True, slots=True)
class PersonErased:
    """The person of these cases is to be forgotten, also by subscribers. It is told of the backbone, not of an office."""

    cases: tuple[str, ...]


Told = CaseMoved | CaseSubmitted | CaseCorrected | TargetWarned | TargetBreached | PersonErased
TOLD: dict[str, type[Told]] = {  # entity and event, as in the subject
    "application.submitted": CaseSubmitted,
    "application.recorded": CaseMoved,
    "application.queued": CaseMoved,
    "application.printed": CaseMoved,
    "application.collected": CaseMoved,
    "application.returned": CaseMoved,
    "application.cancelled": CaseMoved,
    "application.corrected": CaseCorrected,
    "sla.warned": TargetWarned,
    "sla.breached": TargetBreached,
    "erasure.erased": PersonErased,
}
EVENTS = tuple(name.partition(".")[2] for name in TOLD)
_ERASED = "erasure.erased"


class Message(NamedTuple):
    """What goes out: the NATS subject, and the CloudEvents document."""

    subject: str
    body: bytes


def type_name(name: str) -> str:
    """The CloudEvents type of a key of TOLD."""
    return f"id.go.ektp.feed.{name}.v1"


def filter_subject(event: str, office: str) -> str:
    """The subjects of one of EVENTS at an office, `*` for all. An erasure concerns whoever asks for erasures at all."""
    return f"ektp.feed.{BACKBONE_ID if event == 'erased' else office}.*.{event}"


def public(event: Event) -> Message | None:
    """What subscribers are told of an event of the journal; None where it is not for them."""
    told = _told(event)
    if told is None:
        return None
    assert event.recorded is not None
    name = _ERASED if isinstance(told, PersonErased) else ".".join(event.fact.TYPE.split(".")[3:5])
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "type": type_name(name),
        "source": f"/ektp/{BACKBONE_ID}/{event.place}",
        "time": event.occurred,
        "datacontenttype": "application/json",
        "dataschema": f"urn:{type_name(name)}",
        "recordedtime": event.recorded,
        "correlationid": event.correlation,
        "sequence": f"{event.seq:020}",
        "data": told,
    }
    if name != _ERASED:  # it is told of the resident, whose id is nobody's business
        document["subject"] = event.entity_id
    return Message(f"ektp.feed.{event.place}.{name}", orjson.dumps(document))


def sequence(body: bytes) -> int:
    """The journal position of the event that a message of the feed tells of."""
    return int(orjson.loads(body)["sequence"])


def _told(event: Event) -> Told | None:
    office, case, fact = event.place, event.entity_id, event.fact
    match fact:
        case Submitted():
            return CaseSubmitted(office, case, Stage.SUBMITTED, fact.kind, fact.promised)
        case Corrected():  # of a serial, an officer or a name it is not told, as these are not
            return CaseCorrected(office, case, fact.corrects, fact.at) if fact.at else None
        case CaseFact():
            stage = stage_reached(fact)
            return CaseMoved(office, case, stage) if stage else None
        case Warned():
            of_target = (office, case, fact.target, fact.started, fact.due, dict(fact.elapsed))
            return TargetWarned(*of_target, fact.share, fact.reached)
        case Breached():
            return TargetBreached(office, case, fact.target, fact.started, fact.due, dict(fact.elapsed))
        case ErasureOrdered():
            return PersonErased(fact.cases)
        case _:  # whatever comes later is not public until it is listed here
            return None
