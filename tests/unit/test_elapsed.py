"""Every second of a target has one cause, the parts add up to the whole, and outages move what is fair, not what is due."""

from datetime import datetime, timedelta
from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from events.elapsed import causes, office_due
from events.outage import OUTAGE_CAUSES, OfficeOutages, Outage, OutageCause, Outages
from events.sla import CAUSES, Cause
from events.stages import Kind, Stage
from events.standard import TargetName, due
from events.timers import Case, Step, Timer
from events.working_clock import working_time_between
from tests.applications import CANCELLED, PRINTED, QUEUED, RECORDED, SUBMITTED, back_to, of_kind
from tests.timers import STRAIGHT, case, nov

SECOND, QUARTER = timedelta(seconds=1), timedelta(minutes=15)
LATER = nov("30 12:00")


def timer(of: Case, name: TargetName) -> Timer:
    """The last of that name."""
    return [one for one in of.timers if one.target.name == name][-1]


def out(**spans: tuple[str, str | None]) -> OfficeOutages:
    """out(power=("25 08:00", "25 10:00")); None: it goes on."""

    def moments(began: str, ended: str | None) -> Outages:
        return (Outage(nov(began), nov(ended) if ended else None),)

    return {cause: moments(*spans[cause]) for cause in OUTAGE_CAUSES if cause in spans}


def hours(of: Case, name: TargetName, outages: OfficeOutages | None = None, as_of: datetime = LATER) -> dict[Cause, float]:
    """What took any time at all, in hours."""
    found = causes(timer(of, name), of.steps, outages or {}, as_of)
    return {cause: seconds / 3600 for cause, seconds in found.items() if seconds}


def test_the_causes_are_those_of_the_contract_and_all_are_told() -> None:
    assert get_args(Cause) == CAUSES
    assert get_args(OutageCause) == OUTAGE_CAUSES
    assert set(OUTAGE_CAUSES) < set(CAUSES)
    assert tuple(causes(case(*STRAIGHT).timers[0], case(*STRAIGHT).steps, {}, LATER)) == CAUSES


def test_each_stage_waits_for_the_one_who_is_to_act_and_nobody_works_when_it_is_closed() -> None:
    whole = case(*STRAIGHT)
    assert hours(whole, "recording") == {"office": 1}
    assert hours(whole, "queueing") == {"centre": 7.5, "closed": 16.5}
    assert hours(whole, "printing") == {"office": 8.5, "closed": 16.5}
    assert hours(whole, "issuance") == {"office": 9.5, "centre": 7.5, "closed": 33}
    assert hours(whole, "collection") == {"applicant": 5.5, "closed": 64.5}


def test_time_after_a_return_waits_for_whom_the_stage_gone_back_to_waits() -> None:
    returned = case(*STRAIGHT[:3], ("26 10:00", back_to(Stage.RECORDED)), ("26 11:00", QUEUED))
    assert hours(returned, "issuance", as_of=nov("26 12:00")) == {"office": 3, "centre": 8.5, "closed": 16.5}
    assert hours(returned, "queueing") == {"centre": 1}


def test_where_recording_is_left_out_all_time_is_the_offices() -> None:
    reprint = case(("25 08:00", of_kind(Kind.LOST)), ("25 10:00", QUEUED), ("25 11:00", PRINTED))
    assert hours(reprint, "issuance") == {"office": 3}


def test_a_timer_that_runs_is_told_until_the_instant_asked_about_and_one_that_stopped_until_then() -> None:
    assert hours(case(STRAIGHT[0]), "recording", as_of=nov("25 10:30")) == {"office": 2.5}
    assert hours(case(STRAIGHT[0], ("25 09:00", CANCELLED)), "recording") == {"office": 1}
    assert hours(case(STRAIGHT[0]), "recording", as_of=nov("25 08:00")) == {}


