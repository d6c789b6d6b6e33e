"""Which targets of a case ran when, by when each was due, and whether it was met: whatever becomes of the case."""

from collections.abc import Iterable
from datetime import timedelta

import pytest
from hypothesis import given, settings

from events.application import ApplicationFact, Corrected, Returned
from events.envelope import Event
from events.rules import Rulebook
from events.stages import Kind, Stage
from events.timers import SHARES, Case, Timer, instant, passed, recomputed, stands_still
from tests.applications import CANCELLED, PRINTED, QUEUED, RECORDED, SUBMITTED, back_to, of_kind
from tests.timers import FLOODED, STRAIGHT, V1, case, corrected, histories, nov, of_events, rulebook, standard

MICROSECOND = timedelta(microseconds=1)
LONG_AFTER = nov("30 08:00")
ISSUANCE, HOURS_3, HOURS_48 = "issuance", {"limit": "PT3H"}, {"limit": "PT48H"}


def told(timers: Iterable[Timer]) -> list[str]:
    """`recording 25 08:00 due 26 08:00 met 25 09:00`"""

    def line(timer: Timer) -> str:
        moments = {"due": timer.due, "met": timer.met, "ended": timer.ended}
        said = (f" {word} {moment:%d %H:%M}" for word, moment in moments.items() if moment)
        return f"{timer.target.name} {timer.started:%d %H:%M}{''.join(said)}"

    return [line(timer) for timer in timers]


def judged(*history: tuple[str, ApplicationFact], book: Rulebook = V1) -> list[str]:
    return told(case(*history, book=book).timers)


def test_each_stage_starts_its_targets_and_meets_those_that_end_there() -> None:
    assert judged(*STRAIGHT) == [
        "recording 25 08:00 due 26 08:00 met 25 09:00",
        "issuance 25 08:00 due 26 08:00 met 27 10:00",
        "queueing 25 09:00 due 26 09:00 met 26 09:00",
        "printing 26 09:00 due 27 09:00 met 27 10:00",
        "collection 27 10:00 due 27 10:00 met 30 08:00",
    ]


def test_a_cancelled_case_has_no_timer_that_runs() -> None:
    assert judged(*STRAIGHT[:2], ("25 10:00", CANCELLED)) == [
        "recording 25 08:00 due 26 08:00 met 25 09:00",
        "issuance 25 08:00 due 26 08:00 ended 25 10:00",
        "queueing 25 09:00 due 26 09:00 ended 25 10:00",
    ]


@pytest.mark.parametrize("kind", [Kind.LOST, Kind.DAMAGED, Kind.DATA_CHANGE])
def test_where_recording_is_left_out_it_ends_at_queued_and_queueing_does_not_run(kind: Kind) -> None:
    assert judged(("25 08:00", of_kind(kind)), ("25 09:00", QUEUED)) == [
        "recording 25 08:00 due 26 08:00 met 25 09:00",
        "issuance 25 08:00 due 26 08:00",
        "printing 25 09:00 due 26 09:00",
    ]


def test_a_return_ends_what_ran_and_reopens_the_targets_of_the_stage_gone_back_to() -> None:
    assert judged(*STRAIGHT[:3], ("26 10:00", back_to(Stage.RECORDED)), ("26 11:00", QUEUED)) == [
        "recording 25 08:00 due 26 08:00 met 25 09:00",
        "issuance 25 08:00 due 26 08:00",
        "queueing 25 09:00 due 26 09:00 met 26 09:00",
        "printing 26 09:00 due 27 09:00 ended 26 10:00",
        "queueing 26 10:00 due 27 10:00 met 26 11:00",
        "printing 26 11:00 due 27 11:00",
    ]


def test_a_target_that_still_runs_from_the_stage_gone_back_to_starts_anew() -> None:
    from_submitted = rulebook(standard(2, "25 07:00", queueing={"from_stage": "submitted"}))
    assert judged(*STRAIGHT[:2], ("25 10:00", back_to(Stage.SUBMITTED)), book=from_submitted) == [
        "recording 25 08:00 due 26 08:00 met 25 09:00",
        "queueing 25 08:00 due 26 08:00 ended 25 10:00",
        "issuance 25 08:00 due 26 08:00",
        "recording 25 10:00 due 26 10:00",
        "queueing 25 10:00 due 26 10:00",
    ]


