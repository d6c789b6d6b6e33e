"""Which rows the journal has already: read once, when a book turns out to be known, so that no case need be loaded.

Only what is there is remembered, and nothing is ever taken out of the journal, so an answer stays true. It is kept in a
temporary SQLite file: some 60 bytes of disk for each event, and a few MB of memory however long the journal is.
"""

import sqlite3
from contextlib import aclosing
from typing import Any

import orjson
import structlog

from infra.journal import Journal, Stored
from infra.journal_reader import read

log = structlog.get_logger()

_CACHE_KIB = 32_768


class KnownRows:
    """Event ids and digests of all that was imported up to one position of the journal."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)  # a file of its own that vanishes with the connection
        self._db.execute(f"pragma cache_size=-{_CACHE_KIB}")
        self._db.execute("pragma journal_mode=off")
        self._db.execute("create table known (id blob primary key, digest text) without rowid")

    def has(self, event_id: str, digest: str) -> bool:
        """Whether this very row was imported before. False is no proof that it was not."""
        found = self._db.execute("select digest from known where id=?", (bytes.fromhex(event_id),)).fetchone()
        return found is not None and found[0] == digest

    def add(self, batch: list[Stored]) -> None:
        """Remember the imported events among these."""
        self._db.execute("begin")
        self._db.executemany("insert or ignore into known values (?, ?)", filter(None, map(_imported, batch)))
        self._db.execute("commit")


async def known_rows(journal: Journal) -> KnownRows:
    """All rows that the journal holds now. Raises JournalDamaged, JournalBusy."""
    known, head = KnownRows(), await journal.last_seq()
    async with aclosing(read(journal, 0, head)) as batches:
        async for batch in batches:
            known.add(batch)
    log.info("rows known", events=head)
    return known


def _imported(stored: Stored) -> tuple[bytes, str] | None:
    event: dict[str, Any] = orjson.loads(stored.body)
    if event["causationid"] != "import" or "digest" not in event["data"]:
        return None
    return bytes.fromhex(event["id"]), event["data"]["digest"]
