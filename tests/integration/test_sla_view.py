"""Of which cases operations must be told when; what runs, is at risk, was breached, stands still. On either database."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from events.application import ApplicationFact
from events.elapsed import causes
from events.envelope import Event, decode
from events.fact import Fact
from events.outage import OutageBegan, OutageEnded
from events.sla import CAUSES
from events.stages import Stage
from events.timers import instant, passed
from infra.database import scratch_database
from projections import sla
from projections.sla import CASES, NOTED
from projections.sla_report import Report
from projections.sla_report import sla as report
from services.questions import SLA_LISTS as LISTS
from services.sla_decision import decide
from services.sla_document import NoRest, Parts, sla_document
from tests.applications import CANCELLED, CASE, OFFICE, QUEUED, RECEIPT, RECORDED, SUBMITTED, back_to
from tests.databases import OnPostgres, OnSqlite, in_memory, made_up
from tests.timers import FLOODED, STRAIGHT, corrected, happened, histories, nov, of_events, standard

CIBEBER = "367204"
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)
LONG_AGO = nov("01 08:00") - 365 * DAY
MADE_UP = [decode(stored.body, stored.seq) for stored in in_memory(made_up(Random(2), 300))]


def events(*history: tuple[str, ApplicationFact], known: str | None = None) -> list[Event]:
    """Each recorded when it occurred, or all of them at `known`."""
    return [happened(number, nov(at), fact, nov(known or at)) for number, (at, fact) in enumerate(history, 1)]


def of_case(name: str, office: str, history: Iterable[Event]) -> list[Event]:
    """The same happens to another case."""
    submitted = SUBMITTED.model_copy(update={"receipt": f"receipt of {name}"})
    facts = (submitted if event.version == 1 else event.fact for event in history)
    return [event._replace(entity_id=name, place=office, fact=fact) for event, fact in zip(history, facts, strict=True)]


def elsewhere(seq: int, place: str, at: str, fact: Fact) -> Event:
    """A fact that is about no case."""
    return Event(f"fact-{seq}", place, "any", 1, nov(at), fact, recorded=nov(at), seq=seq)


def apply(engine: sa.Engine, *batches: Sequence[Event]) -> None:
    sla.TABLES.create_all(engine)
    for batch in batches:
        with engine.begin() as db:
            sla.apply(db, batch)


def due(engine: sa.Engine, now: datetime) -> tuple[list[tuple[str, str]], datetime | None]:
    with engine.connect() as db:
        return sla.due(db, now)


def asked(engine: sa.Engine, at: datetime, since: datetime = LONG_AGO, office: str | None = None) -> Report:
    with engine.connect() as db:
        return report(db, at, office, since, recompute=True)


def lines(found: Report) -> dict[str, list[str]]:
    """`recording 25 08:00`: target and due instant."""
    runs = {"at_risk": found.at_risk, "breached": found.breached}
    return {name: [f"{run.timer.target.name} {run.timer.due:%d %H:%M}" for run in of_kind] for name, of_kind in runs.items()}


def rows(engine: sa.Engine) -> list[tuple[Any, ...]]:
    with engine.connect() as db:
        tables = (sa.select(CASES).order_by(CASES.c.case), sa.select(NOTED).order_by(NOTED.c.seq))
        return [tuple(row) for table in tables for row in db.execute(table)]


def in_batches(history: Sequence[Event], *cuts: int) -> list[Sequence[Event]]:
    edges = sorted({0, *(cut % len(history) for cut in cuts), len(history)})
    return [history[begin:end] for begin, end in pairwise(edges)]


class Cases:
    """What both databases must do."""

    def test_the_due_table_tells_whom_to_look_at_and_when_to_look_again(self, engine: sa.Engine) -> None:
        apply(engine, events(("25 07:30", SUBMITTED)))
        state, told = of_events(events(("25 07:30", SUBMITTED))), list[Event]()
        for share in ("25 14:07:30", "25 15:15", "25 16:00", "26 01:30", "26 05:06", "26 07:30"):
            assert due(engine, nov(share) - MICROSECOND) == ([], nov(share))
            assert due(engine, nov(share)) == ([(OFFICE, CASE)], None)
            new = decide(state, told, {}, nov(share))
            apply(engine, [event._replace(seq=90 + len(told), recorded=nov(share)) for event in new])
            told += new
        assert due(engine, nov("26 07:30") + 365 * DAY) == ([], None)

    def test_the_longest_overdue_come_first_and_not_more_than_are_asked_for(self, engine: sa.Engine) -> None:
        for number in range(5):
            apply(engine, of_case(f"case-{4 - number}", OFFICE, events((f"25 08:0{number}", SUBMITTED))))
        with engine.connect() as db:
            cases, then = sla.due(db, nov("25 14:40"), rows_max=2)  # at 14:37:30, 14:38:30, …
        assert cases == [(OFFICE, "case-4"), (OFFICE, "case-3")]
        assert then == nov("25 14:40:30")

    def test_imported_history_has_nobody_to_tell_of_it_and_is_judged_all_the_same(self, engine: sa.Engine) -> None:
        history = STRAIGHT[:3]
        apply(engine, events(*history, known="30 09:00"))
        assert due(engine, nov("30 09:00") + 365 * DAY) == ([], None)
        imported = lines(asked(engine, nov("30 09:00")))
        apply(engine, of_case("live", OFFICE, events(*history)))
        both = lines(asked(engine, nov("30 09:00")))
        assert imported["breached"] == ["issuance 26 08:00", "printing 27 09:00"]
        assert both["breached"] == [line for line in imported["breached"] for _ in range(2)]

    def test_what_was_imported_goes_on_as_what_is_live(self, engine: sa.Engine) -> None:
        imported = events(*STRAIGHT[:2], known="30 09:00")
        live = happened(3, nov("30 10:00"), QUEUED, nov("30 10:00"))
        apply(engine, imported, [live])
        assert due(engine, nov("30 10:00")) == ([], instant(of_events([*imported, live]).timers[-1], 75))

    def test_a_target_is_at_risk_from_three_quarters_on_and_breached_from_its_due_instant_on(
        self, engine: sa.Engine
    ) -> None:
        apply(engine, events(("25 07:30", SUBMITTED)))
        for at, at_risk, breached in (
            ("25 14:07:29", [], []),
            ("25 14:07:30", ["recording 25 16:00"], []),
            ("25 15:59:59", ["recording 25 16:00"], []),
            ("25 16:00", [], ["recording 25 16:00"]),
            ("26 01:30", ["issuance 26 07:30"], ["recording 25 16:00"]),
            ("26 07:30", [], ["recording 25 16:00", "issuance 26 07:30"]),
        ):
            found = asked(engine, nov(at))
            assert lines(found) == {"at_risk": at_risk, "breached": breached}
            assert found.running == 2

    def test_what_was_breached_stays_in_the_list_when_it_is_met_or_ended_and_no_longer_runs(self, engine: sa.Engine) -> None:
        apply(engine, events(("25 07:30", SUBMITTED), ("25 16:01", RECORDED), ("26 07:31", CANCELLED)))
        found = asked(engine, nov("30 08:00"))
        assert lines(found) == {"at_risk": [], "breached": ["recording 25 16:00", "issuance 26 07:30"]}
        assert found.running == 0
        document = sla_document(found, nov("30 08:00"), recomputed=False)
        told = [(row["met"], row["ended"], row["late_seconds"]) for row in document["breached"]]
        assert told == [("2026-11-25T16:01:00+07:00", None, 60), (None, "2026-11-26T07:31:00+07:00", 60)]

    def test_only_what_was_due_since_then_is_listed(self, engine: sa.Engine) -> None:
        for known in (None, "30 07:00"):
            history = events(("04 07:30", SUBMITTED), ("05 09:00", RECORDED), ("06 09:00", CANCELLED), known=known)
            apply(engine, of_case(str(known), OFFICE, history))
        for since, listed in (("04 16:00", 4), ("04 16:00:00.000001", 2), ("05 07:30", 2), ("05 07:31", 0)):
            assert len(asked(engine, nov("30 08:00"), nov(since)).breached) == listed

    def test_an_office_sees_its_own_targets_alone(self, engine: sa.Engine) -> None:
        apply(engine, events(*STRAIGHT[:2]), of_case("other", CIBEBER, events(*STRAIGHT[:3])))
        here, there, both = (asked(engine, nov("30 08:00"), office=office) for office in (OFFICE, CIBEBER, None))
        assert {run.office for run in here.breached} == {OFFICE}
        assert (here.running, there.running, both.running) == (2, 2, 4)
        assert len(here.breached) + len(there.breached) == len(both.breached) == 4
        assert (here.ages[Stage.QUEUED], here.ages[Stage.RECORDED]) == (None, both.ages[Stage.RECORDED])

    def test_time_by_cause_adds_up_and_an_outage_of_the_office_moves_what_is_fair_to_it(self, engine: sa.Engine) -> None:
        out = [
            elsewhere(8, OFFICE, "25 10:00", OutageBegan(digest="d", cause="power")),
            elsewhere(9, OFFICE, "25 11:00", OutageEnded(digest="d", cause="power")),
            elsewhere(10, CIBEBER, "25 08:00", OutageBegan(digest="d", cause="network")),
        ]
        apply(engine, events(("25 08:00", SUBMITTED)), out, out)
        (recording,) = (run for run in asked(engine, nov("30 08:00")).breached if run.timer.target.name == "recording")
        assert sum(recording.causes.values()) == (nov("30 08:00") - nov("25 08:00")) // SECOND
        assert (recording.causes["power"], recording.causes["network"]) == (3600, 0)
        assert (recording.timer.due, recording.office_due) == (nov("26 08:00"), nov("26 09:00"))

    def test_a_case_that_stands_still_with_no_timer_is_found_whether_it_is_live_or_imported(self, engine: sa.Engine) -> None:
        gap = standard(2, "01 08:00", queueing={"from_stage": "submitted"})
        forgotten = (*STRAIGHT[:4], ("27 11:00", back_to(Stage.RECORDED)))
        history = events(*forgotten)
        apply(engine, [elsewhere(99, "3672", "01 08:00", gap)], history)
        apply(engine, of_case("imported", OFFICE, [event._replace(recorded=nov("30 09:00")) for event in history]))
        standing = asked(engine, nov("30 10:00")).standing_still
        assert {case.receipt for case in standing} == {RECEIPT, "receipt of imported"}
        assert {(case.stage, case.since) for case in standing} == {(Stage.RECORDED, nov("27 11:00"))}
        apply(engine, [happened(6, nov("30 10:00"), QUEUED, nov("30 10:00"))])
        assert [case.receipt for case in asked(engine, nov("30 11:00")).standing_still] == ["receipt of imported"]

    def test_ages_are_those_of_actual_cases_by_nearest_rank(self, engine: sa.Engine) -> None:
        for number in range(1, 201):
            submitted = happened(1, nov("25 08:00") - number * MINUTE, SUBMITTED, nov("25 08:00"))
            apply(engine, of_case(f"case-{number}", OFFICE, [submitted]))
        ages = asked(engine, nov("25 08:00")).ages
        assert ages[Stage.SUBMITTED] == {50: 100 * 60, 90: 180 * 60, 99: 198 * 60}
        assert ages[Stage.QUEUED] is None
        assert Stage.COLLECTED not in ages

    def test_a_corrected_time_moves_the_verdict_and_the_age(self, engine: sa.Engine) -> None:
        history = events(("25 07:30", SUBMITTED), ("25 16:30", RECORDED))
        apply(engine, history)
        assert lines(asked(engine, nov("25 17:00")))["breached"] == ["recording 25 16:00"]
        apply(engine, [happened(3, nov("25 17:00"), corrected(2, "25 15:00"), nov("25 17:00"))])
        found = asked(engine, nov("25 17:00"))
        assert lines(found)["breached"] == []
        assert found.ages[Stage.RECORDED] == dict.fromkeys((50, 90, 99), 7200)

    def test_the_verdict_by_the_rules_of_now_can_be_had_beside_the_one_that_was_given(self, engine: sa.Engine) -> None:
        longer = standard(2, "26 09:00", recording={"limit": "PT15H"}, issuance={"limit": "PT1H"})
        apply(engine, events(("25 07:30", SUBMITTED)), [elsewhere(9, "3672", "26 08:00", longer)])
        document = sla_document(asked(engine, nov("26 09:00")), nov("26 09:00"), recomputed=True)
        told = [(row["target"], row["due"][8:16], row["recomputed"]) for row in document["breached"]]
        assert told == [
            ("recording", "25T16:00", verdict("26T16:00", breached=False)),
            ("issuance", "26T07:30", verdict("25T08:30", breached=True)),
        ]

    def test_rows_are_the_same_however_the_journal_is_cut_and_however_often_it_comes(self, engine: sa.Engine) -> None:
        late, live = events(("10 08:00", SUBMITTED), known="25 08:00"), events(("25 08:00", SUBMITTED))
        told = decide(of_events(live), [], {}, nov("26 08:00"))
        journal = [
            *MADE_UP[:100],
            *of_case("late", OFFICE, late),
            elsewhere(1_000, "3672", "25 08:00", standard(2, "26 08:00", issuance={"limit": "PT720H"})),
            *MADE_UP[100:200],
            elsewhere(1_001, "3672", "25 08:00", FLOODED),
            *live,
            *(event._replace(recorded=event.occurred) for event in told),
            *MADE_UP[200:],
        ]
        apply(engine, *in_batches(journal, 101, *range(0, 300, 7)), journal[90:150], journal)
        once = scratch_database()
        apply(once, journal)
        assert rows(engine) == rows(once)

    def test_what_was_rolled_back_leaves_nothing_and_can_come_again(self, engine: sa.Engine) -> None:
        first, rest = MADE_UP[:200], MADE_UP[200:]
        apply(engine, first)
        before = rows(engine)
        with engine.connect() as db:
            sla.apply(db, rest)
            db.rollback()
        assert rows(engine) == before
        apply(engine, rest)
        whole = scratch_database()
        apply(whole, MADE_UP)
        assert rows(engine) == rows(whole)


def verdict(due_at: str, breached: bool) -> dict[str, Any]:
    return {"due": f"2026-11-{due_at}:00+07:00", "breached": breached, "standard_version": 2, "calendar_version": 1}


class TestOnSqlite(OnSqlite, Cases):
    pass


class TestOnPostgres(OnPostgres, Cases):
    pass


def recorded_late(history: Sequence[Event], delays: Sequence[int]) -> list[Event]:
    """Each entered so many hours after it happened, but never before the event before it."""
    found = list[Event]()
    for event, hours in zip(history, delays, strict=False):
        assert event.recorded
        known = event.recorded + hours * HOUR
        found.append(event._replace(recorded=max(known, found[-1].recorded or known) if found else known))
    return found


delays = st.lists(st.sampled_from([0, 0, 0, 6, 20, 23, 400]), min_size=12, max_size=12)
cuts = st.lists(st.integers(0, 20), max_size=4)


@settings(deadline=None, max_examples=150)
@given(histories(), delays, cuts, st.lists(st.integers(0, 4 * 24 * 60), min_size=1, max_size=6))
def test_the_due_table_tells_what_the_decision_tells_whatever_happens_and_whenever_it_is_asked(
    history: list[Event], hours: list[int], cut: list[int], waits: list[int]
) -> None:
    engine, told, so_far, now = scratch_database(), list[Event](), list[Event](), nov("02 08:00")
    for batch in in_batches(recorded_late(history, hours), *cut):
        apply(engine, batch)
        so_far += batch
        state = of_events(so_far)
        for wait in waits:
            now += wait * MINUTE
            new = decide(state, told, {}, now)
            cases, then = due(engine, now)
            assert cases == ([(OFFICE, CASE)] if new else [])
            if not new:
                assert decide(state, told, {}, then - MICROSECOND if then else now + 365 * DAY) == []
                assert then is None or decide(state, told, {}, then)
            apply(engine, [event._replace(seq=100 + event.version, recorded=now) for event in new])
            told += new


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(histories(), delays), min_size=1, max_size=4), cuts, st.integers(0, 40), st.integers(0, 30))
def test_what_is_listed_is_what_follows_from_each_case_by_itself(
    histories_: list[tuple[list[Event], list[int]]], cut: list[int], later: int, window: int
) -> None:
    engine, expected_running = scratch_database(), 0
    cases = [
        of_case(f"case-{number}", OFFICE, recorded_late(history, days)) for number, (history, days) in enumerate(histories_)
    ]
    at = max(step.occurred for history in cases for step in of_events(history).steps) + later * DAY
    since, at_risk, breached = at - window * DAY, list[tuple[Any, ...]](), list[tuple[Any, ...]]()
    for history in cases:
        apply(engine, *in_batches(history, *cut))
        state = of_events(history)
        for timer in state.timers:
            if timer.target.is_breach:
                line = (timer.due, f"receipt of {state.id}", timer.target.name, causes(timer, state.steps, {}, at))
                shares = [share for share, _ in passed(timer, at)]
                expected_running += not timer.stopped
                if shares[-1:] == [100]:
                    breached += [line] if timer.due >= since else []
                elif shares and not timer.stopped:
                    at_risk.append(line)
    found = asked(engine, at, since)

    def told(runs: Sequence[Any]) -> list[tuple[Any, ...]]:
        return [(run.timer.due, run.receipt, run.timer.target.name, run.causes) for run in runs]

    assert sorted(told(found.at_risk), key=str) == sorted(at_risk, key=str)
    assert sorted(told(found.breached), key=str) == sorted(breached, key=str)
    assert found.running == expected_running


def test_the_document_has_every_field_of_the_contract() -> None:
    engine = scratch_database()
    apply(engine, events(("25 08:00", SUBMITTED)))
    at = nov("25 14:40")
    document = sla_document(asked(engine, at), at, recomputed=False)
    (soon,) = document["at_risk"]
    assert document["breached"] == []
    assert soon["breached"] is None
    assert "met" not in soon
    assert (soon["receipt"], soon["due"], soon["late_seconds"]) == (RECEIPT, "2026-11-26T08:00:00+07:00", 0)
    assert tuple(soon["causes"]) == CAUSES
    (row, _) = sla_document(asked(engine, at + DAY), at + DAY, recomputed=False)["breached"]
    assert row["breached"] == row["due"] == "2026-11-26T08:00:00+07:00"
    assert row.keys() >= {"receipt", "office", "target", "started", "met", "office_due", "late_seconds", "causes"}


@pytest.mark.parametrize("counts", [(0, 0, 0), (1, 0, 0), (400, 400, 0), (401, 0, 0), (3, 1_999, 801)])
def test_a_long_answer_travels_in_parts_that_add_up_to_it(counts: tuple[int, ...]) -> None:
    whole = {"running": 7, **{name: list(range(count)) for name, count in zip(LISTS, counts, strict=True)}}
    parts = Parts()
    found = parts.first(whole)
    while token := found.pop("rest"):
        more = parts.next(token)
        assert max(len(more[name]) for name in LISTS) <= 400
        found |= {name: found[name] + more[name] for name in LISTS} | {"rest": more["rest"]}
    assert found == whole


def test_what_nobody_fetches_is_dropped_in_the_end() -> None:
    parts, long = Parts(), {name: list(range(500)) for name in LISTS}
    first, *_, last = [parts.first(long)["rest"] for _ in range(5)]
    assert len(parts.next(last)["breached"]) == 100
    with pytest.raises(NoRest):
        parts.next(first)
