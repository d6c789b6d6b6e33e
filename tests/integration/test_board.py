"""The board's figures are those that follow from each case by itself, on either database."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from events.calendar import CALENDAR_V1
from events.envelope import Event
from events.offices import OFFICES
from events.outage import OutageBegan
from events.stages import FINAL, ORDER, Stage
from infra.database import scratch_database
from projections import board, status
from projections.board import AGES_DAYS
from projections.sla_report import Run
from services.web.board import cases_of, threats
from tests.applications import OFFICE, RECEIPT, RECORDED, SUBMITTED
from tests.databases import OnPostgres, OnSqlite, by_hand
from tests.integration.test_sla_view import (
    LONG_AGO,
    MADE_UP,
    apply,
    asked,
    cuts,
    delays,
    elsewhere,
    events,
    in_batches,
    of_case,
    recorded_late,
)
from tests.timers import histories, nov, of_events

DAY = timedelta(days=1)
EVERYWHERE = list(OFFICES)
KNOWN = by_hand(MADE_UP)
END = max(event.occurred for event in MADE_UP)


def pressing(engine: sa.Engine, at: datetime, runs_max: int = 1_000) -> board.Pressing:
    with engine.connect() as db:
        return board.pressing(db, EVERYWHERE, at, runs_max)


def agrees_with_the_report(engine: sa.Engine, at: datetime) -> None:
    """`ektp sla` looks at every case."""
    found, report = pressing(engine, at), asked(engine, at, LONG_AGO)

    def told(runs: Sequence[Run]) -> list[object]:
        return [(run.timer.due, run.receipt, run.timer.target.name, run.causes) for run in runs if not run.timer.stopped]

    assert not found.is_part
    assert told(found.first_at_risk) == told(report.at_risk)
    assert sorted(told(found.last_breached), key=str) == sorted(told(report.breached), key=str)


def test_no_question_of_the_board_reads_every_case() -> None:
    engine, asked_for = scratch_database(), list[tuple[str, tuple[object, ...]]]()
    status.TABLES.create_all(engine)
    apply(engine, MADE_UP)
    with engine.connect() as db:
        sa.event.listen(db, "before_cursor_execute", lambda *call: asked_for.append((call[2], call[3])))
        cases_of(db, None, END)
        board.pressing(db, EVERYWHERE, END, 1)
        explained = [db.exec_driver_sql(f"explain query plan {query}", values) for query, values in asked_for[:]]
        plans = [step.detail for explanation in explained for step in explanation]
    assert any("sla_last_due" in step for step in plans)
    assert not [step for step in plans if step.startswith("SCAN") and "cases" in step]


class Cases:
    """What both databases must do."""

    def test_what_presses_is_what_the_report_says_of_all_cases(self, engine: sa.Engine) -> None:
        apply(engine, MADE_UP)
        for later in (0 * DAY, DAY / 2, 2 * DAY):
            agrees_with_the_report(engine, END + later)

    def test_every_open_case_stands_in_its_stage_at_its_age(self, engine: sa.Engine) -> None:
        status.TABLES.create_all(engine)
        at = END + 3 * DAY
        with engine.begin() as db:
            status.apply(db, MADE_UP)
            found = board.standing(db, EVERYWHERE, at)
            assert not any(standing.cases for standing in board.standing(db, ["367201"], at).values())
        for stage, standing in found.items():
            since = [case.since for case in KNOWN.values() if case.stage is stage]
            begins = [max(days for days in AGES_DAYS if at - each >= days * DAY) for each in since]
            assert standing == (len(since), min(since, default=None), tuple(begins.count(days) for days in AGES_DAYS))
        assert sum(standing.cases for standing in found.values()) == sum(case.stage not in FINAL for case in KNOWN.values())

    def test_what_was_done_is_counted_on_its_day_in_the_offices_zone(self, engine: sa.Engine) -> None:
        status.TABLES.create_all(engine)
        with engine.begin() as db:
            status.apply(db, MADE_UP)
            found = board.throughput(db, EVERYWHERE, END, CALENDAR_V1.zone, 40)
        lines = (line for case in KNOWN.values() for line in case.lines)
        days = Counter((line.occurred.astimezone(CALENDAR_V1.zone).date(), line.event) for line in lines)
        told = {(day, event): count for day, done in found.items() for event, count in done.items() if count}
        assert told == {key: count for key, count in days.items() if key[1] in ORDER and key[0] in found}
        assert sum(told.values()) > 100


class TestOnSqlite(OnSqlite, Cases):
    pass


class TestOnPostgres(OnPostgres, Cases):
    pass


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(histories(), delays), min_size=1, max_size=4), cuts, st.integers(0, 40))
def test_nothing_that_presses_is_left_out(
    histories_: list[tuple[list[Event], list[int]]], cut: list[int], later: int
) -> None:
    engine = scratch_database()
    cases = [of_case(f"case-{number}", OFFICE, recorded_late(*history)) for number, history in enumerate(histories_)]
    for history in cases:
        apply(engine, *in_batches(history, *cut))
    agrees_with_the_report(engine, max(step.occurred for case in cases for step in of_events(case).steps) + later * DAY / 4)


def test_a_past_is_asked_about_in_which_something_was_broken_and_something_not_yet_due_and_neither_was_known() -> None:
    engine = scratch_database()
    late = recorded_late(events(("25 08:00", SUBMITTED), ("26 08:00", RECORDED)), [48, 400])
    apply(engine, of_case("case", OFFICE, late))
    at = nov("26 10:00")
    (run,) = pressing(engine, at).last_breached
    assert (run.timer.target.name, run.timer.due) == ("issuance", nov("26 08:00"))
    agrees_with_the_report(engine, at)


def test_a_threat_says_how_many_by_when_and_what_stands_in_the_way() -> None:
    engine = scratch_database()
    outage = elsewhere(1, OFFICE, "25 09:00", OutageBegan(digest="d", cause="blank_stock"))
    one, other = events(("25 08:00", SUBMITTED)), of_case("later", OFFICE, events(("25 08:10", SUBMITTED)))
    apply(engine, [outage._replace(seq=3), *one, *other])
    (threat,) = threats(pressing(engine, nov("25 14:50")))
    assert (threat.office, threat.target, threat.stage) == (OFFICE, "recording", Stage.SUBMITTED)
    assert (threat.cases, threat.first_due) == (2, nov("26 08:00"))
    assert (threat.outage, threat.outage_since) == ("blank_stock", nov("25 09:00"))
    last = threats(pressing(engine, nov("26 08:00") - DAY / 1440))
    assert {(threat.target, threat.cases) for threat in last} == {("recording", 2), ("issuance", 2)}


def test_a_clock_that_tells_nothing_is_late() -> None:
    engine = scratch_database()
    apply(engine, events(("25 08:00", SUBMITTED)))
    assert [pressing(engine, nov(at)).told_late for at in ("25 14:37:30", "25 14:38:30")] == [timedelta(0), DAY / 1440]


def test_no_more_runs_are_told_than_are_asked_for_and_a_limit_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = scratch_database()
    apply(engine, events(("25 08:00", SUBMITTED)), of_case("later", OFFICE, events(("25 08:10", SUBMITTED))))
    found = pressing(engine, nov("25 14:50"), runs_max=1)
    assert [run.receipt for run in found.first_at_risk] == [RECEIPT]
    assert (len(found.at_risk), found.is_part) == (2, False)
    monkeypatch.setattr(board, "JUDGED_MAX", 1)
    found = pressing(engine, nov("25 14:50"))
    assert ([each.receipt for each in found.at_risk], found.is_part) == ([RECEIPT], True)
