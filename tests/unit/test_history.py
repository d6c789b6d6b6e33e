"""The checker of histories finds each kind of violation, and nothing where there is none."""

from datetime import timedelta
from typing import Any

import pytest

from events.application import ApplicationFact, Corrected
from events.envelope import Event, case_subject
from events.problem import Problem
from events.receipt import command_id, event_id
from events.resident import CaseClaimed
from events.stages import Kind, Stage
from infra.journal import Stored
from infra.journal_errors import JournalBusy, JournalDamaged
from services.desk import BackboneGone, Told
from services.refusals import CaseCancelled
from tests import applications
from tests.applications import (
    CANCELLED,
    CASE,
    COLLECTED,
    NOW,
    OFFICE,
    PRINTED,
    QUEUED,
    RECEIPT,
    RECORDED,
    RESIDENT,
    SO_FAR,
    SUBMITTED,
    back_to,
    happened,
    of_kind,
)
from tests.history import History, ids_of, unlawful

SUBJECT = case_subject(OFFICE, CASE)
CORRECTED = Corrected(digest="d", corrects="event-1", new_actor="p.2")
NOTHING, UNKNOWN = JournalBusy(1, "nothing"), JournalBusy(1, "unknown")


def reading(*ids: str) -> list[Stored]:
    """A journal with these events, each on a subject of its own."""
    return [Stored(seq, f"subject of {id_}", b'{"id":"%b"}' % id_.encode()) for seq, id_ in enumerate(ids, 1)]


def reply(code: str, **more: Any) -> Told:
    """A problem as a desk is told it."""
    return Told({"code": code, "message_en": "No."} | more)


def told(*calls: tuple[str, list[int] | Problem | None]) -> History:
    """What each client asked to be stored (ids with blanks between), and what it was told; None: nothing yet."""
    history = History()
    for ids, answer in calls:
        with history.asking(tuple(ids.split())) as call:
            if isinstance(answer, Problem):
                raise answer
            call.seqs = answer or ()
    return history


def test_what_was_acknowledged_is_there_and_what_was_refused_is_not() -> None:
    history = told(("a claim-a", [1]), ("b", [3]), ("c", CaseCancelled()), ("d", NOTHING), ("e", UNKNOWN), ("f", None))
    assert history.findings(reading("a", "claim-a", "b")) == []
    assert history.findings(reading("a", "claim-a", "b", "e", "f")) == []
    assert [call.outcome for call in history.calls] == ["done", "done", "nothing", "nothing", "unknown", "unknown"]
    assert history.acknowledged == 2


@pytest.mark.parametrize(
    "doubt",
    [
        UNKNOWN,
        BackboneGone(30),
        JournalDamaged("event 7", "it is gone"),
        reply("unexpected"),
        reply("journal_busy", stored="unknown"),
    ],
    ids=repr,
)
def test_what_is_in_doubt_may_be_there_but_not_in_part(doubt: Problem) -> None:
    history = told(("a claim-a", doubt))
    assert history.findings([]) == []
    assert told(("a claim-a", doubt)).findings(reading("a", "claim-a")) == []
    assert history.findings(reading("a")) == ["of a, claim-a claim-a is not there"]


def test_an_acknowledged_event_that_is_lost_is_found() -> None:
    assert told(("a", [1])).findings([]) == ["a was acknowledged and is not there"]
    assert told(("a claim-a", [1])).findings(reading("a")) == ["claim-a was acknowledged and is not there"]


def test_an_acknowledged_event_at_another_position_is_found() -> None:
    found = told(("a b", [1, 2]), ("c", None)).findings(reading("a", "c", "b"))
    assert found == ["b was acknowledged at 2 and is at 3"]


def test_a_position_acknowledged_to_two_is_found() -> None:
    assert told(("a", [1]), ("a", [1])).findings(reading("a")) == []
    found = told(("a", [1]), ("b", [1])).findings(reading("a", "b"))
    assert found == ["position 1 was acknowledged to a and to b", "b was acknowledged at 1 and is at 2"]


