"""Where each case stands: stage, since when, its place in the print queue, its history. Holds no name and no NIK."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from events.application import CaseFact, Corrected, Submitted, stage_reached
from events.envelope import Event
from events.stages import Kind, Stage
from infra.database import POSITION, insert_new, instant, micros, run_many

NAME, VERSION = "status", 3  # 3: the history by position in the journal, where new lines come last
TABLES = sa.MetaData()
CASES = sa.Table(
    f"status_cases_v{VERSION}",
    TABLES,
    sa.Column("case", sa.String, primary_key=True),
    sa.Column("receipt", sa.String, unique=True),
    sa.Column("office", sa.String),
    sa.Column("kind", sa.String),
    sa.Column("resident", sa.String, index=True),
    sa.Column("promised", sa.BigInteger),
    sa.Column("stage", sa.String),
    sa.Column("stage_event", sa.String),  # id of the event that brought it to this stage
    sa.Column("since", sa.BigInteger),
    sa.Column("seq", sa.BigInteger),  # of that event: breaks ties in the queue
    sa.Column("version", sa.Integer),
)
sa.Index(f"status_queue_v{VERSION}", CASES.c.office, CASES.c.stage, CASES.c.since, CASES.c.seq)
HISTORY = sa.Table(
    f"status_history_v{VERSION}",
    TABLES,
    sa.Column("seq", POSITION, primary_key=True),
    sa.Column("case", sa.String),
    sa.Column("version", sa.Integer),
    sa.Column("office", sa.String),
    sa.Column("id", sa.String),
    sa.Column("event", sa.String),
    sa.Column("occurred", sa.BigInteger),  # as corrected
    sa.Column("recorded", sa.BigInteger),
    sa.Column("actor", sa.String),
)
sa.Index(f"status_lines_v{VERSION}", HISTORY.c.case, HISTORY.c.version)
sa.Index(f"status_pace_v{VERSION}", HISTORY.c.office, HISTORY.c.event, HISTORY.c.occurred)
CORRECTIONS = sa.Table(
    f"status_corrections_v{VERSION}",
    TABLES,
    sa.Column("seq", POSITION, primary_key=True),
    sa.Column("corrects", sa.String),
    sa.Column("recorded", sa.BigInteger),
    sa.Column("occurred", sa.BigInteger),
    sa.Column("actor", sa.String),
)
sa.Index(f"status_corrects_v{VERSION}", CORRECTIONS.c.corrects, info={"always": True})
_MOVE = (  # a case to its next stage; one that has seen the event already stays
    sa.update(CASES)
    .where(CASES.c.case == sa.bindparam("moved"), CASES.c.version < sa.bindparam("version"))
    .values({name: sa.bindparam(name) for name in ("stage", "stage_event", "since", "seq", "version")})
)


def _corrected(value: sa.Column[Any], event: sa.Column[str]) -> sa.ColumnElement[Any]:
    """The last correction of that event that changes the value; None: it is as it was."""
    last = sa.select(value).where(CORRECTIONS.c.corrects == event, value.is_not(None)).order_by(CORRECTIONS.c.seq.desc())
    return last.limit(1).scalar_subquery()


_CORRECT_LINES = (
    sa.update(HISTORY)
    .where(HISTORY.c.case.in_(sa.bindparam("cases", expanding=True)), HISTORY.c.id.in_(sa.select(CORRECTIONS.c.corrects)))
    .values(
        occurred=sa.func.coalesce(_corrected(CORRECTIONS.c.occurred, HISTORY.c.id), HISTORY.c.occurred),
        actor=sa.func.coalesce(_corrected(CORRECTIONS.c.actor, HISTORY.c.id), HISTORY.c.actor),
    )
)
_CORRECT_CASE = (
    sa.update(CASES)
    .where(CASES.c.case == sa.bindparam("moved"))
    .values(
        version=sa.case((CASES.c.version < sa.bindparam("seen"), sa.bindparam("seen")), else_=CASES.c.version),
        since=sa.func.coalesce(_corrected(CORRECTIONS.c.occurred, CASES.c.stage_event), CASES.c.since),
    )
)


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
    """Change the rows for these events, which follow upon the view's position. The same ones once more change nothing."""
    new: dict[str, dict[str, Any]] = {}  # by case
    last: dict[str, dict[str, Any]] = {}  # by case: where it is
    history: list[dict[str, Any]] = []
    corrections: list[tuple[Event, Corrected]] = []
    for event in events:
        fact, case = event.fact, event.entity_id
        if not isinstance(fact, CaseFact):
            continue
        history.append(line := _line(event))
        if isinstance(fact, Corrected):
            corrections.append((event, fact))
            continue
        last[case] = {
            "moved": case,
            "stage": stage_reached(fact),
            "stage_event": event.id,
            "since": line["occurred"],
            "seq": event.seq,
            "version": event.version,
        }
        if isinstance(fact, Submitted):
            new[case] = {
                "case": case,
                "receipt": fact.receipt,
                "office": event.place,
                "kind": fact.kind,
                "resident": fact.resident,
                "promised": micros(fact.promised),
            }
    insert_new(db, CASES, [row | last.pop(case) for case, row in new.items()])
    run_many(db, _MOVE, list(last.values()))
    insert_new(db, HISTORY, history)
    if corrections:
        _correct(db, corrections)


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


def _line(event: Event) -> dict[str, Any]:
    """Of a case's history."""
    assert event.recorded is not None
    return {
        "seq": event.seq,
        "case": event.entity_id,
        "version": event.version,
        "office": event.place,
        "id": event.id,
        "event": event.name,
        "occurred": micros(event.occurred),
        "recorded": micros(event.recorded),
        "actor": event.actor,
    }


def _correct(db: sa.Connection, corrections: Sequence[tuple[Event, Corrected]]) -> None:
    """Put the corrected times and actors into the history, and the times into their cases. All of a batch at once, as a view
    that is being built has no index to find lines by."""
    rows = [
        {
            "seq": event.seq,
            "corrects": fact.corrects,
            "recorded": micros(event.recorded),
            "occurred": micros(fact.at) if fact.at else None,
            "actor": fact.new_actor,
        }
        for event, fact in corrections
        if event.recorded
    ]
    insert_new(db, CORRECTIONS, rows)
    db.execute(_CORRECT_LINES, {"cases": list({event.entity_id for event, _ in corrections})})
    db.execute(_CORRECT_CASE, [{"moved": event.entity_id, "seen": event.version} for event, _ in corrections])


def _place(db: sa.Connection, row: sa.RowMapping) -> tuple[int, int]:
    same_queue = sa.select(sa.func.count()).where(CASES.c.office == row["office"], CASES.c.stage == row["stage"])
    own = sa.tuple_(CASES.c.since, CASES.c.seq) <= sa.tuple_(row["since"], row["seq"])
    return db.execute(same_queue.where(own)).scalar_one(), db.execute(same_queue).scalar_one()
