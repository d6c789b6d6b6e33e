"""When a card may be expected in hand, from how its office went lately; what was promised is another matter.

Counted in working days, over the last LOOKED_AT of them before the day that is asked about, blank ones included: an office
without power or blank cards forecasts later and later, and in the end nothing. Of two answers the later counts:

1. How it goes for those who have waited as long as this case: a period life table, as demographers make them of a few
   years. Of all cases in a stage since so many days those that left it count against all that were there, also those that
   are there still. As old cases are few, ages are pooled in ever wider steps, and to each step one day of a case is added
   that fared as in the step before. A case goes on from its own age, then as a new one through each later stage.
2. Its place in the queue over the office's pace: standing there on each of those days, when would its turn have come? (After
   the last day comes the first again.) Only where the office prints in order: where nine in ten of those who wait came no
   earlier than the middle one of those printed. Elsewhere a place tells little: cases with which something is wrong stand
   before all others for years.

Half of such cards are in hand by `p50`, nine of ten by `p90`. Nothing is forecast from fewer than LEAST_MOVES cases that
left each stage ahead, from fewer than LEAST_DAYS working days since the office's first print, or beyond AHEAD working days.
Tried on the sample by `python -m tests.bench.bench_forecast`: of 2,188 forecasts 56 % of the cards were in hand by `p50`,
89 % by `p90`; of 2,750 cases without a forecast 192 were printed later.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from functools import lru_cache
from itertools import accumulate, count
from typing import Final, NamedTuple

import sqlalchemy as sa

from events.calendar import Calendar, local, sessions
from events.stages import ORDER, Stage
from events.working_clock import ONE_DAY, after_working_time, next_working_instant, working_time_between
from infra.database import instant, micros
from projections.status import CASES, HISTORY

LOOKED_AT, AHEAD = 40, 250  # working days: two months, a year
LEAST_MOVES, LEAST_DAYS = 10, 5
ON_THE_WAY: Final = {stage: ORDER[index:3] for index, stage in enumerate(ORDER[:3])}  # the stages from there to the print
_AGES: Final = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 32, 40, 50, 64, 80, 100, 128, 160, 200)
_KNOWN = 300  # working days; what came earlier counts as having come then
_EPOCH: Final = date(1970, 1, 1).toordinal()
_DAY_MICROS = 24 * 3600 * 1_000_000


class Stay(NamedTuple):
    """So many cases entered a stage on one day and left it on another; None: they are there still."""

    entered: int
    left: int | None
    cases: int = 1


class Office(NamedTuple):
    """How an office went lately, its working days being numbered; those from `first` to before `today` are looked at."""

    first: int
    today: int  # the first day ahead
    stays: dict[Stage, list[Stay]]  # of all who are there, and who left since `first`


class Forecast(NamedTuple):
    """Instants in the calendar's zone, neither of them before the one that is asked about."""

    p50: datetime
    p90: datetime


def forecast(
    db: sa.Connection, calendar: Calendar, at: datetime, office: str, stage: Stage, since: datetime, place: int | None
) -> Forecast | None:
    """For a case that at the aware instant `at`, which `db` is about, is in `stage` since then, at that place in the queue
    (from 1). None: see above, or no card is to be printed any more."""
    if stage not in ON_THE_WAY:
        return None
    worked = _worked(calendar, next_working_instant(calendar, at).date())
    printed = sa.select(sa.func.min(HISTORY.c.occurred)).where(HISTORY.c.office == office, HISTORY.c.event == "printed")
    first_print = db.execute(printed).scalar()
    if first_print is None:
        return None
    today = len(worked) - 1
    first = max(today - LOOKED_AT, _number(worked, local(calendar, instant(first_print)).toordinal()))
    if today - first < LEAST_DAYS:
        return None
    stays = {each: _stays(db, calendar, office, each, worked, first) for each in ON_THE_WAY[stage]}
    entered = _number(worked, local(calendar, since).toordinal())
    by_then = expected(Office(first, today, stays), stage, entered, place)
    if by_then is None:
        return None
    return Forecast(_instant(calendar, at, by_then, 0.5), _instant(calendar, at, by_then, 0.9))


def expected(office: Office, stage: Stage, entered: int, place: int | None) -> list[float] | None:
    """The chances that a card is in hand by the end of the first day ahead, the second, … (AHEAD of them). `place` None: it
    will join the queue at its end. None: there is too little to go by, or it takes longer."""
    on_the_way, queue = ON_THE_WAY[stage], office.stays[Stage.QUEUED]
    if any(sum(_left(office, each).values()) < LEAST_MOVES for each in on_the_way):
        return None
    chances = leaving(office, stage, office.today - entered)
    for each in on_the_way[1:]:
        chances = one_after_the_other(chances, leaving(office, each, 0))
    by_then = list(accumulate(chances))
    if in_order(queue):
        prints = _left(office, Stage.QUEUED)
        end = 1 + sum(stay.cases for stay in queue if stay.left is None)
        its_turn = by_place([prints[day] for day in range(office.first, office.today)], place or end)
        by_then = list(map(min, by_then, its_turn))
    return by_then if by_then[-1] >= 0.9 else None