@pytest.mark.parametrize("no", [NOTHING, CaseCancelled(), reply("case_open")], ids=repr)
def test_a_refused_event_that_is_there_is_found_unless_the_same_command_was_done_by_another_call(no: Problem) -> None:
    assert told(("a", no)).findings(reading("a")) == [f"a was refused ({no}) and is at 1"]
    assert told(("a", no), ("a", [1])).findings(reading("a")) == []
    assert told(("a", None), ("a", no)).findings(reading("a")) == []


def test_an_event_that_was_there_when_it_was_refused_is_found_though_it_was_asked_for_again() -> None:
    found = told(("b", [2]), ("a", NOTHING), ("a", [1])).findings(reading("a", "b"))
    assert found == [f"a was refused ({NOTHING}) and is at 1"]
    assert told(("b", [1]), ("a", NOTHING), ("a", [2])).findings(reading("b", "a")) == []
    assert told(("a", None), ("b", [2]), ("a", NOTHING), ("a", [1])).findings(reading("a", "b")) == []


def test_an_event_that_is_there_twice_is_found() -> None:
    assert told(("a", None), ("b", None)).findings(reading("a", "b", "a")) == ["a is there twice, at 1 and 3"]


def test_an_event_that_nobody_asked_for_is_found() -> None:
    assert told(("a", None)).findings(reading("a", "b")) == ["b at 2 was asked for by nobody"]


def test_a_hole_is_found() -> None:
    assert told(("b", None)).findings(reading("a", "b")[1:]) == ["position 1 is missing, 2 comes instead"]


def test_a_position_that_holds_something_else_than_before_and_one_that_is_gone_are_found() -> None:
    history = told(*((id_, None) for id_ in "abcdx"))
    assert history.findings(reading("a", "b", "c")) == []
    assert history.findings(reading("a", "b", "c", "d")) == []
    assert history.findings(reading("a", "x")) == [
        "position 2 held another event before",
        "position 3 was there before and is gone",
        "position 4 was there before and is gone",
    ]


def test_the_ids_of_a_command_are_those_that_the_journal_will_hold() -> None:
    record, submit = applications.do("record"), applications.submit()
    own = event_id(command_id(b"secret", "submit", OFFICE, "key"), 0)
    assert ids_of(b"secret", record, "key") == (event_id(command_id(b"secret", "record", RECEIPT, "key"), 0),)
    assert ids_of(b"secret", submit, "key") == (own, event_id(own, 1))


def journal(*events: Event) -> list[Event]:
    """These events at positions 1, 2, … and recorded one second after the other."""
    return [event._replace(seq=seq, recorded=NOW + timedelta(seconds=seq)) for seq, event in enumerate(events, 1)]


def of_case(*facts: ApplicationFact, case: str = CASE, claim: int = 1) -> list[Event]:
    """A case with these facts, and its claim, which is the resident's `claim`-th."""
    events = [happened(version, fact)._replace(entity_id=case) for version, fact in enumerate(facts, 1)]
    claimed = Event(f"claim {claim}", "3672", RESIDENT, claim, NOW, CaseClaimed(case=case, office=OFFICE))
    return [events[0], claimed, *events[1:]]


def wrong(*events: Event) -> list[str]:
    return unlawful(journal(*events))


@pytest.mark.parametrize("facts", SO_FAR.values(), ids=SO_FAR)
def test_the_shortest_history_to_each_stage_is_lawful(facts: tuple[ApplicationFact, ...]) -> None:
    assert wrong(*of_case(*facts)) == []


