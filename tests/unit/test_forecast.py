"""When a card may be expected: what follows from an office's pace, from a case's age and from its place in the queue."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from events.application import ApplicationFact
from events.calendar import CALENDAR_V1
from events.envelope import Event
from events.stages import ORDER, Stage
from events.working_clock import next_working_instant
from infra.database import scratch_database
from projections import status
from projections.forecast import (
    LEAST_DAYS,
    LEAST_MOVES,
    Forecast,
    Office,
    Stay,
    by_place,
    expected,
    forecast,
    in_order,
    leaving,
    one_after_the_other,
)
from services.register.sample import cilegon
from tests.applications import CANCELLED, COLLECTED, OFFICE, PRINTED, QUEUED, RECORDED, SUBMITTED, at, back_to

FIRST, END = 100, 140  # the days that are looked at; a case can have come long before


def queue(*stays: Stay) -> Office:
    return Office(FIRST, END, {Stage.QUEUED: list(stays)})


def first_day(chances: Iterable[float], share: float) -> int:
    """On which day ahead, from 1, that share is reached."""
    return next(day for day, chance in enumerate(chances, 1) if chance >= share)


def one_each_day(days_waited: int) -> list[Stay]:
    """Every day one card is printed, of who came so many days earlier; those who came later wait."""
    printed = [Stay(day - days_waited, day) for day in range(FIRST, END)]
    return printed + [Stay(day, None) for day in range(END - days_waited, END)]


def test_where_each_waits_three_days_a_new_case_leaves_on_the_fourth_day_and_an_older_one_sooner() -> None:
    office = queue(*one_each_day(3))
    for age in range(4):
        by_then = accumulate(leaving(office, Stage.QUEUED, age))
        assert first_day(by_then, 0.9) == 4 - age


def test_those_who_still_wait_make_it_later() -> None:
    printed = [Stay(day - 1, day, 10) for day in range(FIRST, END)]
    alone = leaving(queue(*printed), Stage.QUEUED, 0)
    with_others = leaving(queue(*printed, Stay(FIRST, None, 100)), Stage.QUEUED, 1)
    assert 0.95 < alone[1] < 1
    assert 0 < with_others[0] < 0.95


def test_what_was_before_the_days_looked_at_does_not_count() -> None:
    stays = one_each_day(3)
    assert leaving(queue(*stays, Stay(50, 99, 1_000)), Stage.QUEUED, 0) == leaving(queue(*stays), Stage.QUEUED, 0)


@given(
    st.lists(st.tuples(st.integers(0, END), st.integers(0, 60) | st.none(), st.integers(1, 50)), max_size=30),
    st.integers(0, 300),
)
def test_whatever_happened_the_chances_of_leaving_are_chances(moves: list[tuple[int, int | None, int]], age: int) -> None:
    stays = [Stay(came, None if stayed is None else max(came + stayed, FIRST), cases) for came, stayed, cases in moves]
    chances = leaving(queue(*stays), Stage.QUEUED, age)
    assert all(0 <= chance <= 1 for chance in chances)
    assert sum(chances) <= 1 + 1e-9


def test_two_stages_take_as_long_as_both() -> None:
    assert one_after_the_other([0, 0.5, 0.5, 0, 0], [0.5, 0, 0.5, 0, 0]) == [0, 0.25, 0.25, 0.25, 0.25]


def test_a_place_counts_by_the_pace_and_blank_days_count() -> None:
    steady, every_other = [10] * 4, [10, 0] * 2
    assert [first_day(by_place(steady, place), 1) for place in (1, 10, 11, 40, 41)] == [1, 1, 2, 4, 5]
    assert [first_day(by_place(every_other, place), 1) for place in (1, 10, 11, 21)] == [2, 2, 4, 6]
    assert by_place(every_other, 10)[0] == 0.5  # half of the days are good ones to stand there


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40).filter(any), st.integers(1, 400))
def test_who_stands_further_back_comes_no_sooner(prints: list[int], place: int) -> None:
    here, behind = by_place(prints, place), by_place(prints, place + 1)
    assert here == sorted(here)
    assert all(later <= sooner for sooner, later in zip(here, behind, strict=True))


def test_an_office_prints_in_order_where_nine_in_ten_of_those_who_wait_came_after_those_printed() -> None:
    printed = [Stay(day, day + 5, 4) for day in range(FIRST, END)]
    assert in_order(printed)
    assert in_order([*printed, Stay(0, None, 10), Stay(130, None, 90), Stay(131, None, 1)])
    assert not in_order([*printed, Stay(0, None, 11), Stay(130, None, 90)])


def test_in_an_office_that_prints_in_order_a_long_queue_counts_and_in_another_it_does_not() -> None:
    printed = [Stay(day - 3, day, 10) for day in range(FIRST, END)]
    lately = [Stay(END - 1, None, 400)]
    assert first_day(expected(queue(*printed, *lately), Stage.QUEUED, END - 1, 395) or [], 0.9) == 40
    for_years = [Stay(0, None, 100)]
    assert first_day(expected(queue(*printed, *lately, *for_years), Stage.QUEUED, END - 1, 495) or [], 0.9) == 3


def working_days(count: int) -> list[datetime]:
    """Ten o'clock on each."""
    days = (at("2026-01-05T10:00") + timedelta(days=number) for number in range(count * 2))
    return [day for day in days if CALENDAR_V1.on(day.date())][:count]


