"""What subscribers are told is public, is what the catalogue says, and changes only so that they survive it."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from events import feed, feed_catalogue
from events.application import Cancelled, Collected, Corrected, Printed, Queued, Recorded, Returned, Submitted
from events.envelope import Event, decode, encode, stamp
from events.erasure import ErasureOrdered
from events.fact import Fact, split
from events.offices import BACKBONE_ID
from events.sla import Breached, Warned
from events.stages import Kind, Stage
from tests.applications import BORN, CASE, EXAMPLES, NAME, NIK, NOW, OFFICE, REASON, RECEIPT, RESIDENT

RECORDED_AT = datetime(2026, 11, 25, 2, 0, 1, tzinfo=UTC)
PUBLIC = (Submitted, Recorded, Queued, Printed, Collected, Returned, Cancelled, Corrected, Warned, Breached, ErasureOrdered)


def event(fact: Fact, seq: int = 41) -> Event:
    """As the journal has it, with something where the sealed part would be."""
    entity = fact.TYPE.split(".")[3]
    place, of = {"erasure": (BACKBONE_ID, RESIDENT), "resident": (BACKBONE_ID, RESIDENT)}.get(entity, (OFFICE, CASE))
    asked = Event("0" * 32, place, of, 1, NOW, fact, actor="petugas.7", causation="command", correlation="visit")
    public, personal = split(fact)
    (body,) = stamp([encode(asked, public | ({"sealed": "QUFBQQ=="} if personal else {}))], RECORDED_AT)
    return decode(body, seq)


def told(fact: Fact) -> dict[str, Any]:
    message = feed.public(event(fact))
    assert message
    return dict(orjson.loads(message.body))


def test_what_is_public_was_thought_about() -> None:
    assert {kind for kind, fact in EXAMPLES.items() if feed.public(event(fact))} == set(PUBLIC)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.TYPE)
def test_no_message_shows_a_receipt_a_person_an_officer_or_what_one_typed(kind: type[Fact]) -> None:
    marked = {
        name: f"secret-{name}" for name in ("digest", "serial", "new_serial", "new_actor", "sealed", "receipt", "resident")
    }
    fact = EXAMPLES[kind].model_copy(update={name: text for name, text in marked.items() if name in kind.model_fields})
    said = "\n".join(map(str, filter(None, [feed.public(event(fact)), feed.public(event(EXAMPLES[kind]))])))
    secrets = (NIK, NAME, REASON, BORN.isoformat(), RECEIPT, RESIDENT, "petugas.7", "p.2", "B-17", "B-18", "QUFB", "secret-")
    assert [secret for secret in secrets if secret in said] == []


@given(st.text(min_size=4), st.sampled_from([kind for kind in EXAMPLES if "serial" in kind.model_fields]))
def test_what_is_typed_into_a_serial_goes_nowhere(typed: str, kind: type[Fact]) -> None:
    fact = EXAMPLES[kind]
    assert feed.public(event(fact)) == feed.public(event(fact.model_copy(update={"serial": typed})))


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.TYPE)
def test_a_message_is_what_its_schema_says_field_by_field(kind: type[Fact]) -> None:
    message = feed.public(event(EXAMPLES[kind]))
    assert message
    schema = feed_catalogue.schema(message.subject.split(".", 3)[3])
    Draft202012Validator.check_schema(schema)
    body = orjson.loads(message.body)
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(body)
    assert (body["type"], body["dataschema"]) == (schema["title"], schema["$id"])
    assert body.keys() == schema["properties"].keys()
    assert body["data"].keys() == schema["properties"]["data"]["properties"].keys()


@pytest.mark.parametrize("name", feed.TOLD)
def test_the_files_are_up_to_date(name: str) -> None:
    assert feed_catalogue.stored(name) == feed_catalogue.schema(name), "run: python -m events.feed_catalogue"
    assert feed_catalogue.broken() == []


def test_a_change_that_subscribers_would_not_survive_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feed.TOLD, "application.collected", feed.PersonErased)
    before = feed_catalogue.stored("application.collected")
    refused = feed_catalogue.write()
    assert "application.collected: stage is gone" in refused
    assert feed_catalogue.stored("application.collected") == before
    monkeypatch.delitem(feed.TOLD, "application.collected")
    assert feed_catalogue.broken() == ["id.go.ektp.feed.application.collected.v1 is told no more"]


def test_a_message_tells_where_it_comes_from_and_where_it_stands() -> None:
    collected = event(EXAMPLES[Collected])
    message = feed.public(collected)
    assert message
    assert message.subject == f"ektp.feed.{OFFICE}.application.collected"
    body = orjson.loads(message.body)
    assert (body["id"], body["subject"], body["source"]) == (collected.id, CASE, f"/ektp/{BACKBONE_ID}/{OFFICE}")
    assert (body["type"], body["correlationid"]) == ("id.go.ektp.feed.application.collected.v1", "visit")
    assert (datetime.fromisoformat(body["time"]), datetime.fromisoformat(body["recordedtime"])) == (NOW, RECORDED_AT)
    assert body["data"] == {"office": OFFICE, "case": CASE, "stage": "collected"}
    assert feed.sequence(message.body) == 41


@given(st.integers(1, 2**63), st.integers(1, 2**63))
def test_sequences_sort_as_strings_as_cloudevents_asks(one: int, other: int) -> None:
    first, second = (
        str(orjson.loads(m.body)["sequence"]) for seq in (one, other) if (m := feed.public(event(EXAMPLES[Queued], seq)))
    )
    assert (first < second) == (one < other)


def test_a_submission_tells_the_kind_and_the_promise() -> None:
    submitted = EXAMPLES[Submitted]
    assert isinstance(submitted, Submitted)
    data = told(submitted)["data"]
    assert (data["kind"], datetime.fromisoformat(data["promised"])) == (Kind.NEW, submitted.promised)


def test_a_return_tells_the_stage_that_the_case_is_back_in() -> None:
    assert told(Returned(digest="d", back_to=Stage.RECORDED))["data"]["stage"] == "recorded"


def test_a_correction_is_told_where_it_is_of_a_time_and_not_of_a_name() -> None:
    assert told(Corrected(digest="d", corrects="e1", at=NOW))["data"]["corrects"] == "e1"
    assert feed.public(event(Corrected(digest="d", corrects="e1", name=NAME, new_actor="p.2", new_serial="B-2"))) is None


def test_a_breach_tells_target_due_and_causes() -> None:
    data = told(EXAMPLES[Breached])["data"]
    assert (data["case"], data["target"], data["causes"]) == (CASE, "issuance", {"office": 30_600, "power": 9})
    assert told(EXAMPLES[Warned])["data"]["share"] == 75


def test_an_erasure_tells_the_cases_and_not_whose_they_are() -> None:
    ordered = event(EXAMPLES[ErasureOrdered])
    message = feed.public(ordered)
    assert message
    assert message.subject == f"ektp.feed.{BACKBONE_ID}.erasure.erased"
    body = orjson.loads(message.body)
    assert body["data"] == {"cases": [CASE]}
    assert "subject" not in body


@pytest.mark.parametrize("kind", PUBLIC, ids=lambda kind: kind.TYPE)
def test_who_asks_for_an_event_at_an_office_hears_of_it_there_and_of_no_other(kind: type[Fact]) -> None:
    message = feed.public(event(EXAMPLES[kind]))
    assert message
    hears = {(name, office) for name in feed.EVENTS for office in (OFFICE, "367204", "*") if _matches(message, name, office)}
    name = message.subject.split(".")[4]
    offices = (OFFICE, "367204", "*") if name == "erased" else (OFFICE, "*")
    assert hears == {(name, office) for office in offices}


def _matches(message: feed.Message, name: str, office: str) -> bool:
    wanted = feed.filter_subject(name, office).split(".")
    there = message.subject.split(".")
    return len(wanted) == len(there) and all(token in ("*", word) for token, word in zip(wanted, there, strict=True))
