"""Setting a version of the service standard or of the calendar: may it hold, and from when. Pure.

A file is what `show` prints: its version number is not looked at, as the next one is given here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue, ValidationError

from events.calendar import Calendar
from events.envelope import subject
from events.offices import BACKBONE_ID, office
from events.rules import CalendarSet, Rule, Rulebook, RuleFact, StandardSet, Version, in_force
from events.standard import Standard
from services.commands import Actor
from services.refusals import Refused

CALENDAR_SUBJECT = subject(BACKBONE_ID, "calendar", "base")
STANDARD_SUBJECT = subject(BACKBONE_ID, "standard", "base")


class SetRule(BaseModel):
    """A new version of the calendar or the standard, as its file has it, to hold from an instant on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    command: Literal["calendar_set", "standard_set"]
    document: dict[str, JsonValue]
    valid_from: AwareDatetime | None = None  # not given: from now on
    actor: Actor | None = None


@dataclass(eq=False)
class ValidFromInThePast(Refused):
    """What has started would be judged anew by rules that nobody knew then."""

    valid_from: datetime
    now: datetime
    code: ClassVar[str] = "valid_from_in_the_past"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = (
        "Mulai berlaku {valid_from} sudah lewat (sekarang {now}); tidak ada yang diubah. Pilih waktu yang akan datang."
    )
    sentence_en: ClassVar[str] = "{valid_from} has passed (now {now}); nothing was set. Choose an instant that is to come."


@dataclass(eq=False)
class FeeMustBeZero(Refused):
    """Population documents cost nothing (UU 24/2013 art. 79A)."""

    code: ClassVar[str] = "fee_must_be_zero"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Biaya harus Rp 0 (UU 24/2013 pasal 79A); standar tidak diubah. Isi fee_rupiah dengan 0."
    sentence_en: ClassVar[str] = "The fee must be Rp 0 (UU 24/2013 art. 79A); the standard was not set. Put 0 as fee_rupiah."


@dataclass(eq=False)
class InvalidStandard(Refused):
    """The file is not a service standard; `why` names the places in it."""

    why: str
    code: ClassVar[str] = "invalid_standard"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Standar tidak diubah karena isinya keliru: {why}. Contoh: ektp standard show --json."
    sentence_en: ClassVar[str] = "The standard was not set, as its file is wrong: {why}. To start from: ektp standard show."


@dataclass(eq=False)
class InvalidCalendar(Refused):
    """The file is not a calendar; `why` names the places in it."""

    why: str
    code: ClassVar[str] = "invalid_calendar"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Kalender tidak diubah karena isinya keliru: {why}. Contoh: ektp calendar show --json."
    sentence_en: ClassVar[str] = "The calendar was not set, as its file is wrong: {why}. To start from: ektp calendar show."


def read_calendar(document: dict[str, Any]) -> Calendar:
    """The calendar in a file's JSON object. Raises InvalidCalendar, and UnknownOffice where days are not ours."""
    try:
        calendar = Calendar.model_validate(document | {"version": 0})
    except ValidationError as wrong:
        raise InvalidCalendar(_places(wrong)) from None
    for code in calendar.offices:
        office(code)
    return calendar


def read_standard(document: dict[str, Any]) -> Standard:
    """The service standard in a file's JSON object. Raises FeeMustBeZero, InvalidStandard."""
    try:
        return Standard.model_validate(document | {"version": 0})
    except ValidationError as wrong:
        if any(error["loc"] == ("fee_rupiah",) for error in wrong.errors()):
            raise FeeMustBeZero from None
        raise InvalidStandard(_places(wrong)) from None


def decide_set(asked: Calendar | Standard, rulebook: Rulebook, valid_from: datetime, now: datetime) -> list[RuleFact]:
    """One more version, to hold from the aware instant `valid_from` on; none where just this holds from then on already.

    Raises ValidFromInThePast.
    """
    if isinstance(asked, Calendar):
        calendar = _next(asked, rulebook.calendars, valid_from, now)
        return [CalendarSet(calendar=calendar, valid_from=valid_from)] if calendar else []
    standard = _next(asked, rulebook.standards, valid_from, now)
    return [StandardSet(standard=standard, valid_from=valid_from)] if standard else []


def _next(
    asked: Rule, versions: Sequence[Version[Rule]], valid_from: datetime, now: datetime
) -> dict[str, JsonValue] | None:
    changes = [valid_from, *(version.valid_from for version in versions if version.valid_from > valid_from)]
    held = [in_force(versions, at) for at in changes]
    if all(asked.model_copy(update={"version": rule.version}) == rule for rule in held):
        return None
    if valid_from < now:
        raise ValidFromInThePast(valid_from, now)
    return asked.model_dump(mode="json") | {"version": len(versions) + 1}


def _places(wrong: ValidationError) -> str:
    return "; ".join(f"/{'/'.join(map(str, error['loc']))} ({error['msg']})" for error in wrong.errors())
