"""When each target is due, and what is promised at the desk."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from events.calendar import CALENDAR_V1, sessions
from events.standard import STANDARD_V1, Standard, TargetName, due, promised


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CALENDAR_V1.zone)


@pytest.mark.parametrize(
    ("name", "started", "expected"),
    [
        ("recording", "2026-11-25T09:00", "2026-11-26T09:00"),
        ("queueing", "2026-11-25T07:30", "2026-11-25T16:00"),  # a closing time is not the next opening
        ("printing", "2016-07-01T15:00", "2016-07-11T14:30"),  # Lebaran does not count
        ("issuance", "2016-07-01T15:00", "2016-07-02T15:00"),  # the law's 24 hours do not stop for it
        ("collection", "2026-11-25T12:30", "2026-12-25T12:30"),
    ],
)
def test_a_target_is_due_when_its_clock_has_run_its_limit(name: TargetName, started: str, expected: str) -> None:
    assert due(STANDARD_V1.target(name), CALENDAR_V1, at(started)) == at(expected)


@pytest.mark.parametrize("name", ["recording", "issuance"])
def test_a_due_instant_is_in_the_zone_of_the_calendar_whatever_the_zone_of_the_start(name: TargetName) -> None:
    start = at("2026-11-25T09:00").astimezone(UTC)
    assert due(STANDARD_V1.target(name), CALENDAR_V1, start).isoformat() == "2026-11-26T09:00:00+07:00"


@pytest.mark.parametrize(
    ("submitted", "expected"),
    [
        ("2026-11-24T08:00", "2026-11-25T08:00"),
        ("2026-11-24T12:00", "2026-11-25T12:00"),  # a closing instant is working
        ("2026-11-24T12:01", "2026-11-25T13:00"),
        ("2026-11-24T16:01", "2026-11-26T07:30"),
        ("2026-11-26T12:00", "2026-11-27T13:00"),  # noon on Friday lies in its break
        ("2026-11-27T10:00", "2026-11-30T07:30"),  # Saturday is closed
        ("2016-07-01T10:00", "2016-07-11T07:30"),  # Lebaran 2016
        ("2025-12-31T10:00", "2026-01-02T07:30"),  # New Year's Day
    ],
)
def test_the_card_is_promised_for_the_first_working_instant_after_24_hours(submitted: str, expected: str) -> None:
    assert promised(STANDARD_V1, CALENDAR_V1, at(submitted)) == at(expected)


@settings(deadline=None)
@given(st.datetimes(datetime(2011, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001
def test_between_24_hours_and_the_promise_the_office_never_works(submitted: datetime) -> None:
    issuance_due, promise = submitted + timedelta(hours=24), promised(STANDARD_V1, CALENDAR_V1, submitted)
    days = ((issuance_due.astimezone(CALENDAR_V1.zone) + timedelta(day)).date() for day in range(30))
    ahead = [(opens, closes) for day in days for opens, closes in sessions(CALENDAR_V1, day) if closes >= issuance_due]
    assert promise == max(issuance_due, ahead[0][0])


def test_only_collection_is_no_breach_of_the_office() -> None:
    assert [target.name for target in STANDARD_V1.targets if not target.is_breach] == ["collection"]


def test_a_standard_comes_back_from_its_json_as_the_same_value() -> None:
    assert Standard.model_validate_json(STANDARD_V1.model_dump_json()) == STANDARD_V1


V1 = STANDARD_V1.model_dump()


@pytest.mark.parametrize(
    "change",
    [
        {"fee_rupiah": 5000},
        {"targets": V1["targets"][1:]},
        {"targets": V1["targets"] + V1["targets"][:1]},
        {"targets": (V1["targets"][0] | {"limit": timedelta(0)}, *V1["targets"][1:])},
        {"targets": (V1["targets"][0] | {"fee": 5000}, *V1["targets"][1:])},
    ],
    ids=["a fee", "a target missing", "a target twice", "no time at all", "an unknown field"],
)
def test_a_standard_that_breaks_the_law_or_makes_no_sense_is_refused(change: dict[str, object]) -> None:
    assert Standard.model_validate(V1) == STANDARD_V1
    with pytest.raises(ValidationError):
        Standard.model_validate(V1 | change)


def test_a_standard_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        STANDARD_V1.version = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        STANDARD_V1.targets[0].limit = timedelta(days=99)  # type: ignore[misc]