@pytest.mark.parametrize(
    "facts",
    [
        (of_kind(Kind.LOST), QUEUED, PRINTED),
        (SUBMITTED, RECORDED, QUEUED, back_to(Stage.RECORDED), QUEUED, PRINTED, COLLECTED, CORRECTED),
        (SUBMITTED, CORRECTED, RECORDED, back_to(Stage.SUBMITTED), CANCELLED),
    ],
    ids=["recording left out", "returned", "corrected"],
)
def test_the_ways_round_are_lawful(facts: tuple[ApplicationFact, ...]) -> None:
    assert wrong(*of_case(*facts)) == []


@pytest.mark.parametrize(
    ("facts", "stage"),
    [
        ((SUBMITTED, QUEUED), "submitted"),
        ((SUBMITTED, RECORDED, RECORDED), "recorded"),
        ((SUBMITTED, RECORDED, SUBMITTED), "recorded"),
        ((of_kind(Kind.LOST), PRINTED), "submitted"),
        ((of_kind(Kind.LOST), QUEUED, PRINTED, QUEUED), "printed"),
        ((*SO_FAR[Stage.COLLECTED], CANCELLED), "collected"),
        ((*SO_FAR[Stage.COLLECTED], back_to(Stage.PRINTED)), "collected"),
        ((SUBMITTED, CANCELLED, RECORDED), "cancelled"),
        ((of_kind(Kind.LOST), QUEUED, back_to(Stage.RECORDED)), "queued"),
        ((SUBMITTED, RECORDED, back_to(Stage.RECORDED)), "recorded"),
        ((SUBMITTED, CORRECTED.model_copy(update={"corrects": "event-2"})), "submitted"),
    ],
)
def test_a_fact_that_must_not_follow_is_found(facts: tuple[ApplicationFact, ...], stage: str) -> None:
    (found,) = wrong(*of_case(*facts))
    assert found.endswith(f"{SUBJECT}) must not follow {stage}")


def test_a_case_that_was_never_submitted_is_found() -> None:
    assert wrong(happened(1, RECORDED)) == [f"1 (recorded on {SUBJECT}) must not follow None"]


def test_a_version_that_is_missing_or_there_twice_is_found() -> None:
    submitted, claim, recorded, queued = of_case(*SO_FAR[Stage.QUEUED])
    assert wrong(submitted, claim, queued) == [f"3 (queued on {SUBJECT}) has version 3 instead of 2"]
    (found,) = wrong(submitted, claim, recorded, queued._replace(version=2))
    assert found == f"4 (queued on {SUBJECT}) has version 2 instead of 3"
    assert wrong(submitted, claim._replace(version=2))[0].endswith("has version 2 instead of 1")


def test_times_that_go_back_are_found() -> None:
    events = journal(*of_case(SUBMITTED, RECORDED))
    events[2] = events[2]._replace(recorded=NOW)
    assert unlawful(events) == [f"3 (recorded on {SUBJECT}) was recorded before the event before it"]
    submitted, claim, recorded = of_case(SUBMITTED, RECORDED)
    back = recorded._replace(occurred=submitted.occurred - timedelta(seconds=1))
    assert wrong(submitted, claim, back) == [f"3 (recorded on {SUBJECT}) occurred before the event before it"]


def test_a_submission_without_its_claim_and_a_claim_without_its_submission_are_found() -> None:
    submitted, claim = of_case(SUBMITTED)
    assert wrong(submitted) == [f"{SUBJECT} has no claim"]
    assert wrong(claim) == [f"the claim on {SUBJECT} has no case"]
    assert len(wrong(submitted, claim._replace(entity_id="another resident"))) == 2


def test_a_second_open_case_of_one_resident_is_found() -> None:
    second = of_case(SUBMITTED, case="second", claim=2)
    assert wrong(*of_case(*SO_FAR[Stage.CANCELLED]), *second) == []
    assert wrong(*of_case(*SO_FAR[Stage.COLLECTED]), *second) == []
    (found,) = wrong(*of_case(*SO_FAR[Stage.PRINTED]), *second)
    assert found.endswith(f"is of a resident whose case {SUBJECT} is open")