def test_issuance_keeps_its_start_when_the_case_goes_back_to_the_very_beginning() -> None:
    again = ("25 13:00", back_to(Stage.SUBMITTED)), ("25 14:00", RECORDED), ("25 15:00", QUEUED), ("26 07:45", PRINTED)
    lines = judged(*STRAIGHT[:2], *again)
    assert [line for line in lines if ISSUANCE in line] == ["issuance 25 08:00 due 26 08:00 met 26 07:45"]
    assert "recording 25 13:00 due 26 12:00 met 25 14:00" in lines


@pytest.mark.parametrize("stage", [Stage.SUBMITTED, Stage.RECORDED, Stage.QUEUED])
def test_issuance_is_met_by_the_first_print_whatever_follows(stage: Stage) -> None:
    lines = judged(*STRAIGHT[:4], ("27 11:00", back_to(stage)))
    assert [line for line in lines if ISSUANCE in line] == ["issuance 25 08:00 due 26 08:00 met 27 10:00"]
    reopened = {Stage.SUBMITTED: "recording", Stage.RECORDED: "queueing", Stage.QUEUED: "printing"}[stage]
    assert [line.split()[0] for line in lines if " met " not in line and " ended " not in line] == [reopened]


def test_a_second_print_starts_the_collection_anew() -> None:
    lines = judged(*STRAIGHT[:4], ("27 11:00", back_to(Stage.QUEUED)), ("27 13:30", PRINTED))
    assert [line for line in lines if "collection" in line] == [
        "collection 27 10:00 due 27 10:00 ended 27 11:00",
        "collection 27 13:30 due 27 13:30",
    ]


def test_a_corrected_time_moves_what_it_started_and_what_it_met() -> None:
    before, after = case(*STRAIGHT[:3]), case(*STRAIGHT[:3], ("26 10:00", corrected(2, "25 13:00")))
    assert told(after.timers) == [
        "recording 25 08:00 due 26 08:00 met 25 13:00",
        "issuance 25 08:00 due 26 08:00",
        "queueing 25 13:00 due 26 12:00 met 26 09:00",
        "printing 26 09:00 due 27 09:00",
    ]
    assert [timer.start_id for timer in after.timers] == [timer.start_id for timer in before.timers]
    assert [timer.known for timer in after.timers] == [timer.known for timer in before.timers]


def test_other_corrections_move_nothing() -> None:
    assert case(*STRAIGHT[:3], ("26 10:00", corrected(2, None))) == case(*STRAIGHT[:3])


SHARES_OF_TWO_CLOCKS = [
    ("recording", ["25 14:07", "25 15:15", "25 16:00"]),  # 5.625, 6.75 and 7.5 working hours after 07:30
    ("issuance", ["26 01:30", "26 05:06", "26 07:30"]),
]


@pytest.mark.parametrize(("target", "instants"), SHARES_OF_TWO_CLOCKS)
def test_shares_are_told_on_the_targets_own_clock(target: str, instants: list[str]) -> None:
    (timer,) = (timer for timer in case(("25 07:30", SUBMITTED)).timers if timer.target.name == target)
    assert [f"{instant(timer, share):%d %H:%M}" for share in SHARES] == instants
    for share in SHARES:
        moment = instant(timer, share)
        assert [passed_share for passed_share, _ in passed(timer, moment)][-1:] == [share]
        assert share not in dict(passed(timer, moment - MICROSECOND))


def test_what_is_met_at_the_very_due_instant_is_met_in_time() -> None:
    in_time, late = (case(("25 07:30", SUBMITTED), (f"25 16:00{extra}", RECORDED)) for extra in ("", ":00.000001"))
    assert [share for share, _ in passed(in_time.timers[0], LONG_AFTER)] == [75, 90]
    assert [share for share, _ in passed(late.timers[0], LONG_AFTER)] == [75, 90, 100]


def test_nothing_passes_after_a_timer_has_ended() -> None:
    timer = case(("25 07:30", SUBMITTED), ("25 15:00", CANCELLED)).timers[0]
    assert [share for share, _ in passed(timer, LONG_AFTER)] == [75]


