"""The working clock stops in breaks, at night, on weekends and holidays; compared with a clock that counts each minute."""

from datetime import date, datetime, timedelta, timezone

import holidays
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.calendar import CALENDAR_V1, sessions
from events.working_clock import after_working_time, next_working_instant

WIB = timezone(timedelta(hours=7))
YEARS = range(2011, 2029)  # starts lie before 2028
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


def every_minute() -> bytes:
    """For each minute from 2011 on, 1 when the office works in it: told from the law's hours and the holidays library."""
    closed = holidays.country_holidays("ID", years=YEARS, categories=("public", "government"))

    def works(weekday: int, minute: int) -> bool:
        clock = f"{minute // 60:02d}:{minute % 60:02d}"
        if weekday == 4:
            return "07:30" <= clock < "11:30" or "13:00" <= clock < "16:30"
        return weekday < 4 and ("07:30" <= clock < "12:00" or "13:00" <= clock < "16:00")

    week = [bytes(works(weekday, minute) for minute in range(DAY_MINUTES)) for weekday in range(7)]
    first, last = date(YEARS[0], 1, 1).toordinal(), date(YEARS[-1], 12, 31).toordinal()
    days = map(date.fromordinal, range(first, last + 1))
    return b"".join(bytes(DAY_MINUTES) if day in closed else week[day.weekday()] for day in days)


WORKED = every_minute()
EPOCH = datetime(YEARS[0], 1, 1, tzinfo=WIB)
LAST_DAY = date(YEARS[-1], 1, 1).toordinal() - EPOCH.toordinal() - 1


def oracle(start: int, working: int) -> int:
    """The same as after_working_time in minutes since EPOCH, by going through them one by one."""
    minute = start
    if working == 0:
        while not (WORKED[minute] or WORKED[minute - 1]):  # within, or at the end of, a worked minute
            minute += 1
    while working:
        working -= WORKED[minute]
        minute += 1
    return minute


edges = st.builds(int.__add__, st.sampled_from([450, 690, 720, 780, 960, 990]), st.integers(-1, 1))
minutes_of_day = edges | st.integers(0, DAY_MINUTES - 1)
start_minutes = st.builds(lambda day, minute: day * DAY_MINUTES + minute, st.integers(0, LAST_DAY), minutes_of_day)
working_minutes = st.sampled_from([0, 180, 210, 240, 270, 450, 900]) | st.integers(0, 3_000)
instants = st.datetimes(datetime(2011, 1, 1), datetime(2027, 12, 31), timezones=st.just(WIB))  # noqa: DTZ001
durations = st.timedeltas(timedelta(0), timedelta(days=2))


@settings(deadline=None, max_examples=400)
@given(start_minutes, working_minutes)
def test_it_agrees_with_counting_every_minute(start: int, working: int) -> None:
    answer = after_working_time(CALENDAR_V1, EPOCH + timedelta(minutes=start), timedelta(minutes=working))
    assert answer == EPOCH + timedelta(minutes=oracle(start, working))


@settings(deadline=None)
@given(instants, instants, durations, durations)
def test_starting_later_or_needing_longer_never_ends_earlier(
    a: datetime, b: datetime, short: timedelta, long: timedelta
) -> None:
    (a, b), (short, long) = sorted((a, b)), sorted((short, long))
    assert after_working_time(CALENDAR_V1, a, short) <= after_working_time(CALENDAR_V1, b, long)


@settings(deadline=None)
@given(instants, durations)
def test_the_answer_lies_within_a_session_and_not_before_the_start(start: datetime, working: timedelta) -> None:
    answer = after_working_time(CALENDAR_V1, start, working)
    assert answer >= start + working
    assert any(opens <= answer <= closes for opens, closes in sessions(CALENDAR_V1, answer.date()))


@settings(deadline=None)
@given(instants, durations, durations)
def test_two_stretches_of_work_take_as_long_as_both_together(start: datetime, a: timedelta, b: timedelta) -> None:
    after_both = after_working_time(CALENDAR_V1, after_working_time(CALENDAR_V1, start, a), b)
    assert after_both == after_working_time(CALENDAR_V1, start, a + b)
