"""Our events for programs written with the library `eventsourcing`: its Mapper over the journal's own bytes.

The state of a stored event is the body of a journal message, its topic the event type, its originator the NATS subject.
Older types are read by `events.envelope.decode`, which calls a fact's `upcast_v1_v2` as the library's Mapper does for its
own events; so such a program sees what the backbone itself sees. Nothing is opened here: what is sealed stays sealed.
"""

import orjson
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import Mapper, Notification, StoredEvent, Transcoder
from eventsourcing.utils import register_topic

from events.envelope import FACTS, Event, decode, encode, stamp
from events.fact import split

for _type_name, _fact in FACTS.items():
    register_topic(_type_name, _fact)  # resolve_topic gives today's class for an older type, too


class BodyTranscoder(Transcoder):
    """An event as the body of its journal message. The position is not in it."""

    def encode(self, obj: Event) -> bytes:
        """The very bytes that were read, or those of today's version where it was upcast. Raises ValueError."""
        public, personal = split(obj.fact)
        if personal or obj.recorded is None:
            raise ValueError("nothing was stored: only an event as the journal holds it, sealed and recorded, can be kept")
        if obj.fact.sealed:
            public["sealed"] = public.pop("sealed")  # last, as the writer puts it
        return stamp([encode(obj, public)], obj.recorded)[0]

    def decode(self, data: bytes) -> Event:
        """Raises UnreadableEvent."""
        return decode(data, 0)


class EventMapper(Mapper[str]):
    """Between the library's stored events and ours; for an EventStore over any recorder, or for `notification`."""

    def __init__(self) -> None:
        super().__init__(BodyTranscoder())

    def to_stored_event(self, domain_event: DomainEventProtocol[str]) -> StoredEvent:
        """Raises ValueError for an event that did not come from the journal."""
        assert isinstance(domain_event, Event)
        event, state = domain_event, self.transcoder.encode(domain_event)
        return StoredEvent(event.originator_id, event.originator_version, event.fact.TYPE, state)

    def to_domain_event(self, stored_event: StoredEvent) -> Event:
        """Raises UnreadableEvent."""
        return decode(stored_event.state, stored_event.id if isinstance(stored_event, Notification) else 0)


def notification(body: bytes, seq: int) -> Notification:
    """The journal's message at position `seq` as the library tells of it. Raises UnreadableEvent."""
    event = decode(body, seq)
    return Notification(event.originator_id, event.originator_version, orjson.loads(body)["type"], body, seq)