def test_a_changed_standard_or_calendar_holds_for_what_starts_later_alone() -> None:
    changed = rulebook(FLOODED, standard(2, "25 12:00", queueing=HOURS_3, issuance=HOURS_48))
    history = ("25 08:00", SUBMITTED), ("25 13:00", RECORDED)
    state = case(*history, book=changed)
    assert told(state.timers) == [
        "recording 25 08:00 due 26 08:00 met 25 13:00",
        "issuance 25 08:00 due 26 08:00",
        "queueing 25 13:00 due 25 16:00",
    ]
    assert [(timer.standard_version, timer.calendar.version) for timer in state.timers] == [(1, 1), (1, 1), (2, 2)]
    assert judged(*history, ("25 14:30", back_to(Stage.SUBMITTED)), book=changed)[-1] == "recording 25 14:30 due 27 15:00"


def test_the_verdict_under_other_rules_can_be_had_beside_the_one_that_was_given() -> None:
    changed = rulebook(FLOODED, standard(2, "26 12:00", queueing=HOURS_3, issuance=HOURS_48))
    state = case(("25 08:00", SUBMITTED), ("25 14:00", RECORDED), book=changed)
    by_today = recomputed(state, changed, nov("27 08:00"))
    assert told(state.timers)[1:] == ["issuance 25 08:00 due 26 08:00", "queueing 25 14:00 due 27 14:30"]
    assert told(by_today.timers)[1:] == ["issuance 25 08:00 due 27 08:00", "queueing 25 14:00 due 27 08:30"]
    assert recomputed(state, changed, nov("25 11:59")).timers == case(*STRAIGHT[:1], ("25 14:00", RECORDED)).timers


def test_a_start_that_is_corrected_goes_by_the_rules_of_its_true_time() -> None:
    changed = rulebook(FLOODED, standard(2, "25 12:00", recording=HOURS_3))
    assert judged(("25 13:00", SUBMITTED), book=changed)[0] == "recording 25 13:00 due 25 16:00"
    earlier = ("25 13:00", SUBMITTED), ("25 14:00", corrected(1, "25 11:30"))
    assert judged(*earlier, book=changed)[0] == "recording 25 11:30 due 26 11:30"


def test_a_case_that_stands_still_with_no_timer_running_is_found() -> None:
    """Queueing starts at submitted under this standard: for a case back at recorded after its print nothing is ever due."""
    gap = rulebook(standard(2, "01 08:00", queueing={"from_stage": "submitted"}))
    forgotten = (*STRAIGHT[:4], ("27 11:00", back_to(Stage.RECORDED)))
    assert stands_still(case(*forgotten, book=gap))
    assert not stands_still(case(*forgotten))
    assert not stands_still(case(*forgotten, ("27 13:00", QUEUED), book=gap))
    assert not stands_still(case(*forgotten, ("27 13:00", CANCELLED), book=gap))
    assert not stands_still(Case())


def test_what_runs_already_is_not_started_again_when_the_standard_changes_where_it_starts() -> None:
    from_submitted = standard(2, "25 07:00", queueing={"from_stage": "submitted"})
    from_recorded = standard(3, "25 08:30", issuance={"from_stage": "recorded"})
    assert judged(*STRAIGHT[:2], book=rulebook(from_submitted, from_recorded)) == [
        "recording 25 08:00 due 26 08:00 met 25 09:00",
        "queueing 25 08:00 due 26 08:00",
        "issuance 25 08:00 due 26 08:00",
    ]


@settings(deadline=None, max_examples=200)
@given(histories())
def test_corrected_events_come_to_the_same_timers_as_events_that_were_right_from_the_first(history: list[Event]) -> None:
    true_times = {event.fact.corrects: event.fact.at for event in history if isinstance(event.fact, Corrected)}
    right = [
        event._replace(occurred=true_times.get(event.id) or event.occurred)
        for event in history
        if not isinstance(event.fact, Corrected)
    ]
    assert of_events(history) == of_events(right)


@settings(deadline=None, max_examples=200)
@given(histories())
def test_of_each_target_at_most_one_timer_runs_and_an_open_case_never_stands_still(history: list[Event]) -> None:
    state = of_events(history)
    running = [timer.target.name for timer in state.timers if timer.stopped is None]
    assert len(set(running)) == len(running)
    assert [timer.target.name for timer in state.timers].count("issuance") == 1
    assert all(timer.started <= (timer.stopped or timer.started) and timer.started < timer.due for timer in state.timers)
    assert not stands_still(state)
    steps = {step.event_id: step for step in state.steps}
    returns = {event.id for event in history if isinstance(event.fact, Returned)}
    for timer in state.timers:
        assert steps[timer.start_id].stage is timer.target.from_stage
        assert timer.target.name != "issuance" or timer.start_id not in returns
