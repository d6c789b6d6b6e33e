"""The packaged calendar is what the law and the holidays library say, and cannot be changed or be nonsense."""

import json
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from typing import Any

import holidays
import pytest
from pydantic import ValidationError

from events.calendar import CALENDAR_V1, Calendar, for_office, is_provisional, local, sessions

YEARS = range(2011, 2031)
OFFICE_DAY = [["07:30", "12:00"], ["13:00", "16:00"]]
FRIDAY = [["07:30", "11:30"], ["13:00", "16:30"]]


def version_1() -> dict[str, Any]:
    """How events/calendar_v1.json was made. What the library learns later belongs in a later version, not in this one."""
    joint_leave = holidays.country_holidays("ID", years=YEARS, categories="government", language="id")
    every = holidays.country_holidays("ID", years=YEARS, categories=("public", "government"), language="id")
    decreed = {day.year for day in joint_leave} - {day.year for day, name in every.items() if "(perkiraan)" in name}
    return {
        "version": 1,
        "zone": "Asia/Jakarta",
        "weekly": [OFFICE_DAY] * 4 + [FRIDAY, [], []],
        "provisional": sorted(set(YEARS) - decreed),
        "closed": {day.isoformat(): name for day, name in sorted(every.items())},
    }


FLOOD, ELECTION, LEBARAN = date(2026, 11, 25), date(2026, 11, 28), date(2016, 7, 6)
OWN_DAYS = {
    FLOOD.isoformat(): {"sessions": [], "why": "Banjir"},
    ELECTION.isoformat(): {"sessions": [["08:00", "11:00"]], "why": "Perekaman menjelang pemilihan"},  # a Saturday
    LEBARAN.isoformat(): {"sessions": OFFICE_DAY, "why": "Piket Lebaran"},
}
WITH_OWN_DAYS = Calendar.model_validate_json(json.dumps(version_1() | {"offices": {"367203": OWN_DAYS, "367204": {}}}))


def test_an_office_may_close_open_or_work_other_hours_on_days_of_its_own() -> None:
    office = for_office(WITH_OWN_DAYS, "367203")
    hours = [[(opens.hour, closes.hour) for opens, closes in sessions(office, day)] for day in (FLOOD, ELECTION, LEBARAN)]
    assert hours == [[], [(8, 11)], [(7, 12), (13, 16)]]
    monday = date(2026, 11, 23)
    assert sessions(office, monday) == sessions(CALENDAR_V1, monday)


@pytest.mark.parametrize("other", ["367201", "367204"])
def test_the_days_of_one_office_are_not_those_of_another(other: str) -> None:
    for_office(WITH_OWN_DAYS, "367203")
    office = for_office(WITH_OWN_DAYS, other)
    assert [bool(sessions(office, day)) for day in (FLOOD, ELECTION, LEBARAN)] == [True, False, False]


def test_a_calendar_with_days_of_an_office_comes_back_from_its_json_and_cannot_be_changed() -> None:
    assert Calendar.model_validate_json(WITH_OWN_DAYS.model_dump_json()) == WITH_OWN_DAYS != CALENDAR_V1
    with pytest.raises(TypeError):
        WITH_OWN_DAYS.offices["367203"][FLOOD] = None  # type: ignore[index]


def test_the_packaged_file_is_what_the_holidays_library_says() -> None:
    assert json.loads(files("events").joinpath("calendar_v1.json").read_bytes()) == version_1()


def test_a_full_week_has_37_and_a_half_working_hours() -> None:
    monday = date(2026, 11, 23)
    hours = [closes - opens for day in range(7) for opens, closes in sessions(CALENDAR_V1, monday + timedelta(day))]
    assert sum(hours, timedelta(0)) == timedelta(hours=37.5)