def test_an_outage_overrides_whoever_was_waited_for_also_when_the_office_is_closed() -> None:
    whole = case(*STRAIGHT)
    assert hours(whole, "recording", out(power=("25 08:15", "25 08:45"))) == {"office": 0.5, "power": 0.5}
    assert hours(whole, "queueing", out(network=("25 15:00", None))) == {"centre": 5, "closed": 1, "network": 18}
    assert hours(whole, "collection", out(equipment=("27 10:00", "30 08:00"))) == {"equipment": 70}


def test_where_several_outages_overlap_the_first_of_blank_stock_power_network_equipment_counts() -> None:
    whole, all_day = case(*STRAIGHT), ("25 08:00", "25 16:00")
    assert hours(whole, "recording", out(equipment=all_day, network=all_day)) == {"network": 1}
    assert hours(whole, "recording", out(equipment=all_day, network=all_day, power=all_day)) == {"power": 1}
    assert hours(whole, "recording", out(power=all_day, blank_stock=("25 08:30", None))) == {
        "power": 0.5,
        "blank_stock": 0.5,
    }


def test_parts_of_seconds_are_lost_only_once_for_the_whole() -> None:
    begun = case(("25 11:59:59.600000", SUBMITTED), ("25 13:00:00.500000", RECORDED))
    found = causes(begun.timers[0], begun.steps, {}, LATER)
    assert {cause: seconds for cause, seconds in found.items() if seconds} == {"closed": 3600}
    assert sum(found.values()) == (nov("25 13:00:00.500000") - nov("25 11:59:59.600000")) // SECOND


def test_without_outages_what_is_fair_to_the_office_is_what_is_due() -> None:
    assert [office_due(one, {}, LATER) for one in case(*STRAIGHT).timers] == [one.due for one in case(*STRAIGHT).timers]


def test_an_outage_moves_what_is_fair_by_the_targets_own_clock_and_never_what_is_due() -> None:
    recording, issuance = case(STRAIGHT[0]).timers
    morning, night = out(power=("25 09:00", "25 11:00")), out(power=("25 20:00", "25 22:00"))
    assert (office_due(recording, morning, LATER), recording.due) == (nov("26 10:00"), nov("26 08:00"))
    assert office_due(issuance, morning, LATER) == nov("26 10:00")
    assert office_due(recording, night, LATER) == nov("26 08:00")  # its clock stood still at night anyway
    assert office_due(issuance, night, LATER) == nov("26 10:00")


def test_overlapping_outages_count_once_and_those_before_or_after_do_not_count() -> None:
    recording = case(STRAIGHT[0]).timers[0]
    twice = out(power=("25 09:00", "25 11:00"), network=("25 10:00", "25 11:30"))
    assert office_due(recording, twice, LATER) == nov("26 10:30")
    within = out(power=("25 09:00", "25 11:00"), network=("25 09:30", "25 10:00"))
    assert office_due(recording, within, LATER) == nov("26 10:00")
    around = out(power=("24 09:00", "25 08:00"), network=("26 08:00", "27 08:00"))
    assert office_due(recording, around, LATER) == nov("26 08:00")
    assert office_due(recording, out(power=("24 09:00", "25 09:00")), LATER) == nov("26 09:00")


def test_an_outage_that_goes_on_counts_as_far_as_it_is_known() -> None:
    recording = case(STRAIGHT[0]).timers[0]
    assert office_due(recording, out(power=("25 09:00", None)), nov("25 11:00")) == nov("26 10:00")


MICROSECONDS = st.integers(0, 8 * 24 * 3_600_000_000)
START = nov("23 06:00")
STAGES = st.sampled_from([Stage.SUBMITTED, Stage.RECORDED, Stage.QUEUED, Stage.PRINTED])


def moment(microseconds: int) -> datetime:
    return START + timedelta(microseconds=microseconds)


@st.composite
def some_outages(draw: st.DrawFn) -> OfficeOutages:
    """Of each cause some that do not overlap; the last may go on, and some touch."""
    found: dict[OutageCause, Outages] = {}
    for cause in OUTAGE_CAUSES:
        edges = sorted(draw(st.lists(MICROSECONDS, max_size=6, unique=True)))
        began, ended = edges[::2], [moment(edge) for edge in edges[1::2]]
        lasts = [*ended, None] if len(began) > len(ended) else ended
        found[cause] = tuple(Outage(moment(one), over) for one, over in zip(began, lasts, strict=True))
    return found


