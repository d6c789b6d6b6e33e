"""The catalogue of events is what is stored, and changes only so that old events and old readers survive."""

import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from jsonschema import Draft202012Validator, FormatChecker

from events import catalogue
from events.envelope import FACTS, Event, decode, encode, stamp
from events.fact import Fact, split
from tests.applications import EXAMPLES, NOW

FILES = sorted((Path(__file__).parents[1] / "data").glob("events_*.jsonl"))
STORED = [
    body for file in FILES for body in file.read_bytes().splitlines()
]  # of each type, as the version named stored them
KINDS = pytest.mark.parametrize("kind", dict.fromkeys(FACTS.values()), ids=lambda kind: kind.TYPE)
RETURNED = catalogue.schema(FACTS["id.go.ektp.application.returned.v1"])


def message(fact: Fact) -> bytes:
    """As it is stored, with something where the sealed part would be."""
    event = Event("0" * 32, "367203", "a case", 1, NOW, fact, actor="p.1", causation="c")
    public, personal = split(fact)
    sealed = {"sealed": "AAAA"} if personal else {}
    return stamp([encode(event, public | sealed)], datetime(2026, 11, 25, tzinfo=UTC))[0]


@KINDS
def test_the_files_are_up_to_date(kind: type[Fact]) -> None:
    assert catalogue.stored(kind.TYPE) == catalogue.schema(kind), "run: python -m events.catalogue"


def test_nothing_that_was_ever_stored_is_lost() -> None:
    assert catalogue.broken() == []


@KINDS
def test_what_is_stored_is_what_the_schema_says(kind: type[Fact]) -> None:
    schema = catalogue.schema(kind)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    body = orjson.loads(message(EXAMPLES[kind]))
    validator.validate(body)
    assert body["dataschema"] == schema["$id"]
    assert set(body["data"]) <= set(schema["properties"]["data"]["properties"])
    for name in schema["properties"]["data"]["required"]:
        assert not validator.is_valid(body | {"data": {k: v for k, v in body["data"].items() if k != name}})


@KINDS
def test_nothing_personal_is_described_as_stored_in_clear(kind: type[Fact]) -> None:
    data = catalogue.schema(kind)["properties"]["data"]
    assert not {"nik", "name", "born", "reason"} & data["properties"].keys()
    assert set(data["x-sealed"]) <= {"nik", "name", "born", "reason"}


def test_of_every_type_a_message_is_kept_as_it_was_first_stored() -> None:
    assert {orjson.loads(body)["type"] for body in STORED} == FACTS.keys()


@pytest.mark.parametrize("body", STORED, ids=lambda body: orjson.loads(body)["type"])
def test_what_earlier_versions_stored_is_still_read_and_described(body: bytes) -> None:
    said = orjson.loads(body)
    fact = decode(body, 1).fact
    assert type(fact) is FACTS[said["type"]]
    if said["type"] == fact.TYPE:
        assert fact == type(fact).model_validate(said["data"])
    schema = catalogue.stored(said["type"])
    assert schema
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(said)


def changed(**fields: Any) -> dict[str, Any]:
    schema = copy.deepcopy(RETURNED)
    data = schema["properties"]["data"]
    for name, field in fields.items():
        data["properties"].pop(name, None)
        if field is not None:
            data["properties"][name] = field
    return schema


def test_an_added_field_breaks_nothing() -> None:
    assert catalogue.breaks(RETURNED, changed(counter={"type": "integer"})) == []


def test_a_field_that_is_gone_renamed_or_of_another_type_breaks() -> None:
    assert catalogue.breaks(RETURNED, changed(digest=None)) == ["digest is gone"]
    assert catalogue.breaks(RETURNED, changed(digest={"type": "integer"})) == ["digest means something else"]


def test_a_new_value_of_a_stage_breaks_readers_that_do_not_know_it() -> None:
    stages = RETURNED["properties"]["data"]["properties"]["back_to"]
    more = stages | {"enum": [*stages["enum"], "posted"]}
    assert catalogue.breaks(RETURNED, changed(back_to=more)) == ["back_to means something else"]


def test_a_field_that_becomes_required_or_no_longer_sealed_breaks() -> None:
    schema = changed()
    data = schema["properties"]["data"]
    data["required"], data["x-sealed"] = [*data["required"], "serial"], []
    assert catalogue.breaks(RETURNED, schema) == [
        "serial is required, and old events lack it",
        "reason is no longer sealed",
    ]
    assert catalogue.breaks(schema, RETURNED) == ["serial may be missing, and old readers need it"]


def test_a_breaking_change_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "FOLDER", tmp_path)
    assert catalogue.write() == []
    file = tmp_path / f"{RETURNED['title']}.json"
    older = changed(counter={"type": "integer"})  # a field that today's model no longer has
    file.write_bytes(orjson.dumps(older))
    assert catalogue.write() == [f"{RETURNED['title']}: counter is gone"]
    assert orjson.loads(file.read_bytes()) == older