def test_friday_has_a_longer_break_and_a_later_end() -> None:
    assert [f"{opens.isoformat()} {closes:%H:%M}" for opens, closes in sessions(CALENDAR_V1, date(2026, 11, 27))] == [
        "2026-11-27T07:30:00+07:00 11:30",
        "2026-11-27T13:00:00+07:00 16:30",
    ]


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ("2016-07-06", "Hari Raya Idul Fitri"),
        ("2016-07-08", "Cuti Bersama Hari Raya Idul Fitri"),
        ("2026-08-17", "Hari Kemerdekaan Republik Indonesia"),
        ("2028-02-28", "Hari kedua dari Hari Raya Idul Fitri (perkiraan)"),
    ],
)
def test_a_public_holiday_or_joint_leave_is_closed_and_has_a_name(day: str, why: str) -> None:
    assert CALENDAR_V1.closed[date.fromisoformat(day)] == why
    assert sessions(CALENDAR_V1, date.fromisoformat(day)) == ()


def test_years_without_decreed_days_and_years_beyond_the_file_are_provisional() -> None:
    assert [year for year in range(2009, 2033) if is_provisional(CALENDAR_V1, year)] == [2009, 2010, *range(2027, 2033)]


def test_beyond_the_file_only_weekends_are_closed() -> None:
    new_year_2031 = date(2031, 1, 1)  # a Wednesday
    worked = [bool(sessions(CALENDAR_V1, new_year_2031 + timedelta(day))) for day in range(7)]
    assert worked == [True, True, True, False, False, True, True]


def test_a_calendar_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        CALENDAR_V1.version = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        CALENDAR_V1.closed[date(2026, 11, 23)] = "Hari libur"  # type: ignore[index]


def test_a_calendar_comes_back_from_its_json_as_the_same_value() -> None:
    again = Calendar.model_validate_json(CALENDAR_V1.model_dump_json())
    assert again == CALENDAR_V1
    assert hash(again) == hash(CALENDAR_V1)


@pytest.mark.parametrize(
    "weekly",
    [
        [OFFICE_DAY] * 6,
        [[]] * 7,
        [[["12:00", "07:30"]]] * 7,
        [[["07:30", "12:00"], ["11:00", "16:00"]]] * 7,
        [[["13:00", "16:00"], ["07:30", "12:00"]]] * 7,
        [[["07:30+07:00", "12:00+07:00"]]] * 7,
    ],
    ids=["six days", "never open", "closes first", "overlap", "afternoon first", "with an offset"],
)
def test_a_week_that_makes_no_sense_is_refused(weekly: list[object]) -> None:
    with pytest.raises(ValidationError):
        Calendar.model_validate_json(json.dumps(version_1() | {"weekly": weekly}))


@pytest.mark.parametrize(
    "change",
    [
        {"offices": {"367203": {"2026-11-25": {"sessions": [["12:00", "07:30"]], "why": "-"}}}},
        {"offices": {"367203": {"25-11-2026": {"sessions": [], "why": "-"}}}},
        {"offices": {"367203": {"2026-11-25": {"sessions": []}}}},
        {"zone": "Europe/Berlin"},  # its summer time would not agree with the clock on the wall
        {"office": "367203"},
    ],
    ids=["closes first", "no date", "no reason", "summer time", "of one office"],
)
def test_a_calendar_that_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Calendar.model_validate_json(json.dumps(version_1() | change))


def test_two_calendars_of_the_same_version_keep_their_own_days() -> None:
    monday = date(2026, 11, 23)
    other = Calendar.model_validate_json(json.dumps(version_1() | {"closed": {monday.isoformat(): "Pemilihan"}}))
    assert [bool(sessions(calendar, monday)) for calendar in (CALENDAR_V1, other)] == [True, False]


def test_an_instant_is_told_in_the_zone_of_the_calendar_and_one_without_offset_is_our_mistake() -> None:
    assert local(CALENDAR_V1, datetime(2026, 11, 23, 18, 30, tzinfo=UTC)).isoformat() == "2026-11-24T01:30:00+07:00"
    with pytest.raises(AssertionError):
        local(CALENDAR_V1, datetime(2026, 11, 23, 18, 30))  # noqa: DTZ001
