"""What runs, what is about to be broken, what was broken and through what, and what stands still: asked of the sla view.

A case whose targets nobody had to be told of in time (imported history) is judged here, each time anew.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa

from events.elapsed import causes, office_due
from events.envelope import FACTS
from events.outage import OfficeOutages, OutageBegan, OutageEnded, with_fact
from events.sla import Cause
from events.stages import OPEN, Stage
from events.timers import Case, Timer, passed, recomputed, stands_still
from infra.database import instant, micros
from projections.sla import CASES, NOTED, OUTAGES, rulebook
from projections.sla_judging import case_of

SHARES = (50, 90, 99)  # per cent of the cases
Percentiles = Mapping[int, float]  # seconds, by share: those of an actual case (nearest rank)


class Run(NamedTuple):
    """One run of a target, as it was judged; `again`: under the rules at as-of, if that was asked and it would have run."""

    receipt: str
    office: str
    timer: Timer
    causes: dict[Cause, int]
    office_due: datetime
    again: Timer | None = None


class Standing(NamedTuple):
    """An open case without any timer: nothing would ever remind anyone of it."""

    receipt: str
    office: str
    stage: Stage
    since: datetime


class Report(NamedTuple):
    """What `sla` found. Both lists of runs go by their due instant."""

    running: int
    at_risk: list[Run]
    breached: list[Run]
    standing_still: list[Standing]
    ages: dict[Stage, Percentiles | None]  # of the cases that stand in a stage; None: there are none


def sla(db: sa.Connection, as_of: datetime, office: str | None, since: datetime, recompute: bool = False) -> Report:
    """The office's targets, or all offices', at the aware instant `as_of`; breached are those due from `since` on."""
    rules, outages = rulebook(db), outages_of(db)
    here = [CASES.c.office == office] if office else []
    counted = sa.select(sa.func.coalesce(sa.func.sum(CASES.c.running), 0)).where(*here)
    report = Report(int(db.execute(counted).scalar_one()), [], [], [], _ages(db, as_of, here))
    running = report.running
    for row in db.execute(sa.select(CASES).where(_of_interest(as_of, since), *here)):
        case = case_of(row, rules)
        if row.running is None:
            running += sum(timer.target.is_breach and not timer.stopped for timer in case.timers)
        if stands_still(case):
            report.standing_still.append(Standing(row.receipt, case.office, case.steps[-1].stage, case.steps[-1].occurred))
        again = recomputed(case, rules, as_of).timers if recompute else ()
        for timer, is_breached in listed(case, as_of, since):
            run = run_of(row.receipt, case, timer, outages.get(case.office, {}), as_of, again)
            (report.breached if is_breached else report.at_risk).append(run)
    for runs in (report.at_risk, report.breached):
        runs.sort(key=lambda run: (run.timer.due, run.receipt))
    return report._replace(running=running)


def _of_interest(as_of: datetime, since: datetime) -> sa.ColumnElement[bool]:
    """Which cases may belong in a list."""
    judged = (CASES.c.look_from <= micros(as_of)) & (CASES.c.look_until >= micros(since))
    moved_since = CASES.c.since >= micros(since)  # nothing of a closed case was due after its last event and not met
    return sa.case((CASES.c.running.is_(None), CASES.c.stage.in_(OPEN) | moved_since), else_=judged)


def listed(case: Case, as_of: datetime, since: datetime) -> Iterator[tuple[Timer, bool]]:
    """The office's timers that are at risk or (True) were breached."""
    for timer in case.timers:
        if timer.target.is_breach:
            shares = dict(passed(timer, as_of))
            if 100 in shares:
                if timer.due >= since:
                    yield timer, True
            elif shares and not timer.stopped:
                yield timer, False


def run_of(
    receipt: str, case: Case, timer: Timer, outages: OfficeOutages, as_of: datetime, again: Sequence[Timer] = ()
) -> Run:
    """Of a timer of that case, its office having had these outages. `again`: timers under the rules at as-of."""
    spent, same = causes(timer, case.steps, outages, as_of), (timer.target.name, timer.start_id)
    other = next((other for other in again if (other.target.name, other.start_id) == same), None)
    return Run(receipt, case.office, timer, spent, office_due(timer, outages, as_of), other)


def _ages(db: sa.Connection, as_of: datetime, here: list[sa.ColumnElement[bool]]) -> dict[Stage, Percentiles | None]:
    found: dict[str, list[int]] = defaultdict(list)
    for stage, since in db.execute(sa.select(CASES.c.stage, CASES.c.since).where(CASES.c.stage.in_(OPEN), *here)):
        found[stage].append(since)
    return {stage: _percentiles(sorted(found[stage], reverse=True), as_of) if stage in found else None for stage in OPEN}


def _percentiles(since: Sequence[int], as_of: datetime) -> Percentiles:
    """`since`: the youngest case first."""
    ranks = {share: -(-len(since) * share // 100) for share in SHARES}
    return {share: (micros(as_of) - since[rank - 1]) / 1_000_000 for share, rank in ranks.items()}


def outages_of(db: sa.Connection) -> dict[str, OfficeOutages]:
    """By office, as far as they are known."""
    found: dict[str, OfficeOutages] = {}
    types = [fact.TYPE for fact in OUTAGES]
    for row in db.execute(sa.select(NOTED).where(NOTED.c.type.in_(types)).order_by(NOTED.c.seq)):
        fact = FACTS[row.type].model_validate_json(row.fact)
        assert isinstance(fact, OutageBegan | OutageEnded)
        found[row.place] = with_fact(found.get(row.place, {}), fact, instant(row.occurred))
    return found
