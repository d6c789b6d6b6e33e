"""The clock that runs only while the office works. Pure functions over a calendar; results are in the calendar's zone."""

from datetime import datetime, timedelta

from events.calendar import Calendar, local, sessions

ONE_DAY = timedelta(days=1)


def after_working_time(calendar: Calendar, start: datetime, working: timedelta) -> datetime:
    """The first working instant at which `working` (zero or more) has passed since the aware instant `start`.

    When that is exactly a closing time, it is that closing time, not the next opening.
    """
    assert working >= timedelta(0), "the working clock does not run backwards"
    start = local(calendar, start)
    day = start.date()
    while True:  # ends, as a calendar has sessions in its week and finitely many closed days
        for opens, closes in sessions(calendar, day):
            begins = opens if opens > start else start
            available = closes - begins  # negative for a session that was over before the start
            if available >= working:
                return begins + working
            if closes > begins:
                working -= available
        day += ONE_DAY


def next_working_instant(calendar: Calendar, instant: datetime) -> datetime:
    """The first working instant at or after the aware `instant`; opening and closing instants are working."""
    return after_working_time(calendar, instant, timedelta(0))
