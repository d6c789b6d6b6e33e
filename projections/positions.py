"""How far each view is, and which events it has set aside: in the views' database, so that both move with the rows."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from infra.database import insert_new, upsert


class Named(Protocol):
    """What tells one version of a view from another."""

    NAME: str
    VERSION: int


TABLES = sa.MetaData()
_POSITIONS = sa.Table(
    "positions",
    TABLES,
    sa.Column("projection", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("position", sa.BigInteger, nullable=False),
)
SET_ASIDE = sa.Table(
    "set_aside",
    TABLES,
    sa.Column("projection", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("why", sa.String, nullable=False),
)


class MovedByAnother(Exception):
    """Another runner has moved this view on; nothing of ours was written. Read its position again."""


def position(db: sa.Connection, view: Named) -> int:
    """The view holds everything up to here. 0 for one that is new."""
    insert_new(db, _POSITIONS, [{"projection": view.NAME, "version": view.VERSION, "position": 0}])
    found: int = db.execute(sa.select(_POSITIONS.c.position).where(*_of(_POSITIONS, view))).scalar_one()
    return found


def move(db: sa.Connection, view: Named, before: int, after: int) -> None:
    """In the transaction of the rows. Raises MovedByAnother where it is not at `before`."""
    here = sa.update(_POSITIONS).where(*_of(_POSITIONS, view), _POSITIONS.c.position == before)
    if db.execute(here.values(position=after)).rowcount != 1:
        raise MovedByAnother


def put(db: sa.Connection, view: Named, position: int, aside: Sequence[Mapping[str, Any]]) -> None:
    """Say where a view is that was built elsewhere, and what it has set aside."""
    upsert(db, _POSITIONS, [{"projection": view.NAME, "version": view.VERSION, "position": position}])
    db.execute(sa.delete(SET_ASIDE).where(*_of(SET_ASIDE, view)))
    upsert(db, SET_ASIDE, aside)


def set_aside(db: sa.Connection, view: Named, seq: int, subject: str, why: str) -> None:
    """Remember an event that this view could not take, or that follows one in its subject."""
    row = {"projection": view.NAME, "version": view.VERSION, "seq": seq, "subject": subject, "why": why}
    upsert(db, SET_ASIDE, [row])


def aside(db: sa.Connection, view: Named) -> list[sa.RowMapping]:
    """The events set aside (seq, subject, why), in journal order."""
    query = sa.select(SET_ASIDE).where(*_of(SET_ASIDE, view)).order_by(SET_ASIDE.c.seq)
    return list(db.execute(query).mappings())


def taken_back(db: sa.Connection, view: Named, seq: int) -> None:
    """The view has taken this event after all. Raises MovedByAnother where another has seen to that."""
    if db.execute(sa.delete(SET_ASIDE).where(*_of(SET_ASIDE, view), SET_ASIDE.c.seq == seq)).rowcount != 1:
        raise MovedByAnother


def _of(table: sa.Table, view: Named) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return table.c.projection == view.NAME, table.c.version == view.VERSION
