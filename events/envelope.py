"""The envelope of every message in the journal: CloudEvents 1.0, structured JSON mode, the whole fact in the body.

Two times: `time` is when it occurred at the desk, `recordedtime` when the journal took it (UTC, never going backwards).
The NATS subject `ektp.<office or backbone>.<entity>.<id>` follows from `source`, `type` and `subject`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, NamedTuple

import orjson

from events.application import (
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
from events.erasure import ErasureOrdered
from events.fact import Fact, type_names, upcast
from events.offices import BACKBONE_ID
from events.outage import OutageBegan, OutageEnded
from events.problem import Problem
from events.resident import CaseClaimed, ClaimsClosed
from events.rules import CalendarSet, StandardSet
from events.sla import Breached, Warned

BODY_BYTES_MAX = 65_535
FACTS: dict[str, type[Fact]] = {  # older types, too
    name: fact
    for fact in (
        *(Submitted, Recorded, Queued, Printed, Collected, Returned, Cancelled, Corrected),
        *(CaseClaimed, CalendarSet, StandardSet, OutageBegan, OutageEnded, Warned, Breached),
        *(ErasureOrdered, ClaimsClosed, PutBack, Restored, AdministrativeCall),
    )
    for name in type_names(fact)
}


@dataclass(eq=False)
class UnreadableEvent(Problem):
    """A message that this version cannot read: unknown type or broken body. The reader stops or sets it aside."""

    seq: int
    why: str
    code: ClassVar[str] = "unreadable_event"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = "Peristiwa {seq} tidak terbaca: {why}. Pasang versi yang lebih baru, lalu ulangi."
    sentence_en: ClassVar[str] = "Event {seq} is unreadable: {why}. Install a newer version, then try again."


@dataclass(eq=False)
class EventTooLarge(Problem):
    """An event would not fit into one message; nothing was stored."""

    size: int  # bytes
    code: ClassVar[str] = "event_too_large"
    sentence_id: ClassVar[str] = "Isian terlalu panjang ({size} bita). Persingkat nama atau alasan; belum ada yang disimpan."
    sentence_en: ClassVar[str] = "The entries are too long ({size} bytes). Shorten the name or reason; nothing was stored."


class Event(NamedTuple):
    """A fact with everything the envelope says of it. `recorded` and `seq` are known once the journal has it."""

    id: str  # 32 hex digits
    place: str  # office, or the backbone where the entity belongs to no office
    entity_id: str  # case id, resident id …
    version: int  # 1, 2, … on its subject, without a hole
    occurred: datetime
    fact: Fact
    actor: str | None = None  # user code of who did it
    causation: str = ""  # command id
    correlation: str = ""
    recorded: datetime | None = None
    seq: int = 0  # journal position, from 1; 0: not stored yet

    @property
    def subject(self) -> str:
        """The NATS subject: one per case (or other entity)."""
        return subject(self.place, self.fact.TYPE.split(".")[3], self.entity_id)

    @property
    def name(self) -> str:
        """The last word of the type: submitted, recorded, …"""
        return self.fact.TYPE.split(".")[4]

    @property
    def originator_id(self) -> str:
        """What the library `eventsourcing` calls the sequence that `version` counts."""
        return self.subject

    @property
    def originator_version(self) -> int:
        return self.version


def subject(place: str, entity: str, entity_id: str) -> str:
    """`ektp.<office or backbone>.<entity>.<id>`: exactly four tokens."""
    return f"ektp.{place}.{entity}.{entity_id}"


def case_subject(office: str, case: str) -> str:
    """The subject of a case, by its home office and case id."""
    return subject(office, "application", case)


def resident_subject(resident: str) -> str:
    """The subject of a resident, who belongs to no one office."""
    return subject(BACKBONE_ID, "resident", resident)


def erasure_subject(resident: str) -> str:
    """The subject of a resident's erasure."""
    return subject(BACKBONE_ID, "erasure", resident)


def subject_in(body: bytes) -> str:
    """The NATS subject that a message's own `source`, `type` and `subject` say; "" where it says none."""
    try:
        envelope = orjson.loads(body)
        return subject(envelope["source"].rpartition("/")[2], envelope["type"].split(".")[3], envelope["subject"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return ""


def encode(event: Event, data: dict[str, Any]) -> bytes:
    """The message body but for `recordedtime`, which `stamp` adds when it leaves. `data` is the fact with nothing clear
    that must be sealed. Raises EventTooLarge."""
    fact_type, attributes = event.fact.TYPE, {"actor": event.actor} if event.actor else {}
    body = orjson.dumps(
        {
            "specversion": "1.0",
            "id": event.id,
            "type": fact_type,
            "source": f"/ektp/{BACKBONE_ID}/{event.place}",
            "subject": event.entity_id,
            "time": event.occurred,
            "datacontenttype": "application/json",
            "dataschema": f"urn:{fact_type}",
            "causationid": event.causation,
            "correlationid": event.correlation or event.causation,
            **attributes,
            "caseversion": event.version,
            "data": data,
        }
    )
    if len(body) > BODY_BYTES_MAX - 60:  # room for the stamp
        raise EventTooLarge(len(body))
    return body


def stamp(bodies: Sequence[bytes], recorded: datetime) -> list[bytes]:
    """The whole messages: `encode`'s bytes with the instant at which the journal takes them."""
    ending = b',"recordedtime":"%b"}' % recorded.astimezone(UTC).isoformat(timespec="microseconds").encode()
    return [body[:-1] + ending for body in bodies]


def decode(body: bytes, seq: int) -> Event:
    """The event in a message at journal position `seq`, its fact upcast to today's version; what is sealed stays sealed.

    Raises UnreadableEvent.
    """
    try:
        envelope = orjson.loads(body)
        stored_as, data, version = envelope["type"], envelope["data"], envelope["caseversion"]
        fact_class = FACTS.get(stored_as)
        if fact_class is None:
            raise UnreadableEvent(seq, f"unknown type {stored_as}")
        if stored_as != fact_class.TYPE:
            upcast(fact_class, stored_as, data)
        occurred, recorded = datetime.fromisoformat(envelope["time"]), datetime.fromisoformat(envelope["recordedtime"])
        if envelope["specversion"] != "1.0" or type(version) is not int or not (occurred.tzinfo and recorded.tzinfo):
            raise ValueError
        return Event(
            envelope["id"],
            envelope["source"].rpartition("/")[2],
            envelope["subject"],
            version,
            occurred,
            fact_class.__pydantic_validator__.validate_python(data),  # model_validate takes 0.5 µs more
            envelope.get("actor"),
            envelope.get("causationid", ""),
            envelope.get("correlationid", ""),
            recorded,
            seq,
        )
    # broken JSON, pydantic's ValidationError, or something missing; the text may hold values, so only the kind is told
    except (ValueError, LookupError, TypeError, AttributeError) as broken:
        raise UnreadableEvent(seq, type(broken).__name__) from None
