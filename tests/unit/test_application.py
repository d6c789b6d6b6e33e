"""An application goes through its stages in order, may be turned back, ended and corrected, and nothing is done twice."""

from datetime import datetime, timedelta
from typing import Literal

import pytest

from events.application import ApplicationFact, Cancelled, Collected, Printed, Queued, Recorded, Returned
from events.stages import REPRINTS, Kind, Stage
from services import refusals
from services.application import State, evolve
from services.commands import AnyCommand
from tests.applications import (
    CANCELLED,
    NOW,
    QUEUED,
    REASON,
    RECORDED,
    SO_FAR,
    SUBMITTED,
    back_to,
    cancel,
    case,
    day,
    do,
    given,
    happened,
    of_kind,
    return_to,
    submit,
)

Step = Literal["record", "queue", "print", "collect"]
MICROSECOND = timedelta(microseconds=1)
STEPS: list[tuple[Step, Stage]] = [
    ("record", Stage.RECORDED),
    ("queue", Stage.QUEUED),
    ("print", Stage.PRINTED),
    ("collect", Stage.COLLECTED),
]
DONE: dict[Step, ApplicationFact] = {
    "record": Recorded(digest=""),
    "queue": Queued(digest=""),
    "print": Printed(digest=""),
    "collect": Collected(digest=""),
}
OPEN = [Stage.SUBMITTED, Stage.RECORDED, Stage.QUEUED, Stage.PRINTED]
RETURNS = [(here, there) for index, here in enumerate(OPEN) for there in OPEN[:index]]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("index", range(4), ids=[step for step, _ in STEPS])
def test_a_case_of_any_kind_goes_from_each_stage_to_the_next(kind: Kind, index: int) -> None:
    step, _ = STEPS[index]
    given(of_kind(kind), *SO_FAR[OPEN[index]][1:]).when(do(step)).then(DONE[step])


@pytest.mark.parametrize("kind", sorted(REPRINTS))
def test_who_is_recorded_already_may_go_straight_to_the_queue_or_be_recorded_again(kind: Kind) -> None:
    given(of_kind(kind)).when(do("queue")).then(Queued(digest=""))
    given(of_kind(kind)).when(do("record")).then(Recorded(digest=""))
    given(of_kind(kind), QUEUED).when(do("print")).then(Printed(digest=""))
    given(of_kind(kind), QUEUED, back_to(Stage.SUBMITTED)).when(do("queue")).then(Queued(digest=""))


@pytest.mark.parametrize("kind", sorted(REPRINTS))
def test_recording_is_the_only_stage_that_a_reprint_may_leave_out(kind: Kind) -> None:
    for step, asked in STEPS[2:]:
        given(of_kind(kind)).when(do(step)).then_refused(
            refusals.StageSkipped, asked=asked, stage=Stage.SUBMITTED, missing=Stage.QUEUED
        )


@pytest.mark.parametrize("kind", sorted(set(Kind) - REPRINTS))
def test_a_first_card_here_is_never_queued_without_a_recording(kind: Kind) -> None:
    given(of_kind(kind)).when(do("queue")).then_refused(
        refusals.StageSkipped, asked=Stage.QUEUED, stage=Stage.SUBMITTED, missing=Stage.RECORDED
    )


@pytest.mark.parametrize(("here", "asked"), [(here, asked) for here in range(4) for asked in range(here + 1, 4)])
def test_no_stage_is_left_out(here: int, asked: int) -> None:
    (step, stage), (_, missing) = STEPS[asked], STEPS[here]
    given(*SO_FAR[OPEN[here]]).when(do(step)).then_refused(
        refusals.StageSkipped, asked=stage, stage=OPEN[here], missing=missing
    )


@pytest.mark.parametrize(("here", "asked"), [(here, asked) for asked in range(4) for here in range(asked, 4)])
def test_a_new_command_for_a_stage_already_reached_is_refused_by_the_name_of_that_stage(here: int, asked: int) -> None:
    (step, stage), (_, reached) = STEPS[asked], STEPS[here]
    outcome = given(*SO_FAR[reached]).when(do(step))
    outcome.then_refused(refusals.AlreadyThere, asked=stage, stage=reached)
    assert outcome.refusal.code == f"already_{stage.value}"


@pytest.mark.parametrize("stage", SO_FAR)
def test_a_case_is_not_submitted_a_second_time(stage: Stage) -> None:
    outcome = given(*SO_FAR[stage]).when(submit())
    outcome.then_refused(refusals.AlreadyThere, asked=Stage.SUBMITTED, stage=stage)
    assert outcome.refusal.code == "already_submitted"


@pytest.mark.parametrize("stage", OPEN)
def test_a_case_is_cancelled_at_any_time_before_it_is_collected(stage: Stage) -> None:
    given(*SO_FAR[stage]).when(cancel()).then(Cancelled(digest="", reason=REASON))


@pytest.mark.parametrize("command", [do(step) for step, _ in STEPS] + [return_to(Stage.SUBMITTED)], ids=repr)
def test_cancelled_is_final(command: AnyCommand) -> None:
    given(SUBMITTED, RECORDED, CANCELLED).when(command).then_refused(refusals.CaseCancelled)


