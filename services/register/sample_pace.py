"""When things happened in the sample: a mass campaign in 2012, its cards printed at the centre weeks later; then a
trickle, printed at the desk within days; no blank cards in the last quarter of 2014.

All times are drawn as working seconds: seconds of office hours since FIRST_DAY, so that none can lie outside them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cache
from itertools import accumulate
from math import log
from random import Random

from events.calendar import CALENDAR_V1, sessions
from events.stages import Stage

FIRST_DAY, LAST_DAY = date(2011, 9, 1), date(2015, 5, 5)
LATELY = date(2014, 9, 1)
NO_BLANKS = date(2014, 10, 1), date(2015, 1, 5)
RUSH = {  # how many apply on a day of each month, relative to each other
    2011: (0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 4, 6),
    2012: (8, 11, 14, 16, 17, 16, 12, 8, 13, 11, 8, 5),
    2013: (4, 3.5, 3, 2.5, 2, 2, 2, 1.5, 1.5, 1.5, 1.5, 1),
    2014: (1.5, 1.5, 1.2, 1, 1, 1, 0.8, 0.8, 0.8, 0.8, 0.8, 0.6),
    2015: (0.8, 0.8, 0.8, 0.8, 0.8),
}
_CENTRE = {Stage.RECORDED: 2.0, Stage.QUEUED: 60.0, Stage.PRINTED: 220.0, Stage.COLLECTED: 110.0}
_BETWEEN = {Stage.RECORDED: 1.2, Stage.QUEUED: 20.0, Stage.PRINTED: 75.0, Stage.COLLECTED: 110.0}
_DESK = {Stage.RECORDED: 0.8, Stage.QUEUED: 6.0, Stage.PRINTED: 14.0, Stage.COLLECTED: 80.0}
WAIT_HOURS = {2011: _CENTRE, 2012: _CENTRE, 2013: _BETWEEN, 2014: _DESK, 2015: _DESK}  # mean, by year of applying

Times = dict[Stage, int]  # the working second in which a case reached each stage, in order


def at(second: int) -> datetime:
    """The instant of a working second, in the offices' zone."""
    opens, starts = _sessions()
    index = bisect_right(starts, second) - 1
    return opens[index] + timedelta(seconds=second - starts[index])


@cache
def before(day: date) -> int:
    """Working seconds before `day`."""
    opens, starts = _sessions()
    return starts[bisect_left(opens, day, key=datetime.date)]


def in_the_rush(rng: Random) -> int:
    """A working second in which somebody applies."""
    starts = _sessions()[1]
    index = rng.choices(range(len(starts) - 1), cum_weights=_rush())[0]
    return rng.randrange(starts[index], starts[index + 1])


def from_now_on(rng: Random, second: int) -> int:
    """A working second from `second` to the end, each as likely."""
    return rng.randrange(second, END)


def times(rng: Random, stages: tuple[Stage, ...], applies: Callable[[], int], must: Stage, by: int) -> Times:
    """One case from `applies()` through `stages`, cut off at END; drawn again until it reaches `must` before `by`."""
    while True:
        second = applies()
        reached = {Stage.SUBMITTED: second}
        mean_hours = WAIT_HOURS[at(second).year]
        for stage in stages[1:]:
            twice = (1 - rng.random()) * (1 - rng.random())  # Erlang of two steps: seldom at once, with a long tail
            second += int(-1800 * mean_hours[stage] * log(twice))
            if stage is Stage.PRINTED and NONE_FROM <= second < BLANKS_FROM:
                second = BLANKS_FROM + (second - NONE_FROM) // 4  # the backlog is printed off four times as fast
            reached[stage] = second
        if reached[must] < by:
            return {stage: second for stage, second in reached.items() if second < END}


@cache
def _sessions() -> tuple[list[datetime], list[int]]:
    """Openings, and the working seconds before each; one more at the end: all of them."""
    days = (FIRST_DAY + timedelta(days=count) for count in range((LAST_DAY - FIRST_DAY).days + 1))
    spans = [session for day in days for session in sessions(CALENDAR_V1, day)]
    lengths = (int((closes - opens).total_seconds()) for opens, closes in spans)
    return [opens for opens, _ in spans], list(accumulate(lengths, initial=0))


@cache
def _rush() -> list[float]:
    return list(accumulate(RUSH[opens.year][opens.month - 1] for opens in _sessions()[0]))


END = before(LAST_DAY + timedelta(days=1))
NONE_FROM, BLANKS_FROM = map(before, NO_BLANKS)
