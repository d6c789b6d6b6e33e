"""When an office works: weekly sessions, the days it is closed, one office's own days, and the zone they are told in.

Version 1 is packaged. Hours: Keppres 68/1995 art. 1 (37.5 hours a week). Closed days: public holidays and joint leave
(cuti bersama) of 2011 to 2030 as the library `holidays` 0.109 knows them; the calendar's test makes the file again.
"""

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Annotated, Self, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapSerializer, model_validator

Key = TypeVar("Key")
Value = TypeVar("Value")
ReadOnly = Annotated[  # as answers about a calendar are cached
    Mapping[Key, Value], AfterValidator(MappingProxyType), WrapSerializer(lambda proxy, as_usual: as_usual(dict(proxy)))
]
Hours = tuple[time, time]  # opens, closes: local time without zone, on one day


def _in_order(sessions: tuple[Hours, ...]) -> tuple[Hours, ...]:
    times = [moment for hours in sessions for moment in hours]
    if any(moment.tzinfo for moment in times) or times != sorted(set(times)):
        raise ValueError("a day's sessions must follow one another without touching, in local time without offset")
    return sessions


def _without_summer_time(zone: ZoneInfo) -> ZoneInfo:
    if zone.key not in _ZONES:
        raise ValueError(f"the zone must be one of Indonesia's: {', '.join(_ZONES)}")
    return zone


_ZONES = ("Asia/Jakarta", "Asia/Pontianak", "Asia/Makassar", "Asia/Jayapura")  # WIB, WIB, WITA, WIT
DaySessions = Annotated[tuple[Hours, ...], AfterValidator(_in_order)]  # none: closed


class OfficeDay(BaseModel):
    """How one office works on one day, whatever the week and the closed days say."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    sessions: DaySessions
    why: str  # in Indonesian, like the names of closed days


class Calendar(BaseModel):
    """One version of the working calendar. A year without any closed day lies beyond it: only the week counts there."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    version: int
    zone: Annotated[ZoneInfo, AfterValidator(_without_summer_time)]  # so a day's sessions are told by the wall clock
    weekly: Annotated[tuple[DaySessions, ...], Field(min_length=7, max_length=7)]  # from Monday
    closed: ReadOnly[date, str]  # with the name of the holiday or joint leave, in Indonesian
    provisional: frozenset[int]  # years whose joint leave is not decreed or whose lunar dates are estimated
    offices: ReadOnly[str, ReadOnly[date, OfficeDay]] = Field(default_factory=dict, validate_default=True)  # by code

    @model_validator(mode="after")
    def _work_never_ends(self) -> Self:
        if not any(self.weekly):
            raise ValueError("a week without any session: nothing would ever fall due")
        return self

    def __hash__(self) -> int:
        return hash(self.version)  # equal calendars have equal versions; all fields would make the caches slow

    def on(self, day: date) -> tuple[Hours, ...]:
        """The sessions of that day; none when it is closed."""
        return () if day in self.closed else self.weekly[day.weekday()]


class OfficeCalendar(Calendar):
    """A calendar as it holds for one office, whose own days go before everybody's."""

    office: str

    def __hash__(self) -> int:
        return hash((self.version, self.office))

    def on(self, day: date) -> tuple[Hours, ...]:
        own = self.offices[self.office].get(day)
        return super().on(day) if own is None else own.sessions


@lru_cache(maxsize=256)
def for_office(calendar: Calendar, office: str) -> Calendar:
    """The calendar of the office with this code: the same one where it has no days of its own."""
    return OfficeCalendar(**dict(calendar), office=office) if calendar.offices.get(office) else calendar


def sessions(calendar: Calendar, day: date) -> tuple[tuple[datetime, datetime], ...]:
    """Opening and closing instants on `day` (in the calendar's zone), in order; empty when the office is closed."""
    return tuple(
        (datetime.combine(day, opens, calendar.zone), datetime.combine(day, closes, calendar.zone))
        for opens, closes in calendar.on(day)
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
