"""A kind of fact may get a second version: old events are read as the new one, by us and by the library `eventsourcing`."""

import gc
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from doctest import DocTestParser, DocTestRunner
from functools import reduce
from pathlib import Path
from typing import Any, cast

import orjson
import pytest
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import EventStore, JSONTranscoder, Mapper, StoredEvent
from eventsourcing.popo import POPOAggregateRecorder
from eventsourcing.utils import register_topic, resolve_topic

from events import catalogue
from events.application import CaseFact
from events.envelope import FACTS, Event, UnreadableEvent, case_subject, decode, encode, stamp
from events.fact import Fact, personal_fields, split, type_names, upcast
from infra.event_mapper import EventMapper, notification
from infra.keystore import Keystore
from services.case_store import CaseStore
from tests.applications import CASE, EXAMPLES, NIK, NOW, OFFICE, REASON

ROOT = Path(__file__).parents[2]
FIRST = ROOT / "tests" / "data" / "events_0_1.jsonl"  # one of each type, as version 0.1 stored them
OLD, NEW = "id.go.ektp.application.printed.v1", "id.go.ektp.application.printed.v2"
BODY = next(body for body in FIRST.read_bytes().splitlines() if orjson.loads(body)["type"] == OLD)
TODAY = FACTS[OLD]


@pytest.fixture(autouse=True)
def tomorrow() -> Iterator[None]:
    """The program once `printed` has a second version. It is gone afterwards, as other tests look at all kinds of facts."""

    class Printed(CaseFact):
        """A checked card is in hand; what identifies its blank is told in two parts."""

        TYPE = NEW
        series: str | None = None
        number: str | None = None

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["series"], _, state["number"] = state.pop("serial", "").rpartition("-")

    with pytest.MonkeyPatch.context() as patch:
        for name in type_names(Printed):
            patch.setitem(FACTS, name, Printed)
        yield
    del Printed
    for cached in (type_names, personal_fields):
        cached.cache_clear()
    gc.collect()
    assert [kind for kind in CaseFact.__subclasses__() if kind.__module__ == __name__] == []


def printed(**fields: Any) -> Fact:
    return FACTS[NEW].model_validate({"digest": "d"} | fields)


def stored(event: Event) -> bytes:
    """As the journal takes it."""
    return stamp([encode(event, split(event.fact)[0])], NOW)[0]


def test_an_old_event_is_read_as_the_new_version_and_nothing_else_of_it_changes() -> None:
    was = orjson.loads(BODY)
    event = decode(BODY, 7)
    assert event.fact == printed(series="B", number="17", sealed=was["data"]["sealed"])
    assert (event.id, event.version, event.entity_id, event.seq) == (was["id"], was["caseversion"], was["subject"], 7)
    assert (event.subject, event.name) == (f"ektp.{OFFICE}.application.{was['subject']}", "printed")


def test_a_new_event_is_read_as_it_is() -> None:
    event = Event("e" * 32, OFFICE, CASE, 4, NOW, printed(serial="of another kind", series="C", number="1"))
    assert decode(stored(event), 1).fact == event.fact


def test_a_fact_of_the_first_version_comes_to_the_third_by_way_of_the_second() -> None:
    class Third(CaseFact):
        TYPE = "id.go.ektp.application.tried.v3"

        @staticmethod
        def upcast_v1_v2(state: dict[str, Any]) -> None:
            state["way"] = "1-2"

        @staticmethod
        def upcast_v2_v3(state: dict[str, Any]) -> None:
            state["way"] = state.get("way", "") + "-3"

    def way(stored_as: str) -> dict[str, Any]:
        state: dict[str, Any] = {}
        upcast(Third, stored_as, state)
        return state

    assert [way(name) for name in type_names(Third)] == [{"way": "1-2-3"}, {"way": "-3"}, {}]
    assert [kind.class_version for kind in (TODAY, FACTS[NEW], Third)] == [1, 2, 3]


@pytest.mark.parametrize("data", [{"serial": 17}, {"serial": [NIK]}, {"serial": None}, {"serial": "B-17"}])
def test_an_old_event_that_cannot_be_upcast_is_unreadable_and_repeats_nothing_of_it(data: dict[str, Any]) -> None:
    with pytest.raises(UnreadableEvent) as unreadable:  # the last one lacks its digest, upcast or not
        decode(orjson.dumps(orjson.loads(BODY) | {"data": data}), 4711)
    assert unreadable.value.seq == 4711
    assert NIK not in str(unreadable.value.document())


def test_old_and_new_events_are_folded_alike() -> None:
    event = Event("e" * 32, OFFICE, CASE, 4, NOW, printed(series="B", number="18"))

    def evolve(blanks: Counter[str], event: Event) -> Counter[str]:
        return blanks + Counter({event.fact.model_dump()["series"]: 1})

    assert reduce(evolve, [decode(BODY, 1), decode(stored(event), 2)], Counter[str]()) == {"B": 2}