def test_cancelling_twice_is_refused_as_done_already() -> None:
    outcome = given(SUBMITTED, CANCELLED).when(cancel())
    outcome.then_refused(refusals.AlreadyThere, asked=Stage.CANCELLED, stage=Stage.CANCELLED)
    assert outcome.refusal.code == "already_cancelled"


@pytest.mark.parametrize("command", [cancel(), *map(return_to, OPEN)], ids=repr)
def test_collected_is_final(command: AnyCommand) -> None:
    given(*SO_FAR[Stage.COLLECTED]).when(command).then_refused(refusals.CaseCollected)


@pytest.mark.parametrize(("here", "there"), RETURNS)
def test_a_case_goes_back_to_any_earlier_stage_and_forward_again(here: Stage, there: Stage) -> None:
    given(*SO_FAR[here]).when(return_to(there)).then(Returned(digest="", reason=REASON, back_to=there))
    step, _ = STEPS[OPEN.index(there)]
    given(*SO_FAR[here], back_to(there)).when(do(step)).then(DONE[step])


@pytest.mark.parametrize(
    ("here", "there"), [(here, there) for here in OPEN for there in Stage if (here, there) not in RETURNS]
)
def test_a_case_never_goes_back_to_where_it_is_or_was_not_yet(here: Stage, there: Stage) -> None:
    given(*SO_FAR[here]).when(return_to(there)).then_refused(refusals.CannotReturn, back_to=there, stage=here)


def test_a_case_never_goes_back_to_a_recording_that_was_left_out() -> None:
    given(of_kind(Kind.LOST), QUEUED).when(return_to(Stage.RECORDED)).then_refused(
        refusals.CannotReturn, back_to=Stage.RECORDED, stage=Stage.QUEUED
    )


def test_after_a_return_later_stages_are_not_behind_it_any_more() -> None:
    returned = (*SO_FAR[Stage.PRINTED], back_to(Stage.SUBMITTED))
    given(*returned).when(return_to(Stage.QUEUED)).then_refused(
        refusals.CannotReturn, back_to=Stage.QUEUED, stage=Stage.SUBMITTED
    )
    given(*returned).when(do("print")).then_refused(
        refusals.StageSkipped, asked=Stage.PRINTED, stage=Stage.SUBMITTED, missing=Stage.RECORDED
    )


LAST = day(2)  # when the case below was recorded
PAPER = given(SUBMITTED, RECORDED)


@pytest.mark.parametrize("happened_at", [LAST, LAST + MICROSECOND, NOW - MICROSECOND, NOW])
def test_paper_is_entered_late_with_the_time_at_which_it_happened(happened_at: datetime) -> None:
    PAPER.when(do("queue", at=happened_at)).then(Queued(digest=""), occurred=happened_at)
    PAPER.when(cancel(at=happened_at)).then(Cancelled(digest="", reason=REASON), occurred=happened_at)


@pytest.mark.parametrize("command", [do("queue", at=LAST - MICROSECOND), cancel(at=LAST - MICROSECOND)], ids=repr)
def test_nothing_happened_before_the_previous_event_of_its_case(command: AnyCommand) -> None:
    PAPER.when(command).then_refused(refusals.BeforePrevious, at=LAST - MICROSECOND, previous=LAST)


@pytest.mark.parametrize("ahead", [MICROSECOND, timedelta(days=400)])
def test_nothing_happened_in_the_future(ahead: timedelta) -> None:
    PAPER.when(do("queue", at=NOW + ahead)).then_refused(refusals.InFuture, at=NOW + ahead, now=NOW)
    given().when(submit(at=NOW + ahead)).then_refused(refusals.InFuture, at=NOW + ahead, now=NOW)


def test_a_clock_that_was_set_back_does_not_put_an_event_before_the_previous_one() -> None:
    PAPER.when(do("queue"), now=LAST - timedelta(hours=1)).then(Queued(digest=""), occurred=LAST)


def test_what_the_desk_noted_stands_in_the_fact() -> None:
    noted = given(*SO_FAR[Stage.QUEUED]).when(do("print", serial="B-17", reason=REASON, actor="petugas.1"))
    noted.then(Printed(digest="", serial="B-17", reason=REASON))


@pytest.mark.parametrize("stage", SO_FAR)
def test_the_same_request_again_adds_nothing_whatever_happened_since(stage: Stage) -> None:
    again = given(*SO_FAR[stage])
    again.when(submit(), event_id="event-1", digest="earlier").then_nothing_more()
    again.when(do("record", at=NOW + MICROSECOND), event_id="event-1", digest="earlier").then_nothing_more()


def test_the_same_request_with_other_content_is_refused() -> None:
    given(SUBMITTED, RECORDED).when(do("record"), event_id="event-2", digest="other").then_refused(refusals.KeyReused)


def test_a_history_with_a_hole_or_a_stranger_in_it_stops_the_replay() -> None:
    with pytest.raises(AssertionError, match="version 3 follows 1"):
        evolve(case(SUBMITTED), happened(3, RECORDED))
    with pytest.raises(AssertionError, match="version 1 follows 1"):
        evolve(case(SUBMITTED), happened(1, RECORDED))
    with pytest.raises(AssertionError, match="version 2 follows 0"):
        evolve(State(), happened(2, SUBMITTED))


def test_a_return_does_not_undo_that_a_stage_was_reached() -> None:
    assert case(*SO_FAR[Stage.PRINTED], back_to(Stage.SUBMITTED)).reached == set(OPEN)
