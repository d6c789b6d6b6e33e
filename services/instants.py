"""An instant as a person types it: on the command line, in the address of a page."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from events.calendar import CALENDAR_V1
from events.problem import Problem


@dataclass(eq=False)
class InvalidInstant(Problem):
    """Not an instant. What was typed is not shown: it may be a name that slipped out of its quotes."""

    code: ClassVar[str] = "invalid_instant"
    sentence_id: ClassVar[str] = "Ini bukan waktu. Tulis seperti 2026-11-24T09:30 (waktu Jakarta) atau dengan +07:00."
    sentence_en: ClassVar[str] = "This is not an instant. Write it as 2026-11-24T09:30 (Jakarta time) or with +07:00."


def instant(text: str | None) -> datetime | None:
    """ISO 8601; without an offset it is Jakarta time. Raises InvalidInstant."""
    if text is None:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInstant from None
    return read.replace(tzinfo=CALENDAR_V1.zone) if read.tzinfo is None else read
