"""Writing rows, on SQLite and on PostgreSQL alike: what is written is what is read, and a key decides what was there."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from events.stages import Stage
from infra.database import Rows, insert_new, instant, micros, open_database, run_many, upsert
from tests.databases import OnPostgres, OnSqlite

TABLES = sa.MetaData()
NOTES = sa.Table(
    "notes",
    TABLES,
    sa.Column("place", sa.String, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("text", sa.String),
    sa.Column("amount", sa.BigInteger),
)
SEEN = sa.Table("seen", TABLES, sa.Column("case", sa.String, primary_key=True))
ODD = '\'; drop table notes; -- %s %(text)s :text ? \\ \n\t"ß" Ñ 你好 🪪 \u202e'
Row = tuple[str, int, str | None, int | None]
Write = Callable[[sa.Connection, sa.Table, Rows], None]


def row(place: str, number: int, text: str | None, amount: int | None) -> dict[str, object]:
    return {"place": place, "number": number, "text": text, "amount": amount}


def notes(engine: sa.Engine) -> list[Row]:
    with engine.connect() as db:
        return [(*found,) for found in db.execute(sa.select(NOTES).order_by(NOTES.c.place, NOTES.c.number))]


class Cases:
    @pytest.fixture(autouse=True)
    def tables(self, engine: sa.Engine) -> None:
        TABLES.create_all(engine)

    @pytest.mark.parametrize("write", [upsert, insert_new])
    @pytest.mark.parametrize(
        ("text", "amount"),
        [
            ("", 0),
            (ODD, -1),
            (None, None),
            ("a", 2**63 - 1),
            ("a", -(2**63)),
            ("a", micros(datetime.max.replace(tzinfo=UTC))),
        ],
    )
    def test_what_is_written_is_what_is_read(
        self, engine: sa.Engine, write: Write, text: str | None, amount: int | None
    ) -> None:
        with engine.begin() as db:
            write(db, NOTES, [row(ODD, 1, text, amount), row(ODD, 2, "b", 5)])
        assert notes(engine) == [(ODD, 1, text, amount), (ODD, 2, "b", 5)]

    def test_a_row_whose_key_is_there_is_overwritten_as_a_whole(self, engine: sa.Engine) -> None:
        with engine.begin() as db:
            upsert(db, NOTES, [row("a", 1, "old", 1), row("a", 2, "old", 2), row("b", 1, "old", 3)])
            upsert(db, NOTES, [row("a", 2, None, 7), row("b", 2, "new", None)])
        assert notes(engine) == [("a", 1, "old", 1), ("a", 2, None, 7), ("b", 1, "old", 3), ("b", 2, "new", None)]

    def test_a_row_whose_key_is_there_stays_when_only_new_ones_are_wanted(self, engine: sa.Engine) -> None:
        with engine.begin() as db:
            insert_new(db, NOTES, [row("a", 1, None, 1)])
            insert_new(db, NOTES, [row("a", 1, "new", 2), row("a", 2, "new", 2)])
        assert notes(engine) == [("a", 1, None, 1), ("a", 2, "new", 2)]

    def test_of_two_rows_with_one_key_the_last_overwrites_and_the_first_stays(self, engine: sa.Engine) -> None:
        twice = [row("a", 1, "first", 1), row("a", 1, "second", 2)]
        with engine.begin() as db:
            insert_new(db, NOTES, twice)
        assert notes(engine) == [("a", 1, "first", 1)]
        with engine.begin() as db:
            upsert(db, NOTES, twice)
        assert notes(engine) == [("a", 1, "second", 2)]

    def test_a_row_that_is_all_key_may_be_written_again(self, engine: sa.Engine) -> None:
        with engine.begin() as db:
            for write in (upsert, insert_new, upsert):
                write(db, SEEN, [{"case": "a"}, {"case": "b"}])
            assert sorted(db.execute(sa.select(SEEN.c.case)).scalars()) == ["a", "b"]

    def test_a_statement_runs_with_the_values_of_each_row(self, engine: sa.Engine) -> None:
        here = (NOTES.c.place == sa.bindparam("where"), NOTES.c.number < sa.bindparam("below"))
        change = sa.update(NOTES).where(*here).values(text=sa.bindparam("text"), amount=sa.bindparam("amount"))
        with engine.begin() as db:
            insert_new(db, NOTES, [row("a", 1, "old", 1), row("a", 5, "old", 1), row("b", 1, "old", 1)])
            run_many(
                db,
                change,
                [
                    {"text": ODD, "where": "a", "amount": None, "below": 5},
                    {"text": None, "where": "b", "amount": 9, "below": 5},
                ],
            )
        assert notes(engine) == [("a", 1, ODD, None), ("a", 5, "old", 1), ("b", 1, None, 9)]

    def test_no_rows_change_nothing(self, engine: sa.Engine) -> None:
        with engine.begin() as db:
            insert_new(db, NOTES, [row("a", 1, "old", 1)])
            upsert(db, NOTES, [])
            insert_new(db, NOTES, [])
            run_many(db, sa.delete(NOTES), [])
        assert notes(engine) == [("a", 1, "old", 1)]

    def test_a_stage_is_stored_as_its_text(self, engine: sa.Engine) -> None:
        change = sa.update(NOTES).where(NOTES.c.text == sa.bindparam("from")).values(text=sa.bindparam("to"))
        with engine.begin() as db:
            for number, write in enumerate((upsert, insert_new), 1):
                write(db, NOTES, [row("a", number, Stage.QUEUED, None)])
            assert db.exec_driver_sql("select count(*) from notes where text = 'queued'").scalar_one() == 2
            run_many(db, change, [{"from": Stage.QUEUED, "to": Stage.PRINTED}])
        assert [type(text) for _, _, text, _ in notes(engine)] == [str, str]
        assert [text for _, _, text, _ in notes(engine)] == ["printed", "printed"]

    def test_who_asks_does_not_wait_for_who_writes(self, engine: sa.Engine) -> None:
        with engine.begin() as db:
            insert_new(db, NOTES, [row("a", 1, "old", 1)])
        with engine.begin() as writing:
            upsert(writing, NOTES, [row("a", 1, "new", 1), row("a", 2, "new", 1)])
            assert notes(engine) == [("a", 1, "old", 1)]
        assert notes(engine) == [("a", 1, "new", 1), ("a", 2, "new", 1)]


class TestOnSqlite(OnSqlite, Cases):
    def test_it_is_the_file_where_nothing_else_is_said(self, engine: sa.Engine, tmp_path: Path) -> None:
        assert (tmp_path / "views.sqlite").exists()
        again = open_database(tmp_path / "views.sqlite")
        assert notes(again) == notes(engine) == []
        again.dispose()

    def test_what_was_committed_is_on_disk(self, engine: sa.Engine) -> None:
        with engine.connect() as db:
            assert db.exec_driver_sql("pragma journal_mode").scalar_one() == "wal"
            assert db.exec_driver_sql("pragma synchronous").scalar_one() == 2  # full


class TestOnPostgres(OnPostgres, Cases):
    def test_the_environment_names_it_and_no_file_is_made(self, engine: sa.Engine, tmp_path: Path) -> None:
        assert engine.dialect.name == "postgresql"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "moment",
    [
        datetime(2026, 11, 25, 9, 0, 0, 123457, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 11, 25, 9, tzinfo=timezone(timedelta(hours=7))),
        datetime.min.replace(tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ],
)
def test_an_instant_is_kept_to_the_microsecond_in_any_zone(moment: datetime) -> None:
    assert instant(micros(moment)) == moment
    assert instant(micros(moment)).tzinfo is UTC


def test_microseconds_count_from_1970_utc() -> None:
    assert micros(datetime(1970, 1, 1, 7, tzinfo=timezone(timedelta(hours=7)))) == 0
    assert micros(datetime(1970, 1, 2, tzinfo=UTC)) == 86_400_000_000
