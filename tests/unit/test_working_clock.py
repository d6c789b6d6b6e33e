"""The working clock stops in breaks, at night, on weekends and holidays; compared with a clock that counts each minute."""

from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from functools import cache
from typing import NamedTuple

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.calendar import CALENDAR_V1, Calendar, for_office, sessions
from events.working_clock import after_working_time, closed_between, next_working_instant, working_time_between

WIB = timezone(timedelta(hours=7))
YEARS = range(2011, 2029)  # starts and ends lie before 2028
OFFICE = "367203"
DAY_MINUTES = 24 * 60


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=WIB)


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-11-25T09:00", "2026-11-25T09:00"),  # a Wednesday morning
        ("2026-11-25T06:00", "2026-11-25T07:30"),
        ("2026-11-25T12:00", "2026-11-25T12:00"),  # a closing instant is working
        ("2026-11-25T12:00:00.000001", "2026-11-25T13:00"),
        ("2026-11-25T16:00", "2026-11-25T16:00"),
        ("2026-11-25T16:01", "2026-11-26T07:30"),
        ("2026-11-27T11:45", "2026-11-27T13:00"),  # Friday's break begins at 11:30
        ("2026-11-27T16:30", "2026-11-27T16:30"),
        ("2026-11-27T16:31", "2026-11-30T07:30"),  # to Monday
        ("2026-11-28T10:00", "2026-11-30T07:30"),  # on a Saturday
        ("2016-07-01T16:31", "2016-07-11T07:30"),  # Lebaran 2016: closed from Saturday 2 July to Sunday 10 July
        ("2025-12-31T17:00", "2026-01-02T07:30"),  # New Year's Day was a Thursday
    ],
)
def test_the_next_working_instant_is_now_or_the_next_opening(instant: str, expected: str) -> None:
    assert next_working_instant(CALENDAR_V1, at(instant)) == at(expected)


@pytest.mark.parametrize(
    ("start", "hours", "expected"),
    [
        ("2026-11-25T08:00", 1, "2026-11-25T09:00"),
        ("2026-11-25T08:00", 4, "2026-11-25T12:00"),  # just done at the break: the closing time, not 13:00
        ("2026-11-25T07:30", 7.5, "2026-11-25T16:00"),  # just done at the end of the day: not the next morning
        ("2026-11-25T09:00", 7.5, "2026-11-26T09:00"),
        ("2026-11-25T12:30", 1, "2026-11-25T14:00"),  # begun in the break
        ("2026-11-25T16:00", 1, "2026-11-26T08:30"),  # begun at the closing instant
        ("2026-11-26T16:00", 7.5, "2026-11-27T16:30"),  # a whole Friday
        ("2026-11-27T11:00", 1, "2026-11-27T13:30"),  # over Friday's break
        ("2026-11-28T10:00", 7.5, "2026-11-30T16:00"),  # begun on a Saturday
        ("2016-07-01T15:00", 7.5, "2016-07-11T14:30"),  # over Lebaran 2016: 1.5 h before, 6 h after
        ("2025-12-31T15:30", 7.5, "2026-01-02T16:00"),  # over the year's end: 0.5 h, then 7 h of a Friday
        ("2026-11-23T07:30", 37.5, "2026-11-27T16:30"),  # a whole week
    ],
)
def test_working_time_passes_only_while_the_office_works(start: str, hours: float, expected: str) -> None:
    assert after_working_time(CALENDAR_V1, at(start), timedelta(hours=hours)) == at(expected)


def test_the_answer_is_in_the_zone_of_the_calendar() -> None:
    assert next_working_instant(CALENDAR_V1, at("2026-11-25T09:00")).tzinfo is CALENDAR_V1.zone


def test_working_time_does_not_run_backwards() -> None:
    with pytest.raises(AssertionError):
        after_working_time(CALENDAR_V1, at("2026-11-25T09:00"), timedelta(minutes=-1))


@pytest.mark.parametrize(
    ("start", "end", "hours"),
    [
        ("2026-11-25T07:30", "2026-11-25T16:00", 7.5),
        ("2026-11-25T11:00", "2026-11-25T12:30", 1),  # into the break
        ("2026-11-25T12:00", "2026-11-25T13:00", 0),  # the break
        ("2026-11-25T00:00", "2026-11-26T00:00", 7.5),
        ("2026-11-23T00:00", "2026-11-30T00:00", 37.5),  # a whole week
        ("2016-07-01T15:00", "2016-07-11T08:30", 2.5),  # over Lebaran 2016
        ("2025-12-31T15:30", "2026-01-02T08:00", 1),  # over the year's end
        ("2011-01-01T00:00", "2011-01-01T00:00", 0),
    ],
)
def test_working_time_between_two_instants_leaves_out_what_is_closed(start: str, end: str, hours: float) -> None:
    assert working_time_between(CALENDAR_V1, at(start), at(end)) == timedelta(hours=hours)


