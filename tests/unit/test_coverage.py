"""Persons recorded and cards printed per office, on either database; and what lies on the desks."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from events.application import ApplicationFact, Corrected
from events.envelope import Event
from events.offices import OFFICES
from events.stages import OPEN, Stage
from infra.database import micros, scratch_database
from projections import coverage, desk, status
from projections.coverage import Counts
from services.coverage_document import coverage_document, desk_document, obliged, uncollected_document
from tests.applications import CANCELLED, COLLECTED, NOW, PRINTED, QUEUED, RECORDED, SUBMITTED, back_to, day
from tests.databases import OnPostgres, OnSqlite

PULOMERAK, CIBEBER = "367203", "367204"


class Case(NamedTuple):
    """A case of a resident at an office."""

    name: str
    resident: str = "ani"
    office: str = PULOMERAK

    def went(self, *facts: ApplicationFact, first_day: int = 1) -> list[Event]:
        """It was submitted, and then this happened: one each day."""
        submitted = SUBMITTED.model_copy(update={"resident": self.resident})
        return [
            Event(f"{self.name}-{version}", self.office, self.name, version, day(first_day + version - 1), fact)
            for version, fact in enumerate((submitted, *facts), 1)
        ]


TO_PRINT = (RECORDED, QUEUED, PRINTED)


def journal(*cases: Iterable[Event]) -> list[Event]:
    """Their events, one case after the other."""
    return [event._replace(seq=seq) for seq, event in enumerate((event for case in cases for event in case), 1)]


def correct(event: str, to_day: int) -> Event:
    fact = Corrected(digest="d", corrects=event, at=day(to_day))
    return Event(f"correction of {event}", PULOMERAK, event.partition("-")[0], 9, NOW, fact)


def counted(engine: sa.Engine, events: list[Event], batch_size: int = 1_000) -> dict[str, Counts]:
    coverage.TABLES.create_all(engine)
    with engine.begin() as db:
        for start in range(0, len(events), batch_size):
            coverage.apply(db, events[start : start + batch_size])
    with engine.connect() as db:
        return coverage.counts(db)


class Counting:
    """What holds on either database."""

    def test_an_office_counts_the_persons_it_recorded_and_the_cards_it_printed(self, engine: sa.Engine) -> None:
        ani, budi = Case("a").went(*TO_PRINT, COLLECTED), Case("b", "budi").went(RECORDED)
        citra = Case("c", "citra", CIBEBER).went(*TO_PRINT)
        assert counted(engine, journal(ani, budi, citra)) == {PULOMERAK: Counts(2, 1, 0), CIBEBER: Counts(1, 1, 0)}

    def test_a_person_recorded_again_counts_once_at_each_office(self, engine: sa.Engine) -> None:
        first = Case("a").went(RECORDED, back_to(Stage.SUBMITTED), RECORDED, *TO_PRINT[1:], COLLECTED)
        again, elsewhere = Case("b").went(RECORDED), Case("c", "ani", CIBEBER).went(RECORDED)
        assert counted(engine, journal(first, again, elsewhere)) == {PULOMERAK: Counts(1, 1, 0), CIBEBER: Counts(1, 0, 0)}

    def test_a_reprint_may_leave_out_recording_and_is_every_print_after_the_persons_first(self, engine: sa.Engine) -> None:
        first, lost = Case("a").went(*TO_PRINT, COLLECTED), Case("b").went(QUEUED, PRINTED, COLLECTED, first_day=9)
        misprinted = Case("c", "ani", CIBEBER).went(*TO_PRINT, back_to(Stage.QUEUED), PRINTED, first_day=19)
        assert counted(engine, journal(first, lost, misprinted)) == {PULOMERAK: Counts(1, 2, 1), CIBEBER: Counts(1, 2, 2)}

    def test_which_print_was_the_first_is_told_by_when_it_happened_not_by_when_it_was_entered(
        self, engine: sa.Engine
    ) -> None:
        later, earlier = Case("b").went(QUEUED, PRINTED, first_day=9), Case("a", "ani", CIBEBER).went(*TO_PRINT)
        events = journal(later, earlier)
        assert counted(engine, events) == {PULOMERAK: Counts(0, 1, 1), CIBEBER: Counts(1, 1, 0)}
        corrections = [correct("a-4", 12), correct("a-4", 13)]
        events = journal(events, corrections)
        assert counted(engine, events) == {PULOMERAK: Counts(0, 1, 0), CIBEBER: Counts(1, 1, 1)}
        assert counted(engine, journal(events, [correct("a-4", 10)])) == {
            PULOMERAK: Counts(0, 1, 1),
            CIBEBER: Counts(1, 1, 0),
        }

    def test_returning_or_cancelling_takes_nothing_back(self, engine: sa.Engine) -> None:
        returned, cancelled = (
            Case("a").went(*TO_PRINT, back_to(Stage.SUBMITTED)),
            Case("b", "budi").went(*TO_PRINT, CANCELLED),
        )
        assert counted(engine, journal(returned, cancelled)) == {PULOMERAK: Counts(2, 2, 0)}

    @pytest.mark.parametrize("batch_size", [1, 3, 1_000])
    def test_an_event_counts_once_however_often_it_comes(self, engine: sa.Engine, batch_size: int) -> None:
        again = Case("b", "ani", CIBEBER).went(QUEUED, PRINTED, first_day=9)
        events = journal(Case("a").went(*TO_PRINT), again, [correct("b-3", 2)])
        expected = {PULOMERAK: Counts(1, 1, 1), CIBEBER: Counts(0, 1, 0)}
        assert [counted(engine, events, batch_size) for _ in range(2)] == [expected] * 2

    def test_a_case_that_is_not_yet_known_counts_as_soon_as_it_is(self, engine: sa.Engine) -> None:
        submitted, *others = journal(Case("a").went(*TO_PRINT))
        assert counted(engine, others) == {}
        assert counted(engine, [submitted]) == {PULOMERAK: Counts(1, 1, 0)}


class TestOnSqlite(OnSqlite, Counting):
    pass


class TestOnPostgres(OnPostgres, Counting):
    pass


_STEPS = st.lists(st.sampled_from([RECORDED, QUEUED, PRINTED, COLLECTED, CANCELLED, back_to(Stage.SUBMITTED)]), max_size=6)
_HISTORIES = st.lists(
    st.tuples(st.sampled_from("xyz"), st.sampled_from([PULOMERAK, CIBEBER]), _STEPS, st.integers(1, 9)), max_size=6
)


@given(_HISTORIES, st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_whatever_happened_the_counts_are_those_of_the_plain_rules(
    histories: list[tuple[str, str, list[ApplicationFact], int]], batch_size: int
) -> None:
    cases = [Case(f"case{index}", who, office) for index, (who, office, _, _) in enumerate(histories)]
    events = journal(*(case.went(*told[2], first_day=told[3]) for case, told in zip(cases, histories, strict=True)))
    who = {case.name: case.resident for case in cases}
    prints = sorted((e for e in events if e.fact is PRINTED), key=lambda e: (e.occurred, e.seq))
    persons = {(e.place, who[e.entity_id]) for e in events if e.fact is RECORDED}
    firsts = {who[e.entity_id]: e for e in reversed(prints)}
    expected = {
        office: Counts(
            sum(place == office for place, _ in persons),
            sum(e.place == office for e in prints),
            sum(e.place == office for e in prints) - sum(e.place == office for e in firsts.values()),
        )
        for office in {place for place, _ in persons} | {e.place for e in prints}
    }
    assert counted(scratch_database(), events, batch_size) == expected


def test_the_document_has_every_office_and_its_total_is_the_sum_of_the_rows() -> None:
    document = coverage_document({CIBEBER: Counts(28_557, 29_081, 524)}, NOW, list(OFFICES))
    assert [row["office"] for row in document["rows"]] == list(OFFICES)
    assert document["rows"][3] == {
        **{"office": CIBEBER, "district": "Cibeber", "obliged": 36_589, "recorded": 28_557, "printed": 29_081},
        **{"reprinted": 524, "not_yet_recorded": 8_032, "recorded_percent": 78.05},
    }
    assert document["total"] == {
        **{"obliged": 298_638, "recorded": 28_557, "printed": 29_081, "reprinted": 524},
        **{"not_yet_recorded": 298_638 - 28_557, "recorded_percent": 9.56},
    }
    (source,) = document["obliged_from"]
    assert source["date"] == "2015-05-05"
    assert "table 4.2" in source["source"]


def test_where_it_is_not_known_how_many_are_obliged_nothing_is_made_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {office: figure for office, figure in obliged().items() if office != CIBEBER}
    monkeypatch.setattr("services.coverage_document.obliged", lambda: known)
    document = coverage_document({CIBEBER: Counts(5, 4, 0)}, NOW, [CIBEBER, PULOMERAK])
    unknown = [(row["obliged"], row["not_yet_recorded"], row["recorded_percent"]) for row in document["rows"]]
    assert unknown == [(None, None, None), (37_510, 37_510, 0.0)]
    assert document["total"]["recorded"] == 5
    assert {document["total"][key] for key in ("obliged", "not_yet_recorded", "recorded_percent")} == {None}


@pytest.fixture
def desks() -> Iterator[sa.Connection]:
    """250 cases queued at Pulomerak, one a day; one printed there 30 days before NOW, and one a microsecond earlier."""
    engine = scratch_database()
    status.TABLES.create_all(engine)
    since = [(Stage.QUEUED, PULOMERAK, NOW - timedelta(days=number)) for number in range(250)]
    since += [(Stage.QUEUED, CIBEBER, NOW - timedelta(days=300)), (Stage.COLLECTED, PULOMERAK, NOW)]
    thirty_days_ago = NOW - timedelta(days=30)
    since += [(Stage.PRINTED, PULOMERAK, thirty_days_ago - timedelta(microseconds=some)) for some in (0, 1)]
    rows = [
        {
            **{"case": f"c{seq}", "receipt": f"r{seq}", "office": office, "kind": "new"},
            **{"stage": stage.value, "since": micros(at), "seq": seq},
        }
        for seq, (stage, office, at) in enumerate(since)
    ]
    with engine.begin() as db:
        db.execute(sa.insert(status.CASES), rows)
        yield db


def test_a_queue_has_the_oldest_first_in_pages_of_a_hundred(desks: sa.Connection) -> None:
    pages = [desk.queue(desks, Stage.QUEUED, PULOMERAK, page) for page in (1, 2, 3, 4)]
    assert [case.receipt for page in pages for case in page.cases] == [f"r{seq}" for seq in reversed(range(250))]
    assert [len(page.cases) for page in pages] == [100, 100, 50, 0]
    assert {(page.count, page.oldest) for page in pages} == {(250, NOW - timedelta(days=249))}
    everywhere = desk.queue(desks, Stage.QUEUED, None, 1)
    assert (everywhere.count, everywhere.cases[0].receipt) == (251, "r250")


def test_each_open_stage_is_there_with_its_age_though_nothing_waits_in_it(desks: sa.Connection) -> None:
    queues = {stage: desk.queue(desks, stage, PULOMERAK, 1) for stage in OPEN}
    document = desk_document(queues, NOW, 1)
    found = [(stage["stage"], stage["count"], stage["oldest_age_seconds"]) for stage in document["stages"]]
    days = timedelta(days=1).total_seconds()
    assert found == [
        *(("submitted", 0, None), ("recorded", 0, None)),
        *(("queued", 250, 249 * days), ("printed", 2, 30 * days + 1e-6)),
    ]
    assert document["stages"][2]["cases"][1]["age_seconds"] == 248 * days


def test_a_card_is_over_the_limit_after_thirty_days_and_not_before(desks: sa.Connection) -> None:
    cards = desk.queue(desks, Stage.PRINTED, PULOMERAK, 1)
    older = desk.older(desks, Stage.PRINTED, PULOMERAK, NOW, (7, 30, 90))
    document = uncollected_document(cards, older, NOW, 1)
    assert [(case["receipt"], case["over_limit"]) for case in document["cases"]] == [("r253", True), ("r252", False)]
    assert document["by_age"] == [{"over_days": days, "count": count} for days, count in ((7, 2), (30, 1), (90, 0))]
    assert (document["count"], document["limit_days"]) == (2, 30)
    assert desk.older(desks, Stage.PRINTED, CIBEBER, NOW, (7,)) == {7: 0}
