"""What names a person is split off before anything is stored; which fields do is decided here, one by one."""

from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from cryptography.exceptions import InvalidTag

from events.envelope import FACTS, Event, case_subject
from events.fact import Fact, personal_fields, split
from infra.keystore import Keystore
from services.case_store import CaseStore
from tests.applications import BORN, CASE, EXAMPLES, NAME, NIK, NOW, OFFICE, REASON

# Every field of every fact. A new field must be put here, and thereby be decided to be public or personal.
EVERY_FACT, EVERY_CASE = {"sealed"}, {"sealed", "digest", "serial"}
EVERY_SLA = {"sealed", "target", "started", "due", "elapsed", "standard_version", "calendar_version", "late"}
PUBLIC = {
    "application.submitted": EVERY_CASE
    | {"receipt", "kind", "resident", "promised", "standard_version", "calendar_version"},
    "application.recorded": EVERY_CASE,
    "application.queued": EVERY_CASE,
    "application.printed": EVERY_CASE,
    "application.collected": EVERY_CASE,
    "application.returned": EVERY_CASE | {"back_to"},
    "application.cancelled": EVERY_CASE,
    "application.corrected": EVERY_CASE | {"corrects", "at", "new_serial", "new_actor"},
    "resident.case_claimed": EVERY_FACT | {"case", "office"},
    "resident.claims_closed": EVERY_FACT,
    "erasure.ordered": EVERY_FACT | {"digest", "cases"},
    "calendar.set": EVERY_FACT | {"calendar", "valid_from"},
    "standard.set": EVERY_FACT | {"standard", "valid_from"},
    "outage.began": EVERY_FACT | {"digest", "cause"},
    "outage.ended": EVERY_FACT | {"digest", "cause"},
    "sla.warned": EVERY_SLA | {"share", "reached"},
    "sla.breached": EVERY_SLA,
    "audit.put_back": EVERY_FACT | {"why", "first", "last", "places", "source", "events"},
    "audit.restored": EVERY_FACT | {"restored", "lost", "first_lost"},
    "audit.administrative_call": EVERY_FACT | {"call", "stream", "account", "user", "outcome"},
}
PERSONAL = {
    "application.submitted": {"reason", "nik", "name", "born"},
    "application.recorded": {"reason"},
    "application.queued": {"reason"},
    "application.printed": {"reason"},
    "application.collected": {"reason"},
    "application.returned": {"reason"},
    "application.cancelled": {"reason"},
    "application.corrected": {"reason", "name"},
    "resident.case_claimed": set[str](),
    "resident.claims_closed": set[str](),
    "erasure.ordered": set[str](),
    "calendar.set": set[str](),
    "standard.set": set[str](),
    "outage.began": set[str](),
    "outage.ended": set[str](),
    "sla.warned": set[str](),
    "sla.breached": set[str](),
    "audit.put_back": set[str](),
    "audit.restored": set[str](),
    "audit.administrative_call": set[str](),
}
SECRETS = (NIK, NAME, REASON, BORN.isoformat())


def kinds_of_fact(base: type[Fact] = Fact) -> list[type[Fact]]:
    return [kind for below in base.__subclasses__() for kind in (below, *kinds_of_fact(below)) if hasattr(kind, "TYPE")]


def word(kind: type[Fact]) -> str:
    """Entity and event."""
    return ".".join(kind.TYPE.split(".")[3:5])


def test_every_field_of_every_fact_was_decided_to_be_public_or_personal() -> None:
    hidden = {word(kind): set(personal_fields(kind)) for kind in FACTS.values()}
    clear = {word(kind): set(kind.model_fields) - personal_fields(kind) for kind in FACTS.values()}
    assert hidden == PERSONAL
    assert clear == PUBLIC


def test_every_kind_of_fact_can_be_read_back_by_its_type() -> None:
    assert set(kinds_of_fact()) == set(FACTS.values()) == set(EXAMPLES)
    assert all(FACTS[kind.TYPE] is kind for kind in kinds_of_fact())


@pytest.mark.parametrize("fact", EXAMPLES.values(), ids=lambda fact: word(type(fact)))
def test_nothing_personal_is_in_the_public_part_and_nothing_is_lost(fact: Fact) -> None:
    public, personal = split(fact)
    assert set(personal) == PERSONAL[word(type(fact))]
    assert set(public) == PUBLIC[word(type(fact))] - {"sealed"}
    assert not [secret for secret in SECRETS if secret.encode() in orjson.dumps(public)]
    assert type(fact).model_validate(public | personal) == fact


def test_what_was_not_said_is_in_neither_part() -> None:
    kind = next(kind for kind in EXAMPLES if word(kind) == "application.printed")
    assert split(kind.model_validate({"digest": "d"})) == ({"digest": "d"}, {})


@pytest.mark.parametrize("kind", EXAMPLES, ids=word)
def test_a_fact_cannot_be_changed(kind: type[Fact]) -> None:
    with pytest.raises(ValueError, match="frozen"):
        EXAMPLES[kind].sealed = "other"  # type: ignore[misc]


@pytest.mark.parametrize("fact", EXAMPLES.values(), ids=lambda fact: word(type(fact)))
def test_what_the_writer_stores_tells_nothing_of_the_person_without_the_key(fact: Fact, tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore.sqlite", b"s" * 32)
    resident = keystore.residents([NIK])[NIK].id
    no_server = cast(Any, None)  # sealing asks nobody
    store = CaseStore(no_server, no_server, keystore)
    event = Event(id="e", place=OFFICE, entity_id=CASE, version=1, occurred=NOW, fact=fact)
    (body,) = store.change(case_subject(OFFICE, CASE), 0, [event], resident).bodies
    assert not [secret for secret in SECRETS if secret.encode() in body]
    data = orjson.loads(body)["data"]
    assert set(data) - {"sealed"} == PUBLIC[word(type(fact))] - {"sealed"}
    if PERSONAL[word(type(fact))]:
        opened = keystore.open(resident, data["sealed"], f"e {fact.TYPE} {CASE}")
        assert opened == orjson.dumps(split(fact)[1])
        with pytest.raises(InvalidTag):
            keystore.open(resident, data["sealed"], f"another {fact.TYPE} {CASE}")
    keystore.close()
