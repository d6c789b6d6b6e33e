"""What a start asks of the views' database: how far they had read, and whether it is still a database.

Views follow the journal within milliseconds, the signed log within seconds: they know of events that nothing else does.
Views in a PostgreSQL are not asked: the folder is all that a start depends on.
"""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import structlog

from infra.data_folder import DataFolder

log = structlog.get_logger()

_NOT_DAMAGE = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}


def seen_by_views(folder: DataFolder) -> int:
    """A position that two views have reached, as one flipped bit must not halt a backbone; 0 where they cannot tell."""
    try:
        with closing(_opened(folder)) as db:
            reached = [int(row[0]) for row in db.execute("select position from positions order by position desc limit 2")]
    except (sqlite3.Error, ValueError, TypeError):
        return 0
    return reached[1] if len(reached) == 2 else 0


def set_broken_views_aside(folder: DataFolder) -> None:
    """Where no reader could work with them, so that they are built anew. Nobody may have them open. Raises OSError.

    A value that was changed within a row is not noticed: `ektp doctor --compare` finds it.
    """
    if not _file(folder).exists():
        return
    try:
        with closing(_opened(folder)) as db:
            (found,) = db.execute("pragma quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF in _NOT_DAMAGE:
            return
        found = str(error)
    if found != "ok":
        aside = folder.aside / f"views-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
        log.error("the views are damaged and are built anew", why=found, set_aside=str(aside))
        folder.views.rename(aside)
        folder.views.mkdir(mode=0o700)


def _opened(folder: DataFolder) -> sqlite3.Connection:
    return sqlite3.connect(f"{_file(folder).as_uri()}?mode=ro", uri=True, timeout=10)


def _file(folder: DataFolder) -> Path:
    return folder.views / "views.sqlite"