def test_closed_spans_are_breaks_nights_and_closed_days() -> None:
    assert closed_between(CALENDAR_V1, at("2026-11-27T11:00"), at("2026-11-30T12:30")) == [
        (at("2026-11-27T11:30"), at("2026-11-27T13:00")),
        (at("2026-11-27T16:30"), at("2026-11-30T07:30")),
        (at("2026-11-30T12:00"), at("2026-11-30T12:30")),
    ]
    assert closed_between(CALENDAR_V1, at("2026-11-27T07:30"), at("2026-11-27T11:30")) == []


@pytest.mark.parametrize("clock", [working_time_between, closed_between])
def test_nothing_lies_between_an_instant_and_an_earlier_one(clock: Callable[..., object]) -> None:
    with pytest.raises(AssertionError):
        clock(CALENDAR_V1, at("2026-11-25T09:00"), at("2026-11-25T08:59"))


@pytest.mark.parametrize(
    ("zone", "expected"),
    [("Asia/Jakarta", "09:30+07:00"), ("Asia/Makassar", "09:30+08:00"), ("Asia/Jayapura", "09:30+09:00")],
)
def test_an_office_opens_by_the_clock_on_its_own_wall(zone: str, expected: str) -> None:
    start = at("2026-11-23T00:00")  # midnight in WIB, some hours later in WITA and WIT: everywhere before the opening
    answer = after_working_time(in_zone(zone), start, timedelta(hours=2))
    assert answer.isoformat() == f"2026-11-23T{expected.replace('+', ':00+')}"


def in_zone(zone: str) -> Calendar:
    return Calendar.model_validate(CALENDAR_V1.model_dump() | {"zone": zone})


def own_sessions(day: date) -> list[tuple[str, str]] | None:
    """Where an office made up for these tests works in its own way: some 60 days a year, holidays among them."""
    if day.day == 13:
        return []
    if day.weekday() == 5 and day.day <= 7:
        return [("08:00", "11:00")]
    return [("09:00", "10:00"), ("10:30", "11:00"), ("20:00", "23:59")] if day.day in {1, 17, 25} else None


def usual_sessions(day: date) -> list[tuple[str, str]]:
    """The law's hours, told from Keppres 68/1995 and the holidays library."""
    if day in HOLIDAYS or day.weekday() > 4:
        return []
    return [("07:30", "11:30"), ("13:00", "16:30")] if day.weekday() == 4 else [("07:30", "12:00"), ("13:00", "16:00")]


FIRST_DAY = date(YEARS[0], 1, 1)
HOLIDAYS = holidays.country_holidays("ID", years=YEARS, categories=("public", "government"))
EVERY_DAY = [day for number in range(366 * len(YEARS)) if (day := FIRST_DAY + timedelta(number)).year in YEARS]
OWN_DAYS = {day: {"sessions": own, "why": "-"} for day in EVERY_DAY if (own := own_sessions(day)) is not None}
WITH_OWN_DAYS = Calendar.model_validate(CALENDAR_V1.model_dump() | {"offices": {OFFICE: OWN_DAYS}})


@cache
def minutes_worked(sessions: tuple[tuple[str, str], ...]) -> bytes:
    """For each minute of a day with these sessions, 1 when the office works in it."""
    clock = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in range(DAY_MINUTES)]
    return bytes(any(opens <= minute < closes for opens, closes in sessions) for minute in clock)


class World(NamedTuple):
    """A calendar, and every minute from 2011 on counted for it by itself."""

    calendar: Calendar
    zone: timezone
    worked: bytes

    def instant(self, minute: int) -> datetime:
        return datetime(YEARS[0], 1, 1, tzinfo=self.zone) + timedelta(minutes=minute)

    def after(self, start: int, working: int) -> int:
        """The same as after_working_time, by going through the minutes one by one."""
        minute = start
        if working == 0:
            while not (self.worked[minute] or self.worked[minute - 1]):  # within, or at the end of, a worked minute
                minute += 1
        while working:
            working -= self.worked[minute]
            minute += 1
        return minute


def zone(hours: int) -> timezone:
    return timezone(timedelta(hours=hours))


