"""One process at a time runs the projections of a database: a lock that ends with its holder, kill -9 included."""

import fcntl
import os
from typing import Self

import sqlalchemy as sa

# PostgreSQL's advisory locks are numbers within one database: "ektp", and one for the schema, so that a view can be built
# in another while this one is served.
_LOCK = sa.select(sa.func.pg_try_advisory_lock(0x656B7470, sa.func.hashtext(sa.func.current_schema())))


class SoleRunner:
    """The right to run the projections of this database. Use as a context, and ask `is_ours` until it is."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._file: int | None = None
        self._session: sa.Connection | None = None

    def is_ours(self) -> bool:
        """Take the right if nobody has it. A lock lost with its database connection is noticed by who writes positions."""
        if self._engine.dialect.name == "postgresql":
            self._session = self._session or self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            return bool(self._session.execute(_LOCK).scalar_one())
        if not self._engine.url.database:  # in memory: nobody else sees it
            return True
        if self._file is None:
            self._file = os.open(f"{self._engine.url.database}.runner", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
        if self._session is not None:
            self._session.invalidate()  # ends the session, and with it the lock
            self._session.close()
