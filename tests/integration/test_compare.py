"""Live views against a fold of the journal: equal whatever happened, and each value that somebody changed is named."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from events.application import Cancelled, Corrected, Returned
from events.envelope import Event
from infra.database import insert_new
from infra.group_commit import GroupCommit
from infra.journal import Journal
from projections import compare as comparing
from projections import coverage, sla, status
from projections.compare import LISTED_MAX, Comparison, Difference, compare
from projections.views import Projection, Views
from tests.applications import NAME, NIK
from tests.command import ektp, running, submission
from tests.databases import OnPostgres, OnSqlite, append, made_up
from tests.support import stored

VIEWS: Sequence[Projection] = (status, coverage, sla)


class Picky:
    """A view that cannot take its seventh event."""

    NAME, VERSION, TABLES = "picky", 1, sa.MetaData()
    _ROWS = sa.Table("picky_v1", TABLES, sa.Column("seq", sa.BigInteger, primary_key=True))

    def apply(self, db: sa.Connection, events: Sequence[Event]) -> None:
        if any(event.seq == 7 for event in events):
            raise ValueError
        insert_new(db, self._ROWS, [{"seq": event.seq} for event in events])


class Comparing:
    """What holds on either database."""

    @pytest.fixture
    def history(self) -> list[Event]:
        history = made_up(Random(5), 600)
        kinds = {type(event.fact) for event in history}
        assert {Corrected, Returned, Cancelled} <= kinds
        return history

    @pytest.fixture
    async def live(self, journal: Journal, commits: GroupCommit, engine: sa.Engine, history: list[Event]) -> sa.Engine:
        """Views that hold the whole journal."""
        await append(commits, history)
        views, batch = Views(engine, VIEWS), await stored(journal)
        for start in range(0, len(batch), 70):  # rows do not depend on which events came together
            views.apply(batch[start : start + 70])
        return engine

    async def test_views_that_follow_from_the_journal_are_equal_to_a_fold_of_it(
        self, journal: Journal, live: sa.Engine, history: list[Event]
    ) -> None:
        with live.connect() as db:
            tables = [table for view in VIEWS for table in view.TABLES.sorted_tables]
            rows = sum(db.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables)
        assert rows > len(history)
        assert await compare(journal, live, VIEWS) == Comparison(len(history), rows)

    async def test_a_view_that_is_behind_is_compared_with_what_it_holds(
        self, journal: Journal, commits: GroupCommit, live: sa.Engine, history: list[Event]
    ) -> None:
        more = made_up(Random(6), 50)
        await append(commits, more)
        assert (await compare(journal, live, VIEWS)).position == len(history)
        Views(live, [status]).apply(await stored(journal))  # one view is ahead of the other
        found = await compare(journal, live, VIEWS)
        assert (found.position, found.count) == (len(history), 0)

    async def test_each_value_that_was_changed_is_named_with_what_it_should_be(
        self, journal: Journal, live: sa.Engine
    ) -> None:
        cases = status.CASES
        with live.begin() as db:
            first, last = db.execute(sa.select(cases.c.case, cases.c.since).order_by(cases.c.seq)).all()[:2]
            db.execute(sa.update(cases).where(cases.c.case == first.case).values(since=first.since + 1, office="367204"))
            lost = db.execute(sa.select(coverage.PRINTS.c.seq).limit(1)).scalar_one()
            db.execute(sa.delete(coverage.PRINTS).where(coverage.PRINTS.c.seq == lost))
            db.execute(coverage.PRINTS.insert().values(seq=10**12, case=last.case, event="e", occurred=0))
        found = await compare(journal, live, VIEWS)
        key, prints = {"case": first.case}, coverage.PRINTS.name
        assert found.count == 4
        assert found.differences == [
            Difference("status", cases.name, key, "office", "367204", "367203"),
            Difference("status", cases.name, key, "since", first.since + 1, first.since),
            Difference("coverage", prints, {"seq": lost}, "row", "missing", "there"),
            Difference("coverage", prints, {"seq": 10**12}, "row", "there", "missing"),
        ]

    async def test_all_differences_are_counted_some_listed_and_none_shows_a_name_or_a_nik(
        self, journal: Journal, live: sa.Engine
    ) -> None:
        with live.begin() as db:
            changed = db.execute(sa.update(status.CASES).values(kind=NAME, stage=NIK)).rowcount
        found = await compare(journal, live, VIEWS)
        assert found.count == 2 * changed > LISTED_MAX == len(found.differences)
        assert {each.live for each in found.differences} == {"(not shown)"}
        assert NAME not in str(found)
        assert NIK not in str(found)

    async def test_what_a_view_could_not_take_is_left_out_of_the_fold_too(
        self, journal: Journal, commits: GroupCommit, engine: sa.Engine, history: list[Event]
    ) -> None:
        await append(commits, history)
        views = Views(engine, [status, Picky()])
        views.apply(await stored(journal))
        assert next(row["seq"] for row in views.aside()) == 7
        found = await compare(journal, engine, [status, Picky()])
        assert (found.position, found.count) == (len(history), 0)

    async def test_the_runner_may_write_while_rows_are_compared(
        self, journal: Journal, commits: GroupCommit, live: sa.Engine, history: list[Event], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """More is applied after the position was read, and before the rows are."""
        await append(commits, made_up(Random(6), 50))
        more, views = await stored(journal), Views(live, VIEWS)
        rows = comparing._rows

        def meanwhile(db: sa.Connection, table: sa.Table) -> object:
            if views.position < len(more):
                views.apply(more)
            return rows(db, table)

        monkeypatch.setattr("projections.compare._rows", meanwhile)
        found = await compare(journal, live, VIEWS)
        assert views.position == len(more)
        assert (found.position, found.count) == (len(history), 0)


class TestOnSqlite(OnSqlite, Comparing):
    pass


class TestOnPostgres(OnPostgres, Comparing):
    pass


def test_doctor_compare_names_a_row_that_was_changed_in_the_views_database(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        assert ektp(up.data, *submission()).code == 0
        equal = ektp(up.data, "doctor", "--compare")
        assert (equal.code, equal.document["ok"], equal.document["differences"]) == (0, True, [])
        assert [check["name"] for check in equal.document["checks"]][-1] == "compare"
        with closing(sqlite3.connect(up.data / "views" / "views.sqlite", isolation_level=None)) as db:
            (case,) = db.execute(f"select min([case]) from {status.CASES.name}").fetchone()
            db.execute(f"update {status.CASES.name} set office = '367299' where [case] = ?", (case,))
        different = ektp(up.data, "doctor", "--compare")
        (found,) = different.document["differences"]
        assert (different.code, different.document["ok"]) == (1, False)
        assert found == {
            **{"view": "status", "table": status.CASES.name, "key": {"case": case}, "column": "office"},
            **{"live": "367299", "folded": found["folded"]},
        }
        text = ektp(up.data, "doctor", "--compare", json=False)
        assert f"{status.CASES.name} {case} office: live 367299, folded {found['folded']}" in text.stdout
        assert ektp(up.data, "rebuild", "status").code == 0
        assert ektp(up.data, "doctor", "--compare").code == 0
