"""Which standard and calendar were in force when, and which new version may be set."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from events.calendar import CALENDAR_V1, Calendar
from events.envelope import Event, decode, encode, stamp
from events.fact import split
from events.offices import BACKBONE_ID, UnknownOffice
from events.problem import Problem
from events.rules import CalendarSet, Rulebook, RuleFact, StandardSet, evolve, in_force
from events.standard import STANDARD_V1, Standard
from services.rules import (
    CALENDAR_SUBJECT,
    STANDARD_SUBJECT,
    FeeMustBeZero,
    InvalidCalendar,
    InvalidStandard,
    ValidFromInThePast,
    decide_set,
    read_calendar,
    read_standard,
)
from tests.applications import NOW, OFFICE, at

SHOWN: dict[str, Any] = CALENDAR_V1.model_dump(mode="json")
SHOWN_STANDARD: dict[str, Any] = STANDARD_V1.model_dump(mode="json")
NEW_YEAR, NEW_YEARS_EVE = at("2027-01-01T00:00"), at("2026-12-31T23:59:59.999999")
AN_HOUR = timedelta(hours=1)


def flooded(day: str = "2026-12-01") -> dict[str, Any]:
    """The file of a calendar in which one office is closed on that day."""
    return SHOWN | {"offices": {OFFICE: {day: {"sessions": [], "why": "Banjir"}}}}


def slower(days: int = 2) -> dict[str, Any]:
    """The file of a standard with so many days for issuance."""
    targets = [dict(target) for target in SHOWN_STANDARD["targets"]]
    next(target for target in targets if target["name"] == "issuance")["limit"] = f"P{days}D"
    return SHOWN_STANDARD | {"targets": targets}


FLOODED, SLOWER = read_calendar(flooded()), read_standard(slower())


def calendar(version: int, valid_from: datetime, day: str = "2026-12-01") -> CalendarSet:
    return CalendarSet(calendar=flooded(day) | {"version": version}, valid_from=valid_from)


def standard(version: int, valid_from: datetime, days: int = 2) -> StandardSet:
    return StandardSet(standard=slower(days) | {"version": version}, valid_from=valid_from)


class given:
    """given(*versions).when(asked, valid_from).then(fact): reads as a sentence."""

    def __init__(self, *history: RuleFact) -> None:
        self.rulebook = reduce(evolve, history, Rulebook())

    def when(self, asked: Calendar | Standard, valid_from: datetime = NOW, now: datetime = NOW) -> "given":
        self.outcome: list[RuleFact] | Problem
        try:
            self.outcome = decide_set(asked, self.rulebook, valid_from, now)
        except Problem as refusal:
            self.outcome = refusal
        return self

    def then(self, *facts: RuleFact) -> None:
        assert self.outcome == list(facts)
        reduce(evolve, facts, self.rulebook)

    def then_refused(self, kind: type[Problem], **figures: object) -> None:
        assert (type(self.outcome), vars(self.outcome)) == (kind, figures)


def in_force_at(instant: datetime, *history: RuleFact) -> tuple[int, int]:
    """Versions of calendar and standard."""
    rulebook = reduce(evolve, history, Rulebook())
    return in_force(rulebook.calendars, instant).version, in_force(rulebook.standards, instant).version


@pytest.mark.parametrize("instant", [datetime.min.replace(tzinfo=UTC), at("2011-09-01T08:00"), NOW])
def test_version_1_holds_from_the_beginning_of_time(instant: datetime) -> None:
    assert in_force_at(instant) == (1, 1)


def test_a_version_holds_from_its_instant_on_and_not_before() -> None:
    history = calendar(2, NOW), standard(2, NEW_YEAR), calendar(3, NEW_YEAR, "2027-02-01")
    assert in_force_at(NOW - timedelta(microseconds=1), *history) == (1, 1)
    assert in_force_at(NOW.astimezone(UTC), *history) == (2, 1)
    assert in_force_at(NEW_YEARS_EVE, *history) == (2, 1)
    assert in_force_at(NEW_YEAR, *history) == (3, 2)


@pytest.mark.parametrize("sooner", [NEW_YEAR, NEW_YEAR - AN_HOUR])
def test_a_version_takes_the_place_of_one_that_was_to_hold_only_then_or_later(sooner: datetime) -> None:
    history = standard(2, NEW_YEAR, 2), standard(3, sooner, 3)
    assert in_force_at(sooner - AN_HOUR, *history) == (1, 1)
    assert in_force_at(sooner, *history) == in_force_at(NEW_YEAR + AN_HOUR, *history) == (1, 3)


def test_setting_gives_the_next_number_whatever_the_file_says() -> None:
    given().when(FLOODED).then(calendar(2, NOW))
    given(calendar(2, NOW)).when(read_calendar(flooded("2026-12-02") | {"version": 1})).then(calendar(3, NOW, "2026-12-02"))
    given(calendar(2, NOW)).when(SLOWER, NEW_YEAR).then(standard(2, NEW_YEAR))


def test_what_holds_already_is_not_set_again() -> None:
    given().when(read_calendar(SHOWN)).then()
    given().when(STANDARD_V1).then()
    given(calendar(2, NOW)).when(FLOODED, now=NOW + AN_HOUR).then()  # the very same request, an hour later
    given(standard(2, NEW_YEAR)).when(SLOWER, NEW_YEAR + AN_HOUR).then()


def test_the_same_content_from_an_earlier_instant_on_or_after_another_is_a_new_version() -> None:
    given(standard(2, NEW_YEAR)).when(SLOWER, NEW_YEAR - AN_HOUR).then(standard(3, NEW_YEAR - AN_HOUR))
    given(standard(2, NOW), standard(3, NEW_YEAR, 3)).when(SLOWER, NOW).then(standard(4, NOW))
    given(standard(2, NOW)).when(STANDARD_V1, NEW_YEAR).then(
        StandardSet(standard=SHOWN_STANDARD | {"version": 3}, valid_from=NEW_YEAR)
    )


def test_a_version_does_not_hold_before_it_is_set() -> None:
    before = NOW - timedelta(microseconds=1)
    given().when(FLOODED, before).then_refused(ValidFromInThePast, valid_from=before, now=NOW)
    given().when(SLOWER, before).then_refused(ValidFromInThePast, valid_from=before, now=NOW)


@pytest.mark.parametrize("fee", [5000, -1, "5000", None])
def test_a_fee_is_refused(fee: object) -> None:
    with pytest.raises(FeeMustBeZero):
        read_standard(slower() | {"fee_rupiah": fee})


def test_a_standard_whose_target_could_not_be_met_is_refused_and_the_place_is_named() -> None:
    targets = SHOWN_STANDARD["targets"]
    for change in ({"from_stage": "recorded"}, {"from_stage": "cancelled"}, {"to_stage": "cancelled"}):
        with pytest.raises(InvalidStandard, match="does not come after"):
            read_standard({"targets": [targets[0] | change, *targets[1:]]})
    with pytest.raises(InvalidStandard, match="/targets/0/limit"):
        read_standard({"targets": [targets[0] | {"limit": "P367D"}, *targets[1:]]})


def test_a_calendar_that_is_none_is_refused_and_the_place_is_named() -> None:
    with pytest.raises(InvalidCalendar, match=f"/offices/{OFFICE}/1 December"):
        read_calendar(flooded("1 December"))
    with pytest.raises(InvalidCalendar, match="/zone"):
        read_calendar(SHOWN | {"zone": "Europe/Berlin"})
    with pytest.raises(InvalidCalendar, match="/opened"):
        read_calendar(SHOWN | {"opened": []})


def test_the_days_of_an_office_that_is_not_ours_are_refused() -> None:
    with pytest.raises(UnknownOffice):
        read_calendar(SHOWN | {"offices": {"327301": {}}})


def test_a_version_that_this_reader_knows_less_of_is_not_read() -> None:
    with pytest.raises(ValueError, match="opened"):
        CalendarSet(calendar=flooded() | {"version": 2, "opened": {}}, valid_from=NOW)


@pytest.mark.parametrize(
    ("fact", "subject"),
    [(calendar(2, NOW), CALENDAR_SUBJECT), (standard(2, NOW), STANDARD_SUBJECT)],
    ids=["calendar", "standard"],
)
def test_a_version_belongs_to_the_backbone_and_comes_back_from_its_one_message(fact: RuleFact, subject: str) -> None:
    event = Event(id="e", place=BACKBONE_ID, entity_id="base", version=1, occurred=NOW, fact=fact)
    assert event.subject == subject
    assert decode(stamp([encode(event, split(fact)[0])], NOW)[0], 1).fact == fact


moments = st.integers(0, 6).map(lambda hours: NOW + hours * AN_HOUR)


@settings(deadline=None)
@given_any(st.lists(st.tuples(moments, moments, st.integers(1, 3)), max_size=8))
def test_whatever_is_set_later_what_has_started_is_judged_as_before(asked: list[tuple[datetime, datetime, int]]) -> None:
    rulebook = Rulebook()
    for now, valid_from, days in sorted(asked, key=lambda one: one[0]):
        started = now - timedelta(microseconds=1)
        judged_by = in_force(rulebook.standards, started)
        wanted = read_standard(slower(days))
        try:
            rulebook = reduce(evolve, decide_set(wanted, rulebook, valid_from, now), rulebook)
        except ValidFromInThePast:
            assert valid_from < now
            continue
        assert in_force(rulebook.standards, started) == judged_by
        assert in_force(rulebook.standards, valid_from).target("issuance") == wanted.target("issuance")
        assert decide_set(wanted, rulebook, valid_from, now) == []