DAYS = working_days(60)
STEPS = (SUBMITTED, RECORDED, QUEUED, PRINTED)


def history(days: list[datetime], no_blanks_from: int = 99) -> Iterator[Event]:
    """Each day three cases are submitted, and each case takes its next step on the next day, while there are blank cards."""
    for number, now in enumerate(days):
        for step, fact in enumerate(STEPS[: number + 1]):
            if fact is not PRINTED or number < no_blanks_from:
                for case in (f"{number - step}{letter}" for letter in "abc"):
                    said = fact.model_copy(update={"receipt": case}) if fact is SUBMITTED else fact
                    yield Event(f"{case} {step}", OFFICE, case, step + 1, now, said, recorded=now)


def view(events: Iterable[Event]) -> sa.Engine:
    engine = scratch_database()
    status.TABLES.create_all(engine)
    with engine.begin() as db:
        status.apply(db, [event._replace(seq=seq) for seq, event in enumerate(events, 1)])
    return engine


def asked(engine: sa.Engine, receipt: str, now: datetime) -> Forecast | None:
    """The forecast for this case as it stands in the view."""
    with engine.connect() as db:
        found = status.status(db, receipt)
        assert found is not None
        place = found.place and found.place[0]
        return forecast(db, CALENDAR_V1, now, found.office, found.stage, found.since, place)


def day(number: int) -> object:
    """The date of a working day after the last of DAYS, from 1."""
    return working_days(len(DAYS) + number)[-1].date()


@pytest.fixture(scope="module")
def steady() -> sa.Engine:
    return view(history(DAYS))


def test_each_stage_takes_its_usual_time_on_the_way_to_the_print(steady: sa.Engine) -> None:
    now = DAYS[-1] + timedelta(hours=1)
    for receipt, days in (("57a", 1), ("58a", 2), ("59a", 3)):  # queued, recorded and submitted this morning
        found = asked(steady, receipt, now)
        assert found is not None
        assert [each.date() for each in found] == [day(days)] * 2


def test_a_card_that_is_expected_today_is_expected_in_what_is_left_of_the_day(steady: sa.Engine) -> None:
    for time in ("08:00", "15:00"):
        now = at(f"{day(1)}T{time}")  # the day after it was queued
        found = asked(steady, "57a", now)
        assert found is not None
        assert now < found.p50 < found.p90 <= at(f"{day(1)}T16:30")  # a Friday


def test_a_wait_counts_from_the_last_time_that_a_case_was_queued() -> None:
    """Each was sent back once, and printed on the day after it was queued again."""
    waits = [back_to(Stage.RECORDED), QUEUED]
    events = list[Event]()
    for number in range(len(DAYS) - 9):
        case, facts = f"{number}a", [SUBMITTED, RECORDED, QUEUED, *waits, PRINTED]
        for step, (fact, later) in enumerate(zip(facts, (0, 1, 2, 7, 8, 9), strict=True)):
            said = fact.model_copy(update={"receipt": case}) if fact is SUBMITTED else fact
            events.append(Event(f"{case} {step}", OFFICE, case, step + 1, DAYS[number + later], said, recorded=DAYS[0]))
    new = [
        Event(f"new {step}", OFFICE, "new", step + 1, DAYS[-1], fact, recorded=DAYS[0])
        for step, fact in enumerate(STEPS[:3])
    ]
    new[0] = new[0]._replace(fact=SUBMITTED.model_copy(update={"receipt": "new"}))
    found = asked(view([*events, *new]), "new", DAYS[-1] + timedelta(hours=1))
    assert found is not None
    assert found.p50.date() == day(1)


