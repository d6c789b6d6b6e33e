"""What lies on the desks: the queue of each open stage, and printed cards that nobody has fetched. Asked of status.CASES."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from events.offices import OFFICES
from events.stages import Stage
from infra.database import instant, micros
from projections.status import CASES

PAGE_ROWS = 100
_DAY = 24 * 3600 * 1_000_000  # microseconds


@dataclass(frozen=True)
class Waiting:
    """A case that stands in a stage since then."""

    receipt: str
    office: str
    kind: str
    since: datetime


@dataclass(frozen=True)
class Queue:
    """One page of the cases in a stage, the oldest first."""

    count: int  # on all pages
    oldest: datetime | None  # since when the first of the first page waits
    cases: list[Waiting]


def queue(db: sa.Connection, stage: Stage, office: str | None, page: int) -> Queue:
    """The `page`-th hundred, from 1; at one office or at all."""
    here = _standing(stage, office)
    count, oldest = db.execute(sa.select(sa.func.count(), sa.func.min(CASES.c.since)).where(*here)).one()
    columns = (CASES.c.receipt, CASES.c.office, CASES.c.kind, CASES.c.since)
    rows = sa.select(*columns).where(*here).order_by(CASES.c.since, CASES.c.seq)
    found = db.execute(rows.limit(PAGE_ROWS).offset((page - 1) * PAGE_ROWS))
    return Queue(
        count,
        None if oldest is None else instant(oldest),
        [Waiting(receipt, place, kind, instant(since)) for receipt, place, kind, since in found],
    )


def older(db: sa.Connection, stage: Stage, office: str | None, at: datetime, days: Sequence[int]) -> dict[int, int]:
    """By number of days: how many cases have at `at` stood in this stage for longer than that."""
    counts = [sa.func.count().filter(CASES.c.since < micros(at) - each * _DAY) for each in days]
    return dict(zip(days, db.execute(sa.select(*counts).where(*_standing(stage, office))).one(), strict=True))


def _standing(stage: Stage, office: str | None) -> list[sa.ColumnElement[bool]]:
    """All offices by name: without one the index by office and stage would not be used."""
    return [CASES.c.stage == stage.value, CASES.c.office.in_([office] if office else OFFICES)]
