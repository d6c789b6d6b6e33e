"""A person is erased once, and not while an office must know whose case or card it has."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import ValidationError

from events.application import Corrected, Submitted
from events.envelope import Event, decode, stamp
from events.erasure import ErasureOrdered
from events.fact import Fact
from events.problem import Problem
from events.resident import ClaimsClosed
from events.stages import FINAL, Stage
from infra.keystore import Erased, Keystore
from services import application
from services.case_store import CaseStore
from services.commands import REASON_CHARS_MAX
from services.erasure import Erase, Request, RetentionHold, State, decide, evolve
from services.person import open_person
from services.refusals import KeyReused
from tests.applications import BORN, CASE, COLLECTED, EXAMPLES, NAME, NIK, NOW, OFFICE, RECEIPT, RESIDENT, SO_FAR, case

ERASE = Erase(receipt=RECEIPT, reason=f"permohonan {NAME}", actor="p.1")


def request(event_id: str = "asked", digest: str = "asked") -> Request:
    return Request(event_id, digest, ERASE, causation="command", correlation="desk")


class given:
    """given(*cases of the person).when(request()).then_ordered(): reads as a sentence."""

    def __init__(self, *cases: application.State) -> None:
        self.cases, self.state = cases, State()

    def ordered(self, asked: Request) -> "given":
        self.state = evolve(self.state, decide(asked, self.state, RESIDENT, self.cases, NOW)[0])
        return self

    def when(self, asked: Request) -> "given":
        self.outcome: list[Event] | Problem
        try:
            self.outcome = decide(asked, self.state, RESIDENT, self.cases, NOW)
        except Problem as refusal:
            self.outcome = refusal
        return self

    def then_ordered(self, *case_ids: str) -> None:
        assert isinstance(self.outcome, list), self.outcome
        order, closed = self.outcome
        assert (order.fact, order.version) == (ErasureOrdered(digest="asked", cases=case_ids), 1)
        assert (closed.fact, closed.version) == (ClaimsClosed(), len(case_ids) + 1)
        assert [event.subject for event in self.outcome] == [
            f"ektp.3672.erasure.{RESIDENT}",
            f"ektp.3672.resident.{RESIDENT}",
        ]
        assert {(event.occurred, event.actor, event.causation) for event in self.outcome} == {(NOW, "p.1", "command")}
        assert order.id == "asked" != closed.id

    def then_nothing_more(self) -> None:
        assert self.outcome == []

    def then_refused(self, kind: type[Problem], **figures: object) -> None:
        assert (type(self.outcome), vars(self.outcome)) == (kind, figures)


def at(stage: Stage) -> application.State:
    return case(*SO_FAR[stage])


@pytest.mark.parametrize("stage", sorted(FINAL))
def test_who_has_the_card_or_cancelled_is_erased(stage: Stage) -> None:
    given(at(stage)).when(request()).then_ordered(CASE)


@pytest.mark.parametrize("stage", sorted(set(Stage) - FINAL))
def test_nobody_is_erased_while_a_case_is_open_or_a_card_waits_to_be_fetched(stage: Stage) -> None:
    given(at(stage)).when(request()).then_refused(RetentionHold, receipt=RECEIPT, stage=stage)


@settings(deadline=None)
@given_any(st.lists(st.sampled_from(Stage), min_size=1, max_size=5))
def test_of_many_cases_any_open_one_holds_the_erasure_back(stages: list[Stage]) -> None:
    person = given(*map(at, stages)).when(request())
    held = [stage for stage in stages if stage not in FINAL]
    if held:
        person.then_refused(RetentionHold, receipt=RECEIPT, stage=held[0])
    else:
        person.then_ordered(*[CASE] * len(stages))


def test_asking_again_adds_nothing_whatever_the_key() -> None:
    erased = given(at(Stage.COLLECTED)).ordered(request())
    erased.when(request()).then_nothing_more()
    erased.when(request("by another", "in other words")).then_nothing_more()


def test_a_key_does_not_serve_another_request() -> None:
    given(at(Stage.COLLECTED)).ordered(request()).when(request(digest="in other words")).then_refused(KeyReused)


def test_the_reason_is_asked_for_and_kept_nowhere() -> None:
    for wrong in ("", "x" * (REASON_CHARS_MAX + 1)):
        with pytest.raises(ValidationError, match="reason"):
            Erase(receipt=RECEIPT, reason=wrong)
    told = decide(request(), State(), RESIDENT, [at(Stage.COLLECTED)], NOW)
    assert NAME not in repr(told)


def stored(keystore: Keystore, resident: str, *facts: Fact) -> list[Event]:
    """The history of a case as it is read from the journal, personal fields sealed."""
    no_server = cast(Any, None)  # sealing asks nobody
    store = CaseStore(no_server, no_server, keystore)
    history = [Event(f"event-{at}", OFFICE, CASE, at, NOW, fact) for at, fact in enumerate(facts, 1)]
    bodies = stamp(store.bodies(history, resident), NOW)
    return [decode(body, seq) for seq, body in enumerate(bodies, 1)]


def test_the_person_of_a_case_is_opened_as_corrected_and_never_again_after_the_erasure(tmp_path: Path) -> None:
    keystore = Keystore(tmp_path / "keystore.sqlite", b"s" * 32)
    resident = keystore.residents([NIK])[NIK].id
    submitted = EXAMPLES[Submitted].model_copy(update={"resident": resident})
    corrections = [
        Corrected(digest="d", corrects="event-1", reason="ejaan", name=name) for name in ("Siti", "Siti R.", None)
    ]
    history = stored(keystore, resident, submitted, COLLECTED, *corrections)
    assert NAME not in repr(history)
    assert open_person(keystore, history[:2]) == (NIK, NAME, BORN)
    assert open_person(keystore, history) == (NIK, "Siti R.", BORN)
    keystore.destroy(resident)
    with pytest.raises(Erased):
        open_person(keystore, history)
    keystore.close()