def leaving(office: Office, stage: Stage, age: int) -> list[float]:
    """The chances that a case of that age leaves `stage` on the first day ahead, the second, … (AHEAD of them)."""
    at_risk, left = [0] * len(_AGES), [0] * len(_AGES)  # days of cases, and cases, by age
    change = [0] * (office.today + 2)  # of how many were at risk, from one age to the next
    for entered, day, cases in office.stays[stage]:
        last = office.today - 1 if day is None else min(day, office.today - 1)
        if last >= max(entered, office.first):
            change[max(entered, office.first) - entered] += cases
            change[last - entered + 1] -= cases
            if day == last:
                left[_group(last - entered)] += cases
    for old, there in enumerate(accumulate(change)):
        at_risk[_group(old)] += there
    chance, of_age = sum(left) / max(sum(at_risk), 1), list[float]()
    for gone, there in zip(left, at_risk, strict=True):
        chance = (gone + chance) / (there + 1)
        of_age.append(chance)
    still, chances = 1.0, list[float]()
    for old in range(age, age + AHEAD):
        chances.append(still * of_age[_group(old)])
        still -= chances[-1]
    return chances


def one_after_the_other(first: Sequence[float], then: Sequence[float]) -> list[float]:
    """The chances of the day on which a case has left two stages, the second being entered when the first is left."""
    both = [0.0] * len(first)
    for day, chance in enumerate(first):
        for more in range(len(first) - day):
            both[day + more] += chance * then[more]
    return both


def by_place(prints: Sequence[int], place: int) -> list[float]:
    """From what share of those days on a card at this place would have been printed by the end of the first day, the
    second, … (AHEAD of them). `prints`: of each day, in order, not all 0."""
    so_far = list(accumulate([*prints, *prints], initial=0))
    rounds, rest = divmod(place - 1, sum(prints))
    took = Counter(bisect_left(so_far, so_far[day] + rest + 1) - 1 - day for day in range(len(prints)))
    return [done / len(prints) for done in accumulate(took[day - rounds * len(prints)] for day in range(AHEAD))]


def in_order(queue: Sequence[Stay]) -> bool:
    """Whether the office prints first who came first, but for a tenth that wait. Some were printed."""
    waiting = sorted(stay.entered for stay in queue if stay.left is None for _ in range(stay.cases))
    printed = sorted(stay.entered for stay in queue if stay.left is not None for _ in range(stay.cases))
    return not waiting or waiting[len(waiting) // 10] >= printed[len(printed) // 2]


def _group(age: int) -> int:
    return bisect_right(_AGES, age) - 1


def _left(office: Office, stage: Stage) -> Counter[int]:
    """How many left `stage` on each day that is looked at."""
    left: Counter[int] = Counter()
    for _, day, cases in office.stays[stage]:
        if day is not None and day < office.today:
            left[day] += cases
    return left


def _stays(
    db: sa.Connection, calendar: Calendar, office: str, stage: Stage, worked: Sequence[int], first: int
) -> list[Stay]:
    """Of the cases of an office that are in that stage, and those that left it for the next one from day `first` on."""
    begin = datetime.combine(date.fromordinal(worked[first]), time(), calendar.zone)
    east = micros(begin.replace(tzinfo=UTC)) - micros(begin)  # of Greenwich

    def day(occurred: sa.ColumnElement[int]) -> sa.ColumnElement[int]:
        return (occurred + east) // _DAY_MICROS

    here = sa.select(day(CASES.c.since), sa.null(), sa.func.count()).where(CASES.c.office == office, CASES.c.stage == stage)
    came, went = HISTORY.alias("came"), HISTORY.alias("went")
    moves = (
        sa.select(day(sa.func.max(came.c.occurred)).label("came"), day(went.c.occurred).label("went"))
        .join(came, (came.c.case == went.c.case) & (came.c.version < went.c.version) & (came.c.event == stage))
        .where(went.c.office == office, went.c.event == ORDER[ORDER.index(stage) + 1], went.c.occurred >= micros(begin))
        .group_by(went.c.case, went.c.version, went.c.occurred)
        .subquery()
    )
    gone = sa.select(moves.c.came, moves.c.went, sa.func.count()).group_by(moves.c.came, moves.c.went)
    numbers = [
        (_number(worked, _EPOCH + entered), None if left is None else _number(worked, _EPOCH + left), cases)
        for entered, left, cases in (*db.execute(here.group_by(day(CASES.c.since))), *db.execute(gone))
    ]
    return [Stay(*each) for each in numbers]


@lru_cache(maxsize=64)
def _worked(calendar: Calendar, day: date) -> list[int]:
    """Ordinals of that working day and the _KNOWN before it, in order."""
    days = (day - number * ONE_DAY for number in count())
    worked: list[int] = []
    while len(worked) <= _KNOWN:
        if calendar.on(each := next(days)):
            worked.append(each.toordinal())
    return worked[::-1]


def _number(worked: Sequence[int], ordinal: int) -> int:
    """Of a day; one that was closed counts as the working day before."""
    return max(bisect_right(worked, ordinal) - 1, 0)


def _instant(calendar: Calendar, at: datetime, by_then: Sequence[float], share: float) -> datetime:
    """When that share is reached: within the day in proportion, over what is left of it."""
    begin = next_working_instant(calendar, at)
    index = next(index for index, chance in enumerate(by_then) if chance >= share)
    days = (begin.date() + number * ONE_DAY for number in count())
    open_days = (day for day in days if calendar.on(day))
    for _ in range(index):
        next(open_days)
    opens, closes = (spans := sessions(calendar, next(open_days)))[0][0], spans[-1][1]
    before = by_then[index - 1] if index else 0.0
    opens = max(opens, begin)
    part = working_time_between(calendar, opens, closes) * (share - before) / (by_then[index] - before)
    return after_working_time(calendar, opens, part)