def test_what_is_sealed_can_still_be_opened_after_an_upcast(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore.sqlite", b"s" * 32)
    resident, nobody = keystore.residents([NIK])[NIK].id, cast(Any, None)  # sealing asks no server
    event = Event("e" * 32, OFFICE, CASE, 4, NOW, EXAMPLES[TODAY])
    change = CaseStore(nobody, nobody, keystore).change(case_subject(OFFICE, CASE), 0, [event], resident)
    read = decode(stamp(change.bodies, NOW)[0], 1)
    assert read.fact == printed(series="B", number="17", sealed=read.fact.sealed)
    bound_to = f"{read.id} {type_names(type(read.fact))[0]} {read.entity_id}"
    assert orjson.loads(keystore.open(resident, read.fact.sealed or "", bound_to)) == {"reason": REASON}
    keystore.close()


def test_the_library_s_mapper_gives_what_we_read() -> None:
    for seq, body in enumerate(FIRST.read_bytes().splitlines(), 1):
        told = notification(body, seq)
        event = EventMapper().to_domain_event(told)
        assert event == decode(body, seq)
        assert type(event.fact) is FACTS[told.topic]
        assert (told.originator_id, told.originator_version, told.id) == (event.subject, event.version, seq)


def test_the_library_s_mapper_gives_back_the_journal_s_bytes_or_today_s_version() -> None:
    new = stored(Event("e" * 32, OFFICE, CASE, 4, NOW, printed(series="B", number="18"), actor="p.1", causation="c"))
    for body in [*FIRST.read_bytes().splitlines(), new]:
        event = decode(body, 0)
        back = EventMapper().to_stored_event(event)
        assert EventMapper().to_domain_event(back) == EventMapper().transcoder.decode(back.state) == event
        assert (back.originator_id, back.originator_version, back.topic) == (event.subject, event.version, event.fact.TYPE)
        assert (back.state == body) == (f'"{OLD}"'.encode() not in body)


def test_the_topics_of_all_types_are_registered_with_the_library() -> None:
    assert {name: resolve_topic(name) for name in FACTS if name != NEW} | {NEW: FACTS[NEW]} == FACTS | {OLD: TODAY}


def test_the_library_s_own_loop_upcasts_the_same_fields_to_the_same_state() -> None:
    class Tomorrow:  # an event as the library likes it best
        originator_id: str
        class_version = FACTS[NEW].class_version
        upcast_v1_v2 = FACTS[NEW].upcast_v1_v2  # type: ignore[attr-defined]

    register_topic("printed, as the library has it", Tomorrow)
    data = orjson.loads(BODY)["data"]
    made = Mapper[str](JSONTranscoder()).to_domain_event(
        StoredEvent(CASE, 4, "printed, as the library has it", JSONTranscoder().encode(data))
    )
    assert vars(made) == decode(BODY, 1).fact.model_dump(exclude_none=True) | {
        "originator_id": CASE,
        "originator_version": 4,
    }


def test_an_event_store_of_the_library_keeps_our_events() -> None:
    events: list[DomainEventProtocol[str]] = [decode(body, 0) for body in FIRST.read_bytes().splitlines()]
    case = [cast(Event, event)._replace(version=version) for version, event in enumerate(events[:8], 1)]
    store = EventStore(EventMapper(), POPOAggregateRecorder())
    store.put(case)
    assert list(store.get(case[0].originator_id, gt=2)) == case[2:]


@pytest.mark.parametrize("change", [{"recorded": None}, {"fact": EXAMPLES[TODAY]}])
def test_an_event_that_was_never_stored_or_is_not_sealed_is_not_kept(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="nothing was stored"):
        EventMapper().to_stored_event(decode(BODY, 1)._replace(**change))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The catalogue's files, before anybody has written the new version's."""
    monkeypatch.setattr(catalogue, "FOLDER", shutil.copytree(catalogue.FOLDER, tmp_path / "schemas"))
    return tmp_path / "schemas"


def test_the_catalogue_keeps_the_old_version_s_schema_beside_the_new(folder: Path) -> None:
    old, new = folder / f"{OLD}.json", folder / f"{NEW}.json"
    before = old.read_bytes()
    assert not new.exists()
    assert catalogue.write() == []
    assert (old.read_bytes(), orjson.loads(new.read_bytes())) == (before, catalogue.schema(FACTS[NEW]))


def test_the_catalogue_refuses_to_lose_the_old_version_s_schema(folder: Path) -> None:
    (folder / f"{OLD}.json").unlink()
    assert catalogue.write() == [f"{OLD}: its schema is gone, and there are events of this type"]
    assert not (folder / f"{NEW}.json").exists()


def test_the_catalogue_refuses_to_lose_a_type_of_which_there_are_events(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(FACTS, OLD)
    assert catalogue.write() == [f"{OLD}: there are events of this type, and nothing reads them"]


def test_the_catalogue_refuses_a_new_version_that_cannot_read_the_old_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(FACTS[NEW], "upcast_v1_v2")
    assert catalogue.write() == [f"{OLD}: upcast_v1_v2 is missing"]


def test_the_catalogue_refuses_a_new_version_that_no_longer_knows_a_sealed_field(folder: Path) -> None:
    file = folder / f"{OLD}.json"
    old = orjson.loads(file.read_bytes())
    old["properties"]["data"]["x-sealed"] += ["officer"]
    file.write_bytes(orjson.dumps(old))
    assert catalogue.write() == [f"{OLD}: officer is no longer sealed"]


def test_the_document_s_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FIRST, tmp_path / "events.jsonl")
    monkeypatch.chdir(tmp_path)
    (example,) = re.findall(r"^```pycon\n(.*?)^```", (ROOT / "docs" / "eventsourcing.md").read_text(), re.M | re.S)
    ran = DocTestRunner(verbose=False).run(DocTestParser().get_doctest(example, {}, "eventsourcing.md", None, None))
    assert (ran.failed, ran.attempted > 0) == (0, True)
