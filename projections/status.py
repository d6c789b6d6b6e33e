"""Where each case stands: stage, since when, its place in the print queue, its history. Holds no name and no NIK."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from events.application import CaseFact, Corrected, Submitted, stage_reached
from events.envelope import Event
from events.stages import Kind, Stage
from infra.database import instant, micros

NAME, VERSION = "status", 1
TABLES = sa.MetaData()
CASES = sa.Table(
    f"status_cases_v{VERSION}",
    TABLES,
    sa.Column("case", sa.String, primary_key=True),
    sa.Column("receipt", sa.String, unique=True),
    sa.Column("office", sa.String),
    sa.Column("kind", sa.String),
    sa.Column("resident", sa.String, index=True),
    sa.Column("promised", sa.Integer),
    sa.Column("stage", sa.String),
    sa.Column("stage_event", sa.String),  # id of the event that brought it to this stage
    sa.Column("since", sa.Integer),
    sa.Column("seq", sa.Integer),  # of that event: breaks ties in the queue
    sa.Column("version", sa.Integer),
)
sa.Index(f"status_queue_v{VERSION}", CASES.c.office, CASES.c.stage, CASES.c.since, CASES.c.seq)
HISTORY = sa.Table(
    f"status_history_v{VERSION}",
    TABLES,
    sa.Column("case", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("id", sa.String),
    sa.Column("event", sa.String),
    sa.Column("occurred", sa.Integer),  # as corrected
    sa.Column("recorded", sa.Integer),
    sa.Column("seq", sa.Integer),
    sa.Column("actor", sa.String),
)
CORRECTIONS = sa.Table(
    f"status_corrections_v{VERSION}",
    TABLES,
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("corrects", sa.String),
    sa.Column("recorded", sa.Integer),
    sa.Column("occurred", sa.Integer),
    sa.Column("actor", sa.String),
)
_SELECT_MAX = 500  # ids in one query


@dataclass(frozen=True)
class Line:
    """One line of a case's history."""

    event: str
    id: str
    occurred: datetime
    recorded: datetime
    seq: int
    actor: str | None


@dataclass(frozen=True)
class CaseStatus:
    """Where a case stands. `place` (number, of) counts from 1 and is known while it is queued for print."""

    receipt: str
    case: str
    office: str
    kind: Kind
    stage: Stage
    since: datetime
    promised: datetime
    place: tuple[int, int] | None
    history: list[Line]


def apply(db: sa.Connection, events: Sequence[Event]) -> None:
    """Change the rows for these events. An event that a case has seen already changes nothing."""
    ours = [event for event in events if isinstance(event.fact, CaseFact)]
    cases = _rows(db, {event.entity_id for event in ours})
    history: list[dict[str, Any]] = []
    for event in ours:
        fact = event.fact
        row = cases.get(event.entity_id)
        if row is None and isinstance(fact, Submitted):
            row = cases[event.entity_id] = {"case": event.entity_id, "version": 0}
        if row is None or event.version <= row["version"]:
            continue  # seen before; or, as of then, not yet submitted
        row["version"] = event.version
        if isinstance(fact, Corrected):
            _correct(db, row, event, fact, history)
        else:
            if isinstance(fact, Submitted):
                row |= {
                    "receipt": fact.receipt,
                    "office": event.place,
                    "kind": fact.kind,
                    "resident": fact.resident,
                    "promised": micros(fact.promised),
                }
            row |= {"stage": stage_reached(fact), "stage_event": event.id, "since": micros(event.occurred), "seq": event.seq}
        history.append(_history_row(event))
    if history:
        statement = insert(CASES)
        db.execute(
            statement.on_conflict_do_update(index_elements=["case"], set_=dict(statement.excluded)), list(cases.values())
        )
        db.execute(insert(HISTORY), history)


