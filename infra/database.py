"""The views' database: SQLite in the data folder, or PostgreSQL where EKTP_DATABASE_URL says so. One code for both.

Instants are stored as microseconds since 1970 UTC.
"""

import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import StaticPool
from sqlalchemy.schema import CreateIndex, CreateTable

URL_VARIABLE = "EKTP_DATABASE_URL"  # such as postgresql+psycopg://user@host/database
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CACHE_KIB, _LOG_PAGES = 64 * 1024, 16_000  # a city's views spread wide: with SQLite's own, pages go to and fro
POSITION = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # as a key: there an Integer has 64 bits, and needs no index
Rows = Sequence[Mapping[str, Any]]


def open_database(path: Path) -> sa.Engine:
    """The views' database: that of EKTP_DATABASE_URL, else the file at `path`, made where it is missing.

    Readers never wait for the runner.
    """
    if url := os.environ.get(URL_VARIABLE):
        return sa.create_engine(url)
    return open_sqlite(path)


def open_sqlite(path: Path) -> sa.Engine:
    """A database file, made where it is missing."""
    engine = sa.create_engine(f"sqlite:///{path}", pool_use_lifo=True)  # the last one's cache is warm, others stay small

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")  # a position is on disk when it is told
        connection.execute("pragma busy_timeout=10000")
        connection.execute(f"pragma cache_size=-{_CACHE_KIB}")
        connection.execute(f"pragma wal_autocheckpoint={_LOG_PAGES}")

    return engine


def scratch_database() -> sa.Engine:
    """A database that is gone when it is disposed of: in memory as far as it is small, then in a file without a name."""

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect("", check_same_thread=False)
        connection.execute("pragma synchronous=off")
        connection.execute("pragma journal_mode=memory")
        connection.execute(f"pragma cache_size=-{_CACHE_KIB}")
        return connection

    return sa.create_engine("sqlite://", creator=connect, poolclass=StaticPool)


def create_tables(engine: sa.Engine, tables: Iterable[sa.MetaData], *, indexes: bool = True) -> None:
    """Make those that are missing; several processes may do so at once. Without `indexes` much is written in half the time,
    and create_indexes follows; one that writing needs has `info={"always": True}`."""
    lock = "select pg_advisory_xact_lock(0)" if engine.dialect.name == "postgresql" else "begin immediate"
    with engine.begin() as db:
        db.exec_driver_sql(lock)
        for table in itertools.chain.from_iterable(some.sorted_tables for some in tables):
            db.execute(CreateTable(table, if_not_exists=True))
            create_indexes(db, [index for index in table.indexes if indexes or index.info.get("always")])


def create_indexes(db: sa.Connection, indexes: Iterable[sa.Index]) -> None:
    """Make those that are missing."""
    for index in indexes:
        db.execute(CreateIndex(index, if_not_exists=True))


def upsert(db: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Write whole rows; one with the same primary key is overwritten. Values are integers, text or None."""
    run_many(db, _insert(table, db.dialect.name, "overwrite"), rows)


def insert_new(db: sa.Connection, table: sa.Table, rows: Rows) -> None:
    """Write whole rows; one whose primary key is there already stays as it was."""
    run_many(db, _insert(table, db.dialect.name, "keep"), rows)


def run_many(db: sa.Connection, statement: sa.Insert | sa.Update | sa.Delete, rows: Rows) -> None:
    """Run `statement`, which is made once, with the bound parameters of each row (integers, text or None).

    SQLAlchemy's own way takes three times as long as SQLite.
    """
    if rows:
        sql, values = _compiled(statement, db.dialect.name)
        db.exec_driver_sql(sql, list(map(values, rows)))


def micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    since = instant - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds  # half the time of // timedelta


def instant(micros: int) -> datetime:
    """The UTC instant of `micros` microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


@cache
def _insert(table: sa.Table, dialect: str, existing: Literal["overwrite", "keep"]) -> sa.Insert:
    module: Any = postgresql if dialect == "postgresql" else sqlite
    statement, keys = module.insert(table), [column.name for column in table.primary_key]
    statement = statement.values({column.name: sa.bindparam(column.name) for column in table.columns})
    others = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    if existing == "overwrite" and others:
        overwriting: sa.Insert = statement.on_conflict_do_update(index_elements=keys, set_=others)
        return overwriting
    keeping: sa.Insert = statement.on_conflict_do_nothing(index_elements=keys)
    return keeping


@cache
def _compiled(statement: sa.Insert | sa.Update | sa.Delete, dialect: str) -> tuple[str, Callable[[Mapping[str, Any]], Any]]:
    """The driver's SQL, and what makes its parameters of a row."""
    spoken: Any = postgresql.psycopg if dialect == "postgresql" else sqlite.pysqlite
    compiled = statement.compile(dialect=spoken.dialect())
    if not (order := compiled.positiontup):
        return str(compiled), dict
    return str(compiled), itemgetter(*order) if len(order) > 1 else lambda row: (row[order[0]],)