@st.composite
def some_timers(draw: st.DrawFn) -> tuple[Timer, list[Step]]:
    """Any target of a case that went through stages at any instants."""
    whole = case(STRAIGHT[0]).timers[draw(st.integers(0, 1))]
    edges = sorted(draw(st.lists(MICROSECONDS, min_size=1, max_size=6)))
    steps = [Step(f"e{edge}", draw(STAGES), False, moment(edge), moment(edge)) for edge in edges]
    met = moment(edges[-1]) if len(edges) > 1 and draw(st.booleans()) else None
    return whole._replace(started=steps[0].occurred, met=met), steps


@settings(deadline=None, max_examples=300)
@given(some_timers(), some_outages(), MICROSECONDS)
def test_the_parts_are_whole_seconds_never_negative_and_add_up_exactly(
    one: tuple[Timer, list[Step]], outages: OfficeOutages, asked: int
) -> None:
    running, steps = one
    as_of = max(moment(asked), running.started)
    found = causes(running, steps, outages, as_of)
    until = min(as_of, running.met or as_of)
    assert sum(found.values()) == (until - running.started) // SECOND
    assert all(seconds >= 0 for seconds in found.values())


@settings(deadline=None, max_examples=100)
@given(some_timers(), some_outages(), MICROSECONDS)
def test_each_part_is_what_is_found_by_looking_at_every_quarter_of_an_hour(
    one: tuple[Timer, list[Step]], outages: OfficeOutages, asked: int
) -> None:
    """Said once more, in another way: what was there at an instant decides the time around it."""

    def on_the_quarter(instant: datetime) -> datetime:
        return START + (instant - START) // QUARTER * QUARTER

    steps = [step._replace(occurred=on_the_quarter(step.occurred)) for step in one[1]]
    running = one[0]._replace(started=steps[0].occurred, met=None)
    rounded = {
        cause: tuple(
            Outage(on_the_quarter(began), on_the_quarter(ended) if ended else None)
            for began, ended in spans
            if ended is None or on_the_quarter(began) < on_the_quarter(ended)
        )
        for cause, spans in outages.items()
    }
    as_of = max(on_the_quarter(moment(asked)), running.started)
    expected: dict[Cause, int] = dict.fromkeys(CAUSES, 0)
    now = running.started
    while now < as_of:
        expected[_at(now, running, steps, rounded)] += 900
        now += QUARTER
    assert causes(running, steps, rounded, as_of) == expected


def _at(now: datetime, running: Timer, steps: list[Step], outages: OfficeOutages) -> Cause:
    for cause in OUTAGE_CAUSES:
        if any(began <= now and (ended is None or now < ended) for began, ended in outages[cause]):
            return cause
    if not working_time_between(running.calendar, now, now + SECOND):
        return "closed"
    stage = [step.stage for step in steps if step.occurred <= now][-1]
    return {Stage.RECORDED: "centre", Stage.PRINTED: "applicant"}.get(stage, "office")  # type: ignore[return-value]


@settings(deadline=None, max_examples=300)
@given(some_timers(), some_outages(), MICROSECONDS)
def test_what_is_fair_is_never_before_what_is_due_and_leaves_the_office_its_whole_time(
    one: tuple[Timer, list[Step]], outages: OfficeOutages, asked: int
) -> None:
    running, steps = one[0]._replace(met=None), one[1]
    as_of = max(moment(asked), running.started)
    fair = office_due(running, outages, as_of)
    assert fair >= due(running.target, running.calendar, running.started)
    if fair <= as_of:  # else more outages may come
        left = causes(running, steps, outages, fair)
        clock: tuple[Cause, ...] = ("office", "centre", "applicant")
        clock += ("closed",) if running.target.clock == "calendar" else ()
        assert abs(sum(left[cause] for cause in clock) - running.target.limit // SECOND) <= len(clock)
