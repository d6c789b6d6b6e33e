"""The targets of each case: what runs, what was breached, and when operations must next be told. Holds no name and no NIK.

A row per case holds its steps; its timers follow from them (events.timers) and are not stored. What may have something to
be told is judged at once, for the due table; imported history is only noted, which is quick, and judged when it is asked
about. Nothing is kept in memory, so it costs the same however many timers run.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cache, lru_cache, reduce
from itertools import groupby
from typing import Any, Final

import sqlalchemy as sa

from events.application import CaseFact, Corrected, Returned, Submitted, stage_reached
from events.envelope import FACTS, Event
from events.outage import OutageBegan, OutageEnded
from events.rules import CalendarSet, Rulebook, StandardSet
from events.rules import evolve as with_version
from events.sla import Breached, Warned
from events.stages import OPEN
from infra.database import insert_new, instant, micros, run_many
from projections.sla_judging import correction_line, judge, past_by, step_line, told_line

NAME, VERSION = "sla", 2
TABLES = sa.MetaData()
CASES = sa.Table(
    f"sla_cases_v{VERSION}",
    TABLES,
    sa.Column("case", sa.String, primary_key=True),
    sa.Column("receipt", sa.String),
    sa.Column("office", sa.String),
    sa.Column("version", sa.Integer),
    sa.Column("stage", sa.String),
    sa.Column("since", sa.BigInteger),
    sa.Column("steps", sa.String),  # a line for each event
    sa.Column("told_version", sa.Integer),  # of the last event on its SLA subject
    sa.Column("told", sa.String),  # a line for each of them
    sa.Column("live", sa.Integer),  # 1: somebody may have had to be told; it is judged whenever it moves
    # from here on what follows from the rest, once it is judged
    sa.Column("running", sa.Integer),  # targets of the office; None: not judged
    sa.Column("look_from", sa.BigInteger),  # in no list before this instant (no clock is quicker than the wall's)
    sa.Column("look_until", sa.BigInteger),  # nothing of it was due later
    sa.Column("next_at", sa.BigInteger),  # when operations must next be told; None: of nothing
)
_MAY_TELL, _TO_JUDGE = CASES.c.next_at.is_not(None), CASES.c.live.is_not(None) & CASES.c.running.is_(None)
_OPEN: Final[sa.BindParameter[list[str]]] = sa.bindparam("open", list(map(str, OPEN)), expanding=True, literal_execute=True)
IS_OPEN: Final = CASES.c.stage.in_(_OPEN)  # written out in SQL: with parameters no index with this condition is used
LAST_DUE: Final = sa.func.coalesce(CASES.c.look_until, CASES.c.since)  # of what is not judged, when it last moved
UNTOLD: Final = CASES.c.next_at.is_(None) & (CASES.c.running > sa.literal_column("0"))
_AT_RISK = (CASES.c.next_at, CASES.c.look_from, CASES.c.look_until)
sa.Index(f"sla_next_v{VERSION}", *_AT_RISK, sqlite_where=_MAY_TELL, postgresql_where=_MAY_TELL)
sa.Index(f"sla_last_due_v{VERSION}", LAST_DUE, sqlite_where=IS_OPEN, postgresql_where=IS_OPEN)
sa.Index(f"sla_untold_v{VERSION}", CASES.c.look_until, sqlite_where=UNTOLD, postgresql_where=UNTOLD)
sa.Index(
    f"sla_to_judge_v{VERSION}",
    CASES.c.case,
    sqlite_where=_TO_JUDGE,
    postgresql_where=_TO_JUDGE,
    info={"always": True},
)
NOTED = sa.Table(  # rules and outages: few, and folded when they are needed
    f"sla_noted_v{VERSION}",
    TABLES,
    sa.Column("seq", sa.BigInteger, primary_key=True),
    sa.Column("place", sa.String),
    sa.Column("type", sa.String),
    sa.Column("occurred", sa.BigInteger),
    sa.Column("fact", sa.String),
)
RULES: Final = (CalendarSet, StandardSet)
OUTAGES: Final = (OutageBegan, OutageEnded)
_NOT_JUDGED: Final = sa.null()
_LIVE: Final[sa.ColumnElement[int]] = sa.literal_column("1")
_DAY_MICROS: Final = 24 * 3600 * 1_000_000
_EMPTY: Final[dict[str, Any]] = dict.fromkeys(CASES.columns.keys())


def _text(name: str) -> sa.BindParameter[str]:
    return sa.bindparam(name, type_=sa.String)


def _number(name: str) -> sa.BindParameter[int]:
    return sa.bindparam(name, type_=sa.BigInteger)


_MOVE = (
    sa.update(CASES)
    .where(CASES.c.case == _text("moved"), CASES.c.version < _number("version"))
    .values(
        version=_number("version"),
        stage=sa.func.coalesce(_text("stage"), CASES.c.stage),
        since=sa.func.coalesce(_number("since"), CASES.c.since),
        steps=CASES.c.steps + _text("steps"),
        live=sa.func.coalesce(_number("live"), CASES.c.live),
        running=_NOT_JUDGED,
    )
)
_TELL = (
    sa.update(CASES)
    .where(CASES.c.case == _text("told_of"), CASES.c.told_version < _number("told_version"))
    .values(
        told_version=_number("told_version"),
        told=CASES.c.told + _text("line"),
        live=sa.literal_column("1"),
        running=_NOT_JUDGED,
    )
)
_JUDGE = (
    sa.update(CASES)
    .where(CASES.c.case == _text("judged"))
    .values({name: _number(name) for name in ("since", "running", "look_from", "look_until", "next_at")})
)


def apply(db: sa.Connection, events: Sequence[Event]) -> None:
    """Change the rows for these events, which follow upon the view's position. The same ones once more change nothing."""
    for are_rules, some in groupby(events, lambda event: type(event.fact) in RULES):
        if are_rules:
            insert_new(db, NOTED, [_note(event) for event in some])
        else:
            _apply(db, list(some))


