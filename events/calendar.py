"""When an office works: weekly sessions, the days it is closed, and the zone they are told in.

Version 1 is packaged. Hours: Keppres 68/1995 art. 1 (37.5 hours a week). Closed days: public holidays and joint leave
(cuti bersama) of 2011 to 2030 as the library `holidays` 0.109 knows them; the calendar's test makes the file again.
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, model_validator

Hours = tuple[time, time]  # opens, closes: local time without zone, on one day
ClosedDays = Annotated[  # read-only, as answers about a calendar are cached
    Mapping[date, str], AfterValidator(MappingProxyType), PlainSerializer(dict, return_type=dict[date, str])
]


class Calendar(BaseModel):
    """One version of the working calendar. A year without any closed day lies beyond it: only the week counts there."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int
    zone: ZoneInfo  # assumed without summer time, as Indonesia's three are: a day's sessions are told by the wall clock
    weekly: Annotated[tuple[tuple[Hours, ...], ...], Field(min_length=7, max_length=7)]  # from Monday
    closed: ClosedDays  # with the name of the holiday or joint leave, in Indonesian
    provisional: frozenset[int]  # years whose joint leave is not decreed or whose lunar dates are estimated

    @model_validator(mode="after")
    def _sessions_stand_in_order(self) -> Self:
        for day in self.weekly:
            times = [moment for hours in day for moment in hours]
            if any(moment.tzinfo for moment in times) or times != sorted(set(times)):
                raise ValueError("a day's sessions must follow one another without touching, in local time without offset")
        if not any(self.weekly):
            raise ValueError("a week without any session: nothing would ever fall due")
        return self

    def __hash__(self) -> int:
        return hash(self.version)  # equal calendars have equal versions; all fields would make the caches slow


@lru_cache(maxsize=16_384)  # some 45 years of days
def sessions(calendar: Calendar, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Opening and closing instants on `day` (in the calendar's zone), in order; empty when the office is closed."""
    if day in calendar.closed:
        return ()
    return tuple(
        (datetime.combine(day, opens, calendar.zone), datetime.combine(day, closes, calendar.zone))
        for opens, closes in calendar.weekly[day.weekday()]
    )


@lru_cache(maxsize=1024)
def is_provisional(calendar: Calendar, year: int) -> bool:
    """Whether closed days of `year` may still be decreed or moved; so it is for every year beyond the calendar."""
    return year in calendar.provisional or all(day.year != year for day in calendar.closed)


def local(calendar: Calendar, instant: datetime) -> datetime:
    """The same instant, told in the calendar's zone."""
    assert instant.tzinfo is not None, "an instant without offset would be read in this machine's zone"
    return instant.astimezone(calendar.zone)


CALENDAR_V1 = Calendar.model_validate_json(files("events").joinpath("calendar_v1.json").read_bytes())
