"""The database of the views: SQLite in the data folder. Instants are stored as microseconds since 1970 UTC."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def open_database(path: Path) -> sa.Engine:
    """The views' database file, made where it is missing; readers never wait for the runner (WAL)."""
    engine = sa.create_engine(f"sqlite:///{path}")

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")  # a position is on disk when it is told
        connection.execute("pragma busy_timeout=10000")

    return engine


def scratch_database() -> sa.Engine:
    """A database in memory for one as-of question."""
    return sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


def micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def instant(micros: int) -> datetime:
    """The UTC instant of `micros` microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)
