"""The clock that runs only while the office works. Pure functions over a calendar; results are in the calendar's zone.

Exact to the microsecond. No session goes over midnight, so each year is a table of its own, made when it is first asked
about; a question is then two binary searches.
"""

from bisect import bisect_left, bisect_right
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from events.calendar import Calendar, local, sessions

ONE_DAY, NONE = timedelta(days=1), timedelta(0)


class _Year(NamedTuple):
    """The sessions of one year, in order."""

    edges: list[datetime]  # opening and closing instants by turns
    closes: list[datetime]
    worked: list[timedelta]  # in the year, up to each closing instant

    def total(self) -> timedelta:
        return self.worked[-1] if self.worked else NONE

    def until(self, instant: datetime) -> timedelta:
        """Working time of the year before the local `instant` in it."""
        at = bisect_left(self.closes, instant)
        if at == len(self.closes):
            return self.total()
        return max(self.worked[at - 1] if at else NONE, self.worked[at] - (self.closes[at] - instant))


@lru_cache(maxsize=128)  # some 0.1 MB each
def _year(calendar: Calendar, year: int) -> _Year:
    first = date(year, 1, 1)
    days = (first + ONE_DAY * number for number in range(366))
    spans = [session for day in days if day.year == year for session in sessions(calendar, day)]
    edges = [edge for span in spans for edge in span]
    return _Year(edges, edges[1::2], list(accumulate(closes - opens for opens, closes in spans)))


def after_working_time(calendar: Calendar, start: datetime, working: timedelta) -> datetime:
    """The first working instant at which `working` (zero or more) has passed since the aware instant `start`.

    When that is exactly a closing time, it is that closing time, not the next opening.
    """
    assert working >= NONE, "the working clock does not run backwards"
    start = local(calendar, start)
    number, year = start.year, _year(calendar, start.year)
    working += year.until(start)  # from here on counted from the year's beginning
    not_before = bisect_left(year.closes, start)
    while (at := bisect_left(year.worked, working, not_before)) == len(year.worked):
        working -= year.total()
        number, not_before = number + 1, 0
        year = _year(calendar, number)
    return year.closes[at] - (year.worked[at] - working)


def next_working_instant(calendar: Calendar, instant: datetime) -> datetime:
    """The first working instant at or after the aware `instant`; opening and closing instants are working."""
    return after_working_time(calendar, instant, NONE)


def working_time_between(calendar: Calendar, start: datetime, end: datetime) -> timedelta:
    """How long the office works from one aware instant to another that is not before it."""
    assert start <= end, "the working clock does not run backwards"
    start, end = local(calendar, start), local(calendar, end)
    whole = sum((_year(calendar, number).total() for number in range(start.year, end.year)), NONE)
    return whole + _year(calendar, end.year).until(end) - _year(calendar, start.year).until(start)


def closed_between(calendar: Calendar, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
    """The spans in which the office does not work, from one aware instant to another that is not before it, in order."""
    assert start <= end, "the working clock does not run backwards"
    start, end = local(calendar, start), local(calendar, end)
    years = [_year(calendar, number).edges for number in range(start.year, end.year + 1)]
    edges = [edge for year in years for edge in year[bisect_right(year, start) : bisect_left(year, end)]]
    is_closed = bisect_right(years[0], start) % 2 == 0
    edges = [start, *edges, end] if is_closed and start < end else [*edges, end]
    return list(zip(edges[::2], edges[1::2], strict=False))  # a last edge without its pair: the end lies within a session
