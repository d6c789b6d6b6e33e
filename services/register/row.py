"""One row of a register book: can it have happened (contract: import CSV). Pure.

How it fits its case's history (order of stages, time of the event before) is decided elsewhere.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Final

from events.nik import InvalidNik, Nik, Sex
from events.offices import OFFICES
from events.stages import Kind, Stage
from services.application import ADULT_YEARS
from services.commands import NAME_CHARS_MAX, REASON_CHARS_MAX, SERIAL_CHARS_MAX
from services.register import rejections
from services.register.rejections import CASE_CHARS_MAX, EVENTS, RegisterEvent

COLUMNS: Final = (
    *("case", "office", "kind", "nik", "name", "sex", "born"),
    *("event", "at", "actor", "serial", "reason"),
)
ROWS_MAX: Final = 500  # rows of one chunk: each chunk is one atomic append
WIB: Final = timezone(timedelta(hours=7), "WIB")  # what Asia/Jakarta has kept since 1964
_EVENTS: Final[dict[str, RegisterEvent]] = {event: event for event in EVENTS}
_KINDS: Final[dict[str, Kind]] = {kind.value: kind for kind in Kind}
_ACTOR: Final = re.compile(r"[A-Za-z0-9._-]{0,40}")
_BACK_TO: Final = re.compile(r"(submitted|recorded|queued)\b")


@dataclass(frozen=True, slots=True)
class RegisterRow:
    """What one row says, typed. `at` is in WIB whatever offset was written, so equal instants are equal text."""

    case: str  # as in the register; never used raw in a subject or a path
    office: str
    kind: Kind
    nik: Nik
    name: str
    sex: Sex
    born: date  # as written; else the latest that the NIK allows at `at`
    event: RegisterEvent
    at: datetime
    actor: str
    serial: str
    reason: str  # of a return: the stage included
    back_to: Stage | None  # returned alone


def check(cells: Sequence[str], now: datetime) -> RegisterRow:
    """The row in these cells (in the order of COLUMNS, stripped) at the aware instant `now`. Raises RowRejected."""
    case, office, kind, digits, name, sex, born_text, event_text, at_text, actor, serial, reason = cells
    if not 0 < len(case) <= CASE_CHARS_MAX:
        raise rejections.BadCase
    if office not in OFFICES:
        raise rejections.UnknownOffice
    if kind not in _KINDS:
        raise rejections.UnknownKind
    try:
        nik = Nik(digits)
    except InvalidNik as invalid:
        raise rejections.BadNik(invalid.why) from None
    if not 0 < len(name) <= NAME_CHARS_MAX:
        raise rejections.BadName
    if sex and sex != nik.sex:
        raise rejections.SexDisagrees
    if event_text not in _EVENTS:
        raise rejections.UnknownEvent
    event = _EVENTS[event_text]
    at = _instant(at_text)
    if at > now:
        raise rejections.InFuture(at, now)
    born = _born(born_text, nik, at.date())
    if event == "submitted" and not _adult(born, at.date()):
        raise rejections.UnderAge
    if not _ACTOR.fullmatch(actor):
        raise rejections.BadActor
    if len(serial) > SERIAL_CHARS_MAX:
        raise rejections.SerialTooLong
    if len(reason) > REASON_CHARS_MAX:
        raise rejections.ReasonTooLong
    if not reason and event in ("returned", "cancelled"):
        raise rejections.ReasonMissing
    back_to = _back_to(reason) if event == "returned" else None
    return RegisterRow(
        case, office, _KINDS[kind], nik, name, nik.sex, born, event, at, actor, serial, reason, back_to
    )  # by position: by name costs 0.5 µs more


def _instant(text: str) -> datetime:
    """ISO 8601 date and time, in WIB; without an offset it is WIB already. Raises BadTime, for a mere date too."""
    try:
        at = datetime.fromisoformat(text)
        if "T" in text or " " in text:  # fromisoformat takes any character there, or no time at all
            return at.replace(tzinfo=WIB) if at.tzinfo is None else at.astimezone(WIB)
    except (ValueError, OverflowError):  # overflow: in WIB it would be before year 1 or after 9999
        pass
    raise rejections.BadTime


def _born(text: str, nik: Nik, today: date) -> date:
    """As written when the NIK agrees, else by the NIK alone. Raises BornDisagrees or BadNik."""
    try:
        born = date.fromisoformat(text) if text else nik.born(today)
    except ValueError:
        raise rejections.BornDisagrees from None
    except InvalidNik as invalid:
        raise rejections.BadNik(invalid.why) from None
    if not nik.agrees_with(born):
        raise rejections.BornDisagrees
    return born


def _adult(born: date, today: date) -> bool:
    """Born on 29 February, one comes of age on 1 March."""
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day)) >= ADULT_YEARS


def _back_to(reason: str) -> Stage:
    found = _BACK_TO.match(reason)
    if found is None:
        raise rejections.BadReturn
    return Stage(found[1])
