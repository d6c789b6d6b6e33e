"""Live views against a fold of the journal, row by row: what differs did not come from the journal, or not rightly.

Both are compared at one position: the live rows are read in one transaction, which sees one moment, and the fold is brought
to the position that is read in it. The fold is a file of its own, so memory stays bounded; the views run on meanwhile.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from heapq import merge
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, Final

import sqlalchemy as sa

from infra.database import scratch_database
from infra.journal import Journal
from infra.journal_reader import read
from projections import positions
from projections.views import Projection, Views

LISTED_MAX = 20
_SHOWN: Final = re.compile(r"(?!\d{16}$)[\w.-]{1,64}", re.ASCII)  # codes and ids; not what may be a NIK or a sentence
_ROW = "row"  # stands for all columns where only one side has it
_Keyed = tuple[tuple[Any, ...], str, sa.Row[Any]]  # key, side, row
_KEY: Final = itemgetter(0)


@dataclass(frozen=True)
class Difference:
    """One value that is not what follows from the journal. Values that might name somebody are not shown."""

    view: str
    table: str
    key: dict[str, Any]
    column: str
    live: Any
    folded: Any


@dataclass
class Comparison:
    """What came of it; the first LISTED_MAX differences are listed, all are counted."""

    position: int = 0
    rows: int = 0
    count: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, view: str, table: sa.Table, key: Sequence[Any], column: str, live: Any, folded: Any) -> None:
        self.count += 1
        if len(self.differences) < LISTED_MAX:
            named = {str(part.name): _shown(value) for part, value in zip(table.primary_key, key, strict=True)}
            self.differences.append(Difference(view, str(table.name), named, column, _shown(live), _shown(folded)))


async def compare(journal: Journal, live: sa.Engine, projections: Sequence[Projection]) -> Comparison:
    """All rows of these views. Raises JournalDamaged."""
    scratch = scratch_database()
    try:
        with live.connect() as db:
            await _fold(journal, scratch, projections, min(_positions(db, projections).values()))
        with live.connect() as db:
            _see_one_moment(db)
            there = _positions(db, projections)
            for projection in projections:
                await _fold(journal, scratch, [projection], there[projection.NAME])
            return await asyncio.to_thread(_compare, db, scratch, projections, min(there.values()))
    finally:
        scratch.dispose()


async def _fold(journal: Journal, scratch: sa.Engine, projections: Sequence[Projection], until: int) -> None:
    views = Views(scratch, projections, indexes=False)
    async with aclosing(read(journal, views.position, until)) as batches:
        async for batch in batches:
            await asyncio.to_thread(views.apply, batch)


def _positions(db: sa.Connection, projections: Sequence[Projection]) -> dict[str, int]:
    """Where each view is. Asked without a write, which would wait for the runner."""
    table = positions.TABLES.tables["positions"]
    rows = db.execute(sa.select(table.c.projection, table.c.version, table.c.position))
    found = {(name, version): position for name, version, position in rows}
    return {projection.NAME: found[projection.NAME, projection.VERSION] for projection in projections}


def _see_one_moment(db: sa.Connection) -> None:
    """From here on `db` reads what was there at its next question."""
    if db.dialect.name == "postgresql":
        db.execution_options(isolation_level="REPEATABLE READ")
    else:
        db.exec_driver_sql("begin")  # pysqlite begins one for writing alone


def _compare(db: sa.Connection, scratch: sa.Engine, projections: Sequence[Projection], position: int) -> Comparison:
    found = Comparison(position)
    with scratch.connect() as folded:
        for projection in projections:
            for table in projection.TABLES.sorted_tables:
                _compare_table(found, projection.NAME, table, db, folded)
    return found


def _compare_table(found: Comparison, view: str, table: sa.Table, live: sa.Connection, folded: sa.Connection) -> None:
    names = [str(column.name) for column in table.columns]
    keys = [names.index(column.name) for column in table.primary_key]

    def keyed(side: str, rows: Iterable[sa.Row[Any]]) -> Iterator[_Keyed]:
        for row in rows:
            yield tuple([row[index] for index in keys]), side, row

    both = merge(keyed("live", _rows(live, table)), keyed("folded", _rows(folded, table)), key=_KEY)
    for key, group in groupby(both, _KEY):
        found.rows += 1
        there = {side: row for _, side, row in group}
        if len(there) == 1:
            found.add(view, table, key, _ROW, *("there" if side in there else "missing" for side in ("live", "folded")))
        elif there["live"] != there["folded"]:
            for name, here, right in zip(names, there["live"], there["folded"], strict=True):
                if here != right:
                    found.add(view, table, key, name, here, right)


def _rows(db: sa.Connection, table: sa.Table) -> Iterator[sa.Row[Any]]:
    """In the order of their keys as Python compares them, some at a time."""
    by_bytes = db.dialect.name == "postgresql"
    order = [
        sa.collate(key, "C") if by_bytes and isinstance(key.type, sa.String) else key for key in table.primary_key.columns
    ]
    pages = db.execute(sa.select(table).order_by(*order).execution_options(yield_per=1_000)).partitions()
    return chain.from_iterable(pages)


def _shown(value: Any) -> Any:
    return value if not isinstance(value, str) or _SHOWN.fullmatch(value) else "(not shown)"
