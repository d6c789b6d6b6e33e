"""Which case and which event a register row stands for: ids that follow from the row, so that it is known again.

A row is known by office, case, event and time; its digest tells whether it is the very same row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Literal

from events.envelope import case_subject
from events.offices import OFFICES
from events.problem import Problem
from events.receipt import case_id, keyed_hash, receipt
from services.commands import Advance, AnyCommand, Cancel, Return, Submit
from services.register.known_rows import KnownRows
from services.register.rejections import RowRejected
from services.register.row import RegisterRow, check

_ADVANCE: dict[str, Literal["record", "queue", "print", "collect"]] = {
    "recorded": "record",
    "queued": "queue",
    "printed": "print",
    "collected": "collect",
}


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot have happened."""

    line: int
    name: tuple[str, str]  # (office, case) as written
    problem: Problem


@dataclass(frozen=True, slots=True)
class IdentifiedRow:
    """A row that can have happened, and what it is called."""

    line: int
    row: RegisterRow
    event_id: str
    digest: str
    is_known: bool  # the journal has this very row
    receipt: str
    subject: str


def identify(
    secret: bytes, line: int, cells: Sequence[str], now: datetime, known: KnownRows | None
) -> IdentifiedRow | BadRow:
    """The row in these cells at the aware instant `now`."""
    try:
        row = check(cells, now)
    except RowRejected as problem:
        return BadRow(line, (cells[1], cells[0]), problem)
    event_id = keyed_hash(secret, "row", row.office, row.case, row.event, row.at.isoformat()).hex()
    digest = keyed_hash(secret, "digest", *cells, size=12).hex()
    is_known = known is not None and known.has(event_id, digest)
    return IdentifiedRow(line, row, event_id, digest, is_known, *_names(secret, row.office, row.case))


def command_of(row: RegisterRow, receipt: str) -> AnyCommand:
    """The command that the row stands for."""
    common: dict[str, Any] = {
        "at": row.at,
        "actor": row.actor or None,
        "serial": row.serial or None,
        "reason": row.reason or None,
    }
    match row.event:
        case "submitted":
            return Submit(**common, office=row.office, nik=row.nik, name=row.name, kind=row.kind, born=row.born)
        case "returned":
            assert row.back_to
            return Return(**common, receipt=receipt, to=row.back_to)
        case "cancelled":
            return Cancel(**common, receipt=receipt)
        case _:
            return Advance(**common, receipt=receipt, command=_ADVANCE[row.event])


@lru_cache(20_000)  # a case's rows come chunks apart
def _names(secret: bytes, office: str, case: str) -> tuple[str, str]:
    """Receipt and subject of the case that the register calls `case`."""
    derived = receipt(secret, OFFICES[office], "case", case)
    return derived, case_subject(office, case_id(derived))
