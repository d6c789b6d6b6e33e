"""The operations board's figures: what stands where and since when, what was done lately, and what is about to be broken.

Asked of the status and sla views by counts and limited lists, so that it stays quick however many cases are open.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import pairwise
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from events.outage import OUTAGE_CAUSES, OfficeOutages, Outage, OutageCause
from events.rules import THE_BEGINNING
from events.stages import OPEN, ORDER, Stage
from events.timers import Case, Timer
from infra.database import instant, micros
from projections import sla, status
from projections.sla_judging import case_of
from projections.sla_report import Run, listed, outages_of, run_of

AGES_DAYS: Final = (0, 1, 3, 7, 30, 90)  # where the groups of ages begin; the last has no end
JUDGED_MAX: Final = 500  # cases of each kind that are looked at; a case takes 0.2 ms
_DAY: Final = 24 * 3600 * 1_000_000  # microseconds


class Standing(NamedTuple):
    """The cases in a stage."""

    cases: int = 0
    oldest: datetime | None = None  # since when it stands there
    by_age: tuple[int, ...] = (0,) * len(AGES_DAYS)


class Pressed(NamedTuple):
    """A target that is at risk or was broken, and still runs."""

    receipt: str
    case: Case
    timer: Timer


class Pressing(NamedTuple):
    """`at_risk` by due instant; `breached` the latest first. `is_part`: there were more cases than are looked at."""

    at_risk: list[Pressed]
    breached: list[Pressed]
    is_part: bool
    first_at_risk: list[Run]  # the first of those, and where their time went
    last_breached: list[Run]
    outages: dict[str, dict[OutageCause, Outage]]  # those that last, by office
    told_late: timedelta  # how long something has been waiting for the SLA clock to tell it


def standing(db: sa.Connection, offices: Sequence[str], at: datetime) -> dict[Stage, Standing]:
    """By open stage, at the aware instant `at`. Of the status view."""
    since = status.CASES.c.since
    at_least = [sa.func.count().filter(since <= micros(at) - days * _DAY) for days in AGES_DAYS[1:]]
    here = status.CASES.c.office.in_(offices) & status.CASES.c.stage.in_(OPEN)
    rows = sa.select(status.CASES.c.stage, sa.func.count(), sa.func.min(since), *at_least).where(here)
    found = dict.fromkeys(OPEN, Standing())
    for stage, count, oldest, *older in db.execute(rows.group_by(status.CASES.c.stage)):
        steps = (count, *older, 0)
        ages = tuple(more - fewer for more, fewer in pairwise(steps))
        found[Stage(stage)] = Standing(count, instant(oldest), ages)
    return found


def throughput(
    db: sa.Connection, offices: Sequence[str], at: datetime, zone: tzinfo, days: int
) -> dict[date, dict[str, int]]:
    """By day of `zone`, the last of them that of `at`: how many cases came to each stage. Of the status view."""
    last = at.astimezone(zone).date()
    begin = datetime.combine(last - timedelta(days=days - 1), time(), zone)
    east = micros(begin.replace(tzinfo=UTC)) - micros(begin)  # of Greenwich
    line = status.HISTORY.c
    number = (line.occurred + east) // _DAY
    recent = line.office.in_(offices) & line.event.in_(ORDER) & line.occurred.between(micros(begin), micros(at))
    found = {last - timedelta(days=back): dict.fromkeys(map(str, ORDER), 0) for back in range(days)}
    for day, event, count in db.execute(
        sa.select(number, line.event, sa.func.count()).where(recent).group_by(number, line.event)
    ):
        found[date(1970, 1, 1) + timedelta(days=day)][event] = count
    return found


def pressing(db: sa.Connection, offices: Sequence[str], at: datetime, runs_max: int) -> Pressing:
    """What is at risk or broken at the aware instant `at` and can still be met. Of the sla view."""
    rules, outages = sla.rulebook(db), outages_of(db)
    rows, is_part = _candidates(db, offices, at)
    at_risk, breached = list[Pressed](), list[Pressed]()
    for row in rows:
        case = case_of(row, rules)
        for timer, is_breached in listed(case, at, THE_BEGINNING):
            if not timer.stopped:
                (breached if is_breached else at_risk).append(Pressed(row.receipt, case, timer))
    at_risk.sort(key=lambda each: (each.timer.due, each.receipt))
    breached.sort(key=lambda each: (each.timer.due, each.receipt), reverse=True)
    first, last = (
        [run_of(*each, outages.get(each.case.office, {}), at) for each in some[:runs_max]] for some in (at_risk, breached)
    )
    lasting = {office: _lasting(outages.get(office, {}), at) for office in offices}
    on = {office: some for office, some in lasting.items() if some}
    return Pressing(at_risk, breached, is_part, first, last, on, _told_late(db, at))


def _candidates(db: sa.Connection, offices: Sequence[str], at: datetime) -> tuple[list[Any], bool]:
    """Open cases that may be of interest, and whether some were left out: those of which something must be told next, as
    what is at risk has yet to be told of; the last that were broken or, never judged as they are old, moved; and, where `at`
    is past, those with something broken and something not yet due, which was recorded so late that nothing is told."""
    case, now = sla.CASES.c, micros(at)
    here = case.office.in_(offices) & sla.IS_OPEN
    at_risk = (case.look_from <= now) & (case.look_until > now) & case.next_at.is_not(None)
    breached = (case.running.is_(None) | (case.running > 0)) & (now >= sla.LAST_DUE)
    kinds = (
        sa.select(sla.CASES).where(here, at_risk).order_by(case.next_at),
        sa.select(sla.CASES).where(here, breached).order_by(sla.LAST_DUE.desc()),
        sa.select(sla.CASES).where(here, sla.UNTOLD, case.look_from <= now, case.look_until > now),
    )
    found = [db.execute(kind.limit(JUDGED_MAX)).all() for kind in kinds]
    return [row for rows in found for row in rows], any(len(rows) == JUDGED_MAX for rows in found)


def _lasting(outages: OfficeOutages, at: datetime) -> dict[OutageCause, Outage]:
    """Those that last at `at`, the one that counts first."""
    last = {cause: [one for one in outages.get(cause, ()) if one.began <= at][-1:] for cause in OUTAGE_CAUSES}
    return {cause: ones[0] for cause, ones in last.items() if ones and (ones[0].ended is None or at < ones[0].ended)}


def _told_late(db: sa.Connection, at: datetime) -> timedelta:
    next_at = sla.CASES.c.next_at
    first = db.execute(sa.select(sa.func.min(next_at)).where(next_at.is_not(None))).scalar()  # by its index
    return timedelta(0) if first is None else max(timedelta(0), at - instant(first))