@pytest.mark.parametrize("fact", [PRINTED, COLLECTED, CANCELLED])
def test_nothing_is_forecast_of_a_case_that_has_its_card_or_ended(fact: ApplicationFact) -> None:
    case = [SUBMITTED.model_copy(update={"receipt": "done"}), RECORDED, QUEUED, fact]
    events = [
        Event(f"done {step}", OFFICE, "done", step, DAYS[-1], each, recorded=DAYS[-1]) for step, each in enumerate(case)
    ]
    assert asked(view([*history(DAYS), *events[:3]]), "done", DAYS[-1]) is not None
    assert asked(view([*history(DAYS), *events]), "done", DAYS[-1]) is None


def test_a_new_office_forecasts_after_five_days_of_printing() -> None:
    first_print = 3
    for number in (first_print + LEAST_DAYS - 1, first_print + LEAST_DAYS):
        found = asked(view(history(DAYS[: number + 1])), f"{number - 2}a", DAYS[number])
        assert (found is not None) == (number == first_print + LEAST_DAYS)


def test_at_least_ten_cases_must_have_left_each_stage_ahead() -> None:
    enough, too_few = ([Stay(day - 1, day) for day in range(END - cases, END)] for cases in (LEAST_MOVES, LEAST_MOVES - 1))
    for recorded, queued in ((enough, enough), (too_few, enough), (enough, too_few)):
        office = Office(FIRST, END, {Stage.RECORDED: recorded, Stage.QUEUED: queued})
        assert (expected(office, Stage.RECORDED, END, None) is None) == (too_few in (recorded, queued))
    assert expected(queue(*enough), Stage.QUEUED, END, 1) is not None  # the earlier stages are behind it


def test_without_blank_cards_the_forecast_moves_away_and_in_the_end_there_is_none() -> None:
    left = list[timedelta]()
    for number in (31, 33, 34, 35):
        found = asked(view(history(DAYS[:number], no_blanks_from=30)), f"{number - 3}a", DAYS[number - 1])
        assert found is not None
        left.append(found.p90 - DAYS[number - 1])
    assert left == sorted(set(left))
    long = working_days(40)
    assert asked(view(history(long, no_blanks_from=30)), f"{len(long) - 3}a", long[-1]) is None


@given(minutes=st.integers(0, 4 * 24 * 60), number=st.integers(57, 59))
def test_a_forecast_is_a_working_instant_that_has_not_passed(steady: sa.Engine, minutes: int, number: int) -> None:
    now = DAYS[-1] + timedelta(minutes=minutes)
    found = asked(steady, f"{number}a", now)
    if found is not None:  # it may have lasted too long already
        assert now <= found.p50 <= found.p90
        assert [next_working_instant(CALENDAR_V1, each) for each in found] == list(found)


def test_of_the_samples_cards_half_are_in_hand_by_p50_and_nine_of_ten_by_p90() -> None:
    """Of cases forecast on the 15th of every third month, from 2012 to when blank cards ran out."""
    rows = list(csv.DictReader(cilegon(0.02, 1)))
    printed = {row["case"]: datetime.fromisoformat(row["at"]) for row in rows if row["event"] == "printed"}
    dates = [at(f"{year}-{month:02}-15T09:30") for year in (2012, 2013, 2014) for month in (1, 4, 7, 10)][:-1]
    engine, random, hits = view([]), Random(1), list[tuple[bool, bool]]()
    facts = dict(zip(ORDER, (*STEPS, COLLECTED), strict=True))
    versions, applied = Counter[str](), 0
    for now in dates:
        news = list[Event]()
        while (row := rows[applied]) and (happened := datetime.fromisoformat(row["at"])) <= now:
            case, applied = row["case"], applied + 1
            versions[case] += 1
            fact = facts[Stage(row["event"])].model_copy(update={"receipt": case} if row["event"] == "submitted" else {})
            news.append(Event(str(applied), row["office"], case, versions[case], happened, fact, recorded=now, seq=applied))
        with engine.begin() as db:
            status.apply(db, news)
            on_the_way = sa.select(status.CASES.c.receipt).where(status.CASES.c.stage.in_(ORDER[:3]))
            receipts = list(db.execute(on_the_way.order_by("receipt")).scalars())
        for receipt in random.sample(receipts, 40):
            if found := asked(engine, receipt, now):
                in_hand = printed.get(receipt, datetime.max.replace(tzinfo=UTC))
                hits.append((in_hand <= found.p50, in_hand <= found.p90))
    assert len(hits) > 150
    by_p50, by_p90 = (sum(column) / len(hits) for column in zip(*hits, strict=True))
    assert 0.45 < by_p50 < 0.65
    assert 0.8 < by_p90 < 0.95