def status(db: sa.Connection, receipt: str) -> CaseStatus | None:
    """Where this case stands; None when the view knows no such receipt."""
    row = db.execute(sa.select(CASES).where(CASES.c.receipt == receipt)).mappings().first()
    if row is None:
        return None
    lines = db.execute(sa.select(HISTORY).where(HISTORY.c.case == row["case"]).order_by(HISTORY.c.version)).mappings()
    return CaseStatus(
        receipt=row["receipt"],
        case=row["case"],
        office=row["office"],
        kind=Kind(row["kind"]),
        stage=Stage(row["stage"]),
        since=instant(row["since"]),
        promised=instant(row["promised"]),
        place=_place(db, row) if row["stage"] == Stage.QUEUED else None,
        history=[
            Line(line["event"], line["id"], instant(line["occurred"]), instant(line["recorded"]), line["seq"], line["actor"])
            for line in lines
        ],
    )


def receipts_of(db: sa.Connection, resident: str, office: str | None) -> list[str]:
    """The receipts of one resident, oldest first; at one office, or at all."""
    query = sa.select(CASES.c.receipt).where(CASES.c.resident == resident).order_by(CASES.c.promised)
    if office:
        query = query.where(CASES.c.office == office)
    return list(db.execute(query).scalars())


def corrections(db: sa.Connection, recorded_until: datetime | None) -> dict[str, tuple[datetime | None, str | None]]:
    """What corrections recorded until then say of which event: (occurred, actor), None where unchanged."""
    query = sa.select(CORRECTIONS).order_by(CORRECTIONS.c.seq)
    if recorded_until:
        query = query.where(CORRECTIONS.c.recorded <= micros(recorded_until))
    found: dict[str, tuple[datetime | None, str | None]] = {}
    for row in db.execute(query).mappings():
        occurred, actor = found.get(row["corrects"], (None, None))
        if row["occurred"] is not None:
            occurred = instant(row["occurred"])
        found[row["corrects"]] = (occurred, row["actor"] or actor)
    return found


def _rows(db: sa.Connection, cases: set[str]) -> dict[str, dict[str, Any]]:
    wanted = sorted(cases)
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), _SELECT_MAX):
        query = sa.select(CASES).where(CASES.c.case.in_(wanted[start : start + _SELECT_MAX]))
        found |= {row["case"]: dict(row) for row in db.execute(query).mappings()}
    return found


def _history_row(event: Event) -> dict[str, Any]:
    assert event.recorded is not None
    return {
        "case": event.entity_id,
        "version": event.version,
        "id": event.id,
        "event": event.name,
        "occurred": micros(event.occurred),
        "recorded": micros(event.recorded),
        "seq": event.seq,
        "actor": event.actor,
    }


def _correct(db: sa.Connection, row: dict[str, Any], event: Event, fact: Corrected, unwritten: list[dict[str, Any]]) -> None:
    """Put the corrected time and actor into the history line, which may be of this very batch."""
    assert event.recorded is not None
    occurred = micros(fact.at) if fact.at else None
    db.execute(
        insert(CORRECTIONS).values(
            seq=event.seq,
            corrects=fact.corrects,
            recorded=micros(event.recorded),
            occurred=occurred,
            actor=fact.new_actor,
        )
    )
    changed = {"occurred": occurred, "actor": fact.new_actor}
    changed = {column: value for column, value in changed.items() if value is not None}
    if not changed:
        return
    for line in unwritten:
        if line["id"] == fact.corrects:
            line.update(changed)
    db.execute(sa.update(HISTORY).where(HISTORY.c.case == row["case"], HISTORY.c.id == fact.corrects).values(changed))
    if occurred and row["stage_event"] == fact.corrects:
        row["since"] = occurred


def _place(db: sa.Connection, row: sa.RowMapping) -> tuple[int, int]:
    same_queue = sa.select(sa.func.count()).where(CASES.c.office == row["office"], CASES.c.stage == row["stage"])
    own = sa.tuple_(CASES.c.since, CASES.c.seq) <= sa.tuple_(row["since"], row["seq"])
    return db.execute(same_queue.where(own)).scalar_one(), db.execute(same_queue).scalar_one()