USUAL = b"".join(minutes_worked(tuple(usual_sessions(day))) for day in EVERY_DAY)
OWN = b"".join(
    minutes_worked(tuple(usual_sessions(day) if (own := own_sessions(day)) is None else own)) for day in EVERY_DAY
)
WORLDS = {
    "WIB": World(CALENDAR_V1, zone(7), USUAL),
    "WITA": World(in_zone("Asia/Makassar"), zone(8), USUAL),
    "WIT": World(in_zone("Asia/Jayapura"), zone(9), USUAL),
    "an office with days of its own": World(for_office(WITH_OWN_DAYS, OFFICE), zone(7), OWN),
    "an office without": World(for_office(WITH_OWN_DAYS, "367201"), zone(7), USUAL),
}

NAMES = st.sampled_from(sorted(WORLDS))
EDGES = sorted({60 * hour + half for hour in (7, 8, 9, 10, 11, 12, 13, 16, 20, 23) for half in (0, 30, 59)})
minutes_of_day = st.builds(int.__add__, st.sampled_from(EDGES), st.integers(-1, 1)) | st.integers(0, DAY_MINUTES - 1)
days = st.integers(0, (date(YEARS[-1], 1, 1) - FIRST_DAY).days - 1)
minutes = st.builds(lambda day, minute: day * DAY_MINUTES + minute, days, minutes_of_day)
stretches = st.sampled_from([0, 60, 90, 180, 210, 240, 270, 450, 900]) | st.integers(0, 3_000)
instants = st.datetimes(datetime(2011, 1, 1), datetime(2027, 12, 31), timezones=st.just(WIB))  # noqa: DTZ001
durations = st.timedeltas(timedelta(0), timedelta(days=2))
calendars = NAMES.map(lambda name: WORLDS[name].calendar)
until_settled = settings(deadline=None, max_examples=400)


@until_settled
@given(NAMES, minutes, stretches)
def test_the_due_instant_agrees_with_counting_every_minute(name: str, start: int, working: int) -> None:
    world = WORLDS[name]
    answer = after_working_time(world.calendar, world.instant(start), timedelta(minutes=working))
    assert answer == world.instant(world.after(start, working))


@until_settled
@given(NAMES, minutes, minutes | stretches)
def test_working_time_agrees_with_counting_every_minute(name: str, a: int, b: int) -> None:
    world, (start, end) = WORLDS[name], sorted((a, b))
    answer = working_time_between(world.calendar, world.instant(start), world.instant(end))
    assert answer == timedelta(minutes=world.worked.count(1, start, end))


@until_settled
@given(NAMES, minutes, stretches)
def test_closed_spans_are_the_minutes_in_which_nobody_works(name: str, start: int, length: int) -> None:
    world = WORLDS[name]
    found = closed_between(world.calendar, world.instant(start), world.instant(start + length))
    spans = [[(edge - world.instant(0)) // timedelta(minutes=1) for edge in span] for span in found]
    closed = [minute for begins, ends in spans for minute in range(begins, ends)]
    assert all(begins < ends for begins, ends in found)
    assert closed == [minute for minute in range(start, start + length) if not world.worked[minute]]


@until_settled
@given(calendars, instants, durations)
def test_the_time_worked_until_the_due_instant_is_the_time_asked_for(
    calendar: Calendar, start: datetime, working: timedelta
) -> None:
    answer = after_working_time(calendar, start, working)
    assert working_time_between(calendar, start, answer) == working
    assert any(opens <= answer <= closes for opens, closes in sessions(calendar, answer.date()))


@until_settled
@given(calendars, st.lists(instants, min_size=3, max_size=3))
def test_working_times_of_neighbouring_stretches_add_up(calendar: Calendar, edges: list[datetime]) -> None:
    a, b, c = sorted(edges)
    both = working_time_between(calendar, a, b) + working_time_between(calendar, b, c)
    assert both == working_time_between(calendar, a, c)
    assert sum((ends - begins for begins, ends in closed_between(calendar, a, c)), both) == c - a


@until_settled
@given(calendars, instants, instants, durations, durations)
def test_starting_later_or_needing_longer_never_ends_earlier(
    calendar: Calendar, a: datetime, b: datetime, short: timedelta, long: timedelta
) -> None:
    (a, b), (short, long) = sorted((a, b)), sorted((short, long))
    assert after_working_time(calendar, a, short) <= after_working_time(calendar, b, long)


@until_settled
@given(calendars, instants, durations, durations)
def test_two_stretches_of_work_take_as_long_as_both_together(
    calendar: Calendar, start: datetime, a: timedelta, b: timedelta
) -> None:
    after_both = after_working_time(calendar, after_working_time(calendar, start, a), b)
    assert after_both == after_working_time(calendar, start, a + b)
