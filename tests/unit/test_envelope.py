"""Every fact goes out as a CloudEvent 1.0 that others can read, and comes back the same, at most 65,535 bytes long."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import orjson
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from events.application import Recorded
from events.envelope import BODY_BYTES_MAX, Event, EventTooLarge, UnreadableEvent, decode, encode, stamp
from events.fact import Fact, split
from tests.applications import BORN, CASE, EXAMPLES, NAME, NIK, NOW, OFFICE, REASON, RULES

RECORDED_AT = datetime(2026, 11, 25, 2, 0, 0, 7, tzinfo=UTC)
EVENT = Event(id="e" * 32, place=OFFICE, entity_id=CASE, version=3, occurred=NOW, fact=Recorded(digest="d"))
every_fact = pytest.mark.parametrize("fact", EXAMPLES.values(), ids=lambda fact: fact.TYPE.split(".")[4])


def message(event: Event, recorded: datetime = RECORDED_AT) -> bytes:
    return stamp([encode(event, split(event.fact)[0])], recorded)[0]


def attributes(event: Event = EVENT) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(message(event))
    return read


def as_stored(fact: Fact) -> Fact:
    """The fact without what gets sealed."""
    return type(fact).model_validate(split(fact)[0])


hexes = st.text("0123456789abcdef", min_size=1, max_size=32)
offsets: st.SearchStrategy[tzinfo] = st.sampled_from(
    [UTC, RULES.calendar.zone, timezone(timedelta(hours=9)), timezone(timedelta(hours=-3, minutes=-30))]
)
instants = st.datetimes(datetime(2011, 1, 1), datetime(2100, 1, 1), timezones=offsets)  # noqa: DTZ001
events = st.builds(
    Event,
    id=hexes,
    place=st.sampled_from([OFFICE, "3672"]),
    entity_id=hexes,
    version=st.integers(1, 10**9),
    occurred=instants,
    fact=st.sampled_from(list(EXAMPLES.values())).map(as_stored),
    actor=st.none() | st.from_regex(r"[A-Za-z0-9._-]{1,40}", fullmatch=True),
    causation=hexes,
    correlation=st.text(min_size=1, max_size=40),
)


@given(events, instants, st.integers(1, 2**40))
def test_what_is_read_is_what_was_written(event: Event, recorded: datetime, seq: int) -> None:
    assert decode(message(event, recorded), seq) == event._replace(recorded=recorded, seq=seq)


@given(st.text(max_size=200), st.text(max_size=500))
def test_any_text_survives(serial: str, sealed: str) -> None:
    fact = Recorded(digest="d", serial=serial, sealed=sealed)
    assert decode(message(EVENT._replace(fact=fact)), 1).fact == fact


def test_an_event_without_correlation_correlates_with_its_own_command() -> None:
    assert decode(message(EVENT._replace(causation="command")), 1).correlation == "command"


@every_fact
def test_the_official_library_reads_it_as_a_valid_cloudevent(fact: Fact) -> None:
    event = EVENT._replace(fact=fact, actor="petugas.1", causation="c", correlation="k")
    read = JSONFormat().read(None, message(event))
    assert isinstance(read, CloudEvent)
    assert (read.get_id(), read.get_type(), read.get_subject()) == (event.id, fact.TYPE, CASE)
    assert (read.get_source(), read.get_time()) == (f"/ektp/3672/{OFFICE}", NOW)
    assert (read.get_datacontenttype(), read.get_dataschema()) == ("application/json", f"urn:{fact.TYPE}")
    assert read.get_data() == orjson.loads(orjson.dumps(split(fact)[0]))
    extensions = {name: read.get_extension(name) for name in ("causationid", "correlationid", "actor", "caseversion")}
    assert extensions == {"causationid": "c", "correlationid": "k", "actor": "petugas.1", "caseversion": 3}


@every_fact
def test_we_read_what_the_official_library_writes(fact: Fact) -> None:
    event = EVENT._replace(fact=as_stored(fact), causation="c", correlation="k")
    written = JSONFormat().write(JSONFormat().read(None, message(event)))
    assert decode(written, 9) == event._replace(recorded=RECORDED_AT, seq=9)


@every_fact
def test_attribute_names_are_lower_case_letters_and_digits(fact: Fact) -> None:
    names = attributes(EVENT._replace(fact=fact, actor="p"))
    assert {"recordedtime", "actor", "caseversion", "causationid", "correlationid"} < set(names)
    assert all(re.fullmatch("[a-z0-9]{1,20}", name) for name in names)


@every_fact
def test_the_subject_has_four_tokens_that_agree_with_the_attributes(fact: Fact) -> None:
    event = EVENT._replace(fact=fact)
    said = attributes(event)
    entity = said["type"].split(".")[3]
    assert event.subject.split(".") == ["ektp", said["source"].split("/")[-1], entity, said["subject"]]
    assert said["type"].split(".")[4] == event.name


def test_recorded_time_is_utc_to_the_microsecond_whatever_zone_and_instant_it_was() -> None:
    assert attributes()["recordedtime"] == "2026-11-25T02:00:00.000007+00:00"
    same = stamp([encode(EVENT, {})], RECORDED_AT.astimezone(RULES.calendar.zone))
    assert same == stamp([encode(EVENT, {})], RECORDED_AT)
    whole = orjson.loads(stamp([encode(EVENT, {})], RECORDED_AT.replace(microsecond=0))[0])
    assert whole["recordedtime"] == "2026-11-25T02:00:00.000000+00:00"


def test_messages_stamped_together_have_one_recorded_time_and_stay_in_order() -> None:
    stamped = stamp([encode(EVENT._replace(version=version), {"digest": "d"}) for version in (1, 2, 3)], RECORDED_AT)
    read = [decode(body, 1) for body in stamped]
    assert [event.version for event in read] == [1, 2, 3]
    assert {event.recorded for event in read} == {RECORDED_AT}


def test_a_message_has_at_most_65_535_bytes() -> None:
    def size(digest_size: int) -> int:
        return len(stamp([encode(EVENT, {"digest": "d" * digest_size})], RECORDED_AT)[0])

    room = BODY_BYTES_MAX - size(0)
    assert size(room - 60) == BODY_BYTES_MAX - 60
    with pytest.raises(EventTooLarge) as refused:
        size(room + 1)
    assert refused.value.size > BODY_BYTES_MAX - 60


@every_fact
def test_a_reader_one_version_behind_ignores_what_it_does_not_know(fact: Fact) -> None:
    event = EVENT._replace(fact=as_stored(fact))
    said = attributes(event)
    newer = said | {"traceparent": "00-1-2-01", "data": said["data"] | {"blank": {"maker": "x"}, "counter": 4}}
    assert decode(orjson.dumps(newer), 1) == decode(message(event), 1)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in attributes().items() if key != name}


BROKEN = {
    "no JSON": b"%PDF-1.7 " + NIK.encode(),
    "empty": b"",
    "cut off": message(EVENT)[:-3],
    "not UTF-8": message(EVENT).replace(b'"digest":"d"', b'"digest":"\xff"'),
    "a list": b"[1]",
    "of another version of CloudEvents": orjson.dumps(attributes() | {"specversion": "0.3"}),
    "without version": orjson.dumps(without("caseversion")),
    "without recorded time": orjson.dumps(without("recordedtime")),
    "with a time that is none": orjson.dumps(attributes() | {"time": NAME}),
    "with a time without offset": orjson.dumps(attributes() | {"time": "2026-11-25T09:00:00"}),
    "with data that are no object": orjson.dumps(attributes() | {"data": NIK}),
    "with a fact that lacks a field": orjson.dumps(attributes() | {"data": {"nik": NIK, "name": NAME, "reason": REASON}}),
    "with a field of the wrong type": orjson.dumps(attributes() | {"data": {"digest": {"name": NAME, "born": str(BORN)}}}),
    "of an unknown type": orjson.dumps(attributes() | {"type": "id.go.ektp.application.lost.v9", "data": {"nik": NIK}}),
    "with an unknown stage": orjson.dumps(
        attributes() | {"type": "id.go.ektp.application.returned.v1", "data": {"digest": "d", "back_to": NAME}}
    ),
}


@pytest.mark.parametrize("body", [pytest.param(body, id=how) for how, body in BROKEN.items()])
def test_a_message_that_cannot_be_read_says_where_and_why_and_repeats_nothing_of_it(body: bytes) -> None:
    with pytest.raises(UnreadableEvent) as unreadable:
        decode(body, 4711)
    told = f"{unreadable.value} {unreadable.value.message('id')} {unreadable.value.document()}"
    assert unreadable.value.seq == 4711
    assert "4711" in unreadable.value.message("id")
    assert not [value for value in (NIK, NAME, REASON, str(BORN)) if value in told]


def test_an_unknown_type_is_named_so_that_one_knows_what_to_install() -> None:
    with pytest.raises(UnreadableEvent, match=re.escape("id.go.ektp.application.lost.v9")):
        decode(BROKEN["of an unknown type"], 1)
