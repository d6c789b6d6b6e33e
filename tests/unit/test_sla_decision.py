"""Operations are told of each warning and each breach once, whoever looks and when, and of nothing that was past before."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from events.envelope import Event, decode, encode, stamp
from events.fact import split
from events.outage import OfficeOutages, Outage
from events.sla import Breached, Warned
from events.stages import Stage
from events.timers import Case, passed
from services.sla_decision import decide
from tests.applications import CANCELLED, CASE, OFFICE, PRINTED, QUEUED, RECORDED, SUBMITTED, back_to
from tests.timers import FLOODED, case, corrected, histories, nov, of_events, rulebook, standard

SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def look(state: Case, now: datetime, told: Sequence[Event] = (), outages: OfficeOutages | None = None) -> list[Event]:
    return decide(state, told, outages or {}, now)


def lines(events: Sequence[Event]) -> list[str]:
    """`issuance 75 late`; 100: breached."""

    def line(event: Event) -> str:
        fact = event.fact
        assert isinstance(fact, Warned | Breached)
        share = fact.share if isinstance(fact, Warned) else 100
        return f"{fact.target} {share}{' late' if fact.late else ''}"

    return [line(event) for event in events]


SUBMITTED_ONLY = case(("25 07:30", SUBMITTED))  # recording: 14:07:30, 15:15, 16:00; issuance: 01:30, 05:06, 07:30
RECORDED_AT_8 = case(("25 07:30", SUBMITTED), ("25 08:00", RECORDED))  # queueing: 14:37:30, 15:45, 26 08:00


def test_a_warning_says_what_was_gone_of_which_target_under_which_rules() -> None:
    now = nov("25 14:07:30")
    (event,) = look(SUBMITTED_ONLY, now, outages={"power": (Outage(nov("25 09:00"), nov("25 10:00")),)})
    assert event == Event(
        id=event.id,
        place=OFFICE,
        entity_id=CASE,
        version=1,
        occurred=now,
        fact=Warned(
            target="recording",
            started=nov("25 07:30"),
            due=nov("25 16:00"),
            elapsed=dict.fromkeys(("centre", "blank_stock", "network", "equipment", "applicant"), 0)
            | {"office": 16_650, "power": 3600, "closed": 3600},
            standard_version=1,
            calendar_version=1,
            late=False,
            share=75,
            reached=now,
        ),
        causation="event-1",
    )
    assert event.subject == f"ektp.{OFFICE}.sla.{CASE}"
    assert decode(stamp([encode(event, split(event.fact)[0])], now)[0], 1).fact == event.fact


def test_each_is_told_at_its_instant_and_not_before() -> None:
    for instant, line in [("14:07:30", "75"), ("15:15", "90"), ("16:00", "100")]:
        now = nov(f"25 {instant}")
        assert f"recording {line}" in lines(look(SUBMITTED_ONLY, now))
        assert f"recording {line}" not in lines(look(SUBMITTED_ONLY, now - MICROSECOND))


def test_asking_again_tells_nothing_more_and_two_who_ask_at_once_tell_the_same() -> None:
    now = nov("25 16:00")
    told = look(SUBMITTED_ONLY, now)
    assert look(SUBMITTED_ONLY, now + DAY, told)[0].version == len(told) + 1
    assert look(SUBMITTED_ONLY, now + SECOND, told) == []
    assert [event.id for event in look(SUBMITTED_ONLY, now + SECOND)] == [event.id for event in told]


def test_after_downtime_what_was_due_meanwhile_is_told_in_order_of_time_and_marked_late() -> None:
    events = look(SUBMITTED_ONLY, nov("26 05:07"))
    assert lines(events) == [
        "recording 75 late",
        "recording 90 late",
        "recording 100 late",
        "issuance 75 late",
        "issuance 90",
    ]
    assert [event.version for event in events] == [1, 2, 3, 4, 5]
    assert lines(look(RECORDED_AT_8, nov("26 05:00"))) == ["queueing 75 late", "queueing 90 late", "issuance 75 late"]
    assert len({event.id for event in events}) == 5
    on_time, late = look(SUBMITTED_ONLY, nov("25 14:08:30")), look(SUBMITTED_ONLY, nov("25 14:08:30.000001"))
    assert lines(on_time + late) == ["recording 75", "recording 75 late"]


def test_time_by_cause_is_told_up_to_the_instant_however_late_it_is_told() -> None:
    for event in look(SUBMITTED_ONLY, nov("30 08:00")):
        fact = event.fact
        assert isinstance(fact, Warned | Breached)
        until = fact.reached if isinstance(fact, Warned) else fact.due
        assert sum(fact.elapsed.values()) == (until - fact.started) // SECOND


def test_what_was_due_before_it_was_met_is_told_even_when_it_is_met_by_then() -> None:
    met = case(("25 07:30", SUBMITTED), ("25 15:30", RECORDED))
    assert lines(look(met, nov("25 16:30"))) == ["recording 75 late", "recording 90 late"]


def test_of_what_was_met_or_ended_in_time_nothing_is_told() -> None:
    assert look(case(("25 07:30", SUBMITTED), ("25 08:00", CANCELLED)), nov("30 08:00")) == []
    swift = case(("25 07:30", SUBMITTED), ("25 08:00", RECORDED), ("25 09:00", QUEUED), ("25 10:00", PRINTED))
    assert look(swift, nov("30 08:00")) == []


def test_collection_is_the_applicants_affair() -> None:
    printed = case(("25 07:30", SUBMITTED), ("25 08:00", RECORDED), ("25 09:00", QUEUED), ("25 10:00", PRINTED))
    assert look(printed, nov("25 10:00") + 365 * DAY) == []


def test_a_target_that_a_return_reopens_is_told_of_anew() -> None:
    told = look(RECORDED_AT_8, nov("26 08:00"))
    again = case(
        ("25 07:30", SUBMITTED), ("25 08:00", RECORDED), ("26 08:00", QUEUED), ("26 09:00", back_to(Stage.RECORDED))
    )
    assert lines(look(again, nov("30 09:00"), told)) == ["queueing 75 late", "queueing 90 late", "queueing 100 late"]


def test_history_that_was_imported_after_an_instant_is_not_told_of() -> None:
    all_of_it = ("25 07:30", SUBMITTED), ("26 07:45", RECORDED)
    assert look(case(*all_of_it, known="30 09:00"), nov("30 10:00")) == []
    assert lines(look(case(all_of_it[0], known="25 15:00"), nov("25 16:00"))) == ["recording 90 late", "recording 100"]
    assert lines(look(case(all_of_it[0], known="25 16:00"), nov("25 16:00"))) == ["recording 100"]


def test_a_start_corrected_to_later_does_not_breach_twice_and_takes_nothing_back() -> None:
    told = look(SUBMITTED_ONLY, nov("25 16:00"))
    later = case(("25 07:30", SUBMITTED), ("25 16:30", corrected(1, "25 15:00")))
    assert later.timers[0].due == nov("26 15:00")
    assert lines(look(later, nov("30 08:00"), told)) == ["issuance 75 late", "issuance 90 late", "issuance 100 late"]


def test_after_a_breach_was_told_no_warning_of_the_same_start_follows() -> None:
    breach = [event for event in look(SUBMITTED_ONLY, nov("25 16:00")) if isinstance(event.fact, Breached)]
    assert lines(look(SUBMITTED_ONLY, nov("25 16:00"), breach)) == []


def test_a_start_corrected_to_earlier_is_told_late_if_it_was_known_before_the_instant() -> None:
    history = ("25 10:00", SUBMITTED), ("25 15:00", corrected(1, "25 07:30"))
    assert lines(look(case(*history), nov("25 15:00"))) == ["recording 75 late"]
    long_before = ("25 10:00", SUBMITTED), ("25 15:00", corrected(1, "23 07:30"))
    assert look(case(*long_before), nov("25 15:00")) == []


def test_a_changed_standard_or_calendar_tells_nothing_else_of_what_had_started() -> None:
    changed = rulebook(FLOODED, standard(2, "25 12:00", recording={"limit": "PT30H"}, issuance={"limit": "PT1H"}))
    started = case(("25 07:30", SUBMITTED), book=changed)
    assert look(started, nov("26 08:00")) == look(SUBMITTED_ONLY, nov("26 08:00"))
    after = case(("25 13:00", SUBMITTED), book=changed)
    (*_, breached) = look(after, nov("25 14:00"))
    assert isinstance(breached.fact, Breached)
    assert (breached.fact.target, breached.fact.standard_version, breached.fact.calendar_version) == ("issuance", 2, 2)


looks = st.lists(st.integers(0, 60 * 24 * 60), max_size=8).map(
    lambda minutes: [nov("02 08:00") + one * MINUTE for one in minutes]
)


@settings(deadline=None, max_examples=200)
@given_any(histories(), looks, st.integers(0, 12))
def test_whenever_they_look_and_whatever_is_corrected_meanwhile_each_is_told_at_most_once(
    history: list[Event], instants: list[datetime], behind: int
) -> None:
    """Several look in any order, some at an older state of the case; what one tells the next one finds."""
    told = list[Event]()
    for number, now in enumerate(instants):
        state = of_events(history[: max(1, len(history) - (behind * number) % len(history))])
        new = look(state, now, told)
        assert new == look(state, now, told)
        told += new
        assert look(state, now, told) == []
    assert len({event.id for event in told}) == len(told)
    assert [event.version for event in told] == list(range(1, len(told) + 1))
    once = [(event.causation, line.removesuffix(" late")) for event, line in zip(told, lines(told), strict=True)]
    assert len(set(once)) == len(once)


@settings(deadline=None, max_examples=200)
@given_any(histories(), looks)
def test_however_often_they_look_in_the_end_the_same_is_told(history: list[Event], instants: list[datetime]) -> None:
    state = of_events(history)
    end = nov("02 08:00") + 365 * DAY
    told = list[Event]()
    for now in [*sorted(instants), end]:
        told += look(state, now, told)
    assert {event.id for event in told} == {event.id for event in look(state, end)}
    of_office = [timer for timer in state.timers if timer.target.is_breach]
    known = sum(at >= timer.known for timer in of_office for _, at in passed(timer, end))
    assert len(told) == known


@settings(deadline=None)
@given_any(histories())
def test_of_imported_history_nothing_is_told_and_all_is_judged(history: list[Event]) -> None:
    imported = nov("02 08:00") + 365 * DAY
    state = of_events([event._replace(recorded=imported) for event in history])
    assert look(state, imported) == []
    assert [timer.due for timer in state.timers] == [timer.due for timer in of_events(history).timers]