def _apply(db: sa.Connection, events: Sequence[Event]) -> None:
    """Likewise, all of them under the rules that have been set so far: rows do not depend on what comes in one batch."""
    rules = rulebook(db)

    @cache
    def past(day: int) -> int:
        """Of a day since 1970."""
        return micros(past_by(rules, instant(day * _DAY_MICROS)))

    new, moved, told = dict[str, dict[str, Any]](), dict[str, dict[str, Any]](), list[dict[str, Any]]()
    for event in events:
        fact, case = event.fact, event.entity_id
        if isinstance(fact, Submitted):
            new[case] = _new(event, fact, past)
        elif isinstance(fact, CaseFact):
            if row := new.get(case) or moved.get(case):  # an update for each event would take twice as long as the rest
                _go_on(row, _move(event, past))
            else:
                moved[case] = _move(event, past)
        elif isinstance(fact, Warned | Breached):
            share = fact.share if isinstance(fact, Warned) else 100
            line = told_line(fact.target, event.causation, share)
            told.append({"told_of": case, "told_version": event.version, "line": line})
    insert_new(db, CASES, list(new.values()))
    insert_new(db, NOTED, [_note(event) for event in events if type(event.fact) in OUTAGES])
    run_many(db, _MOVE, list(moved.values()))
    run_many(db, _TELL, told)
    to_judge = db.execute(sa.select(CASES).where(_TO_JUDGE)).all()
    run_many(db, _JUDGE, [judge(row, rules) for row in to_judge])


def due(db: sa.Connection, now: datetime, rows_max: int = 500) -> tuple[list[tuple[str, str]], datetime | None]:
    """The cases (office, case) of which there is something to tell by `now`, the longest overdue first, and the next
    instant after `now` at which there is."""
    until = CASES.c.next_at <= micros(now)
    rows = sa.select(CASES.c.office, CASES.c.case).where(until).order_by(CASES.c.next_at).limit(rows_max)
    cases = [(office, case) for office, case in db.execute(rows)]
    then = db.execute(sa.select(sa.func.min(CASES.c.next_at)).where(CASES.c.next_at > micros(now))).scalar()
    return cases, None if then is None else instant(then)


def rulebook(db: sa.Connection) -> Rulebook:
    """The rules that have been set so far."""
    types = [fact.TYPE for fact in RULES]
    rows = sa.select(NOTED.c.type, NOTED.c.fact).where(NOTED.c.type.in_(types)).order_by(NOTED.c.seq)
    return _rulebook(tuple((name, fact) for name, fact in db.execute(rows)))


def _move(event: Event, past: Callable[[int], int]) -> dict[str, Any]:
    """What an event changes in its case's row."""
    fact, stage = event.fact, stage_reached(event.fact)
    assert event.recorded is not None, "views follow from what is stored"
    moved = {"moved": event.entity_id, "version": event.version, "stage": stage, "since": None, "steps": "", "live": 1}
    if stage:
        moved["since"] = occurred = micros(event.occurred)
        recorded = micros(event.recorded)
        moved["steps"] = step_line(event.id, stage, isinstance(fact, Returned), occurred, recorded)
        moved["live"] = 1 if occurred > past(recorded // _DAY_MICROS) else None
    elif isinstance(fact, Corrected) and fact.at:
        moved["steps"] = correction_line(fact.corrects, micros(fact.at))
    return moved


def _new(event: Event, fact: Submitted, past: Callable[[int], int]) -> dict[str, Any]:
    """The row of a case that was not there before."""
    row = _EMPTY | _move(event, past)
    return row | {"case": event.entity_id, "receipt": fact.receipt, "office": event.place, "told_version": 0, "told": ""}


def _go_on(row: dict[str, Any], move: dict[str, Any]) -> None:
    """One more event of the same case, which follows."""
    row["version"], row["steps"] = move["version"], row["steps"] + move["steps"]
    row["live"] = row["live"] or move["live"]
    if move["stage"]:
        row["stage"], row["since"] = move["stage"], move["since"]


def _note(event: Event) -> dict[str, Any]:
    fact = event.fact.model_dump_json(exclude_none=True)
    occurred = micros(event.occurred)
    return {"seq": event.seq, "place": event.place, "type": event.fact.TYPE, "occurred": occurred, "fact": fact}


@lru_cache(maxsize=8)
def _rulebook(facts: tuple[tuple[str, str], ...]) -> Rulebook:
    """`facts`: type and JSON of each, in the order in which they were set."""

    def with_fact(rules: Rulebook, fact: tuple[str, str]) -> Rulebook:
        read = FACTS[fact[0]].model_validate_json(fact[1])
        assert isinstance(read, CalendarSet | StandardSet)
        return with_version(rules, read)

    return reduce(with_fact, facts, Rulebook())
