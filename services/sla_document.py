"""The document of `ektp sla --json` (contract: documents), and how it travels when it is too long for one message."""

import secrets
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from events.problem import Problem
from events.timers import Timer
from projections.sla_report import Report, Run
from services.questions import SLA_LISTS as LISTS
from services.wording import told

_ROWS_MAX = 400  # of each list in one message: NATS takes 1 MB, a row has some 600 bytes
_HELD_MAX = 4


@dataclass(eq=False)
class NoRest(Problem):
    """The rest of a long answer is gone: others asked meanwhile, or the reader was started anew."""

    code: ClassVar[str] = "no_rest"
    status: ClassVar[int] = 410
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Sisa jawaban sudah tidak ada. Ajukan pertanyaan sekali lagi."
    sentence_en: ClassVar[str] = "The rest of the answer is gone. Ask again."


def sla_document(report: Report, as_of: datetime, recomputed: bool) -> dict[str, Any]:
    """Instants in the office's zone. Of a run that a return or the cancellation ended, `ended` says when."""
    return {
        "as_of": told(as_of),
        "running": report.running,
        "at_risk": [_without(_row(run, as_of, recomputed), "met") | {"breached": None} for run in report.at_risk],
        "breached": [_row(run, as_of, recomputed) for run in report.breached],
        "standing_still": [
            {"receipt": case.receipt, "office": case.office, "stage": case.stage, "since": told(case.since)}
            for case in report.standing_still
        ],
        "percentiles": {
            stage.value: {f"p{share}": ages[share] if ages else None for share in (50, 90, 99)}
            for stage, ages in report.ages.items()
        },
    }


class Parts:
    """Long answers on their way: the first part goes at once, the others wait here until they are asked for."""

    def __init__(self) -> None:
        self._rest: OrderedDict[str, Iterator[dict[str, Any]]] = OrderedDict()

    def first(self, document: dict[str, Any]) -> dict[str, Any]:
        """The document with the beginning of its lists; `rest` names what is left, None: nothing."""
        token = secrets.token_hex(8)
        self._rest[token] = _slices(document)
        if len(self._rest) > _HELD_MAX:
            self._rest.popitem(last=False)
        return document | self.next(token)

    def next(self, token: str) -> dict[str, Any]:
        """The next of each list, and `rest`. Raises NoRest."""
        if token not in self._rest:
            raise NoRest
        part = next(self._rest[token])
        if part["is_last"]:
            del self._rest[token]
        return {name: part[name] for name in LISTS} | {"rest": None if part["is_last"] else token}


def _slices(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    rows = max(1, *(len(document[name]) for name in LISTS))
    for start in range(0, rows, _ROWS_MAX):
        end = start + _ROWS_MAX
        yield {name: document[name][start:end] for name in LISTS} | {"is_last": end >= rows}


def _row(run: Run, as_of: datetime, recomputed: bool) -> dict[str, Any]:
    timer = run.timer
    until = min(timer.stopped or as_of, as_of)
    row = {
        "receipt": run.receipt,
        "office": run.office,
        "target": timer.target.name,
        "started": _local(timer, timer.started),
        "due": _local(timer, timer.due),
        "breached": _local(timer, timer.due),
        "met": _local(timer, timer.met),
        "ended": _local(timer, timer.ended),
        "office_due": _local(timer, run.office_due),
        "late_seconds": max(0, int((until - timer.due).total_seconds())),
        "causes": run.causes,
        "standard_version": timer.standard_version,
        "calendar_version": timer.calendar.version,
    }
    return row | {"recomputed": _again(run.again, as_of)} if recomputed else row


def _again(timer: Timer | None, as_of: datetime) -> dict[str, Any] | None:
    """The verdict under the rules that are in force at as-of; None: the target would not have run."""
    if timer is None:
        return None
    is_breached = timer.due <= as_of and (timer.stopped is None or timer.stopped > timer.due)
    return {
        "due": _local(timer, timer.due),
        "breached": is_breached,
        "standard_version": timer.standard_version,
        "calendar_version": timer.calendar.version,
    }


def _local(timer: Timer, instant: datetime | None) -> str | None:
    return instant.astimezone(timer.calendar.zone).isoformat() if instant else None


def _without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}
