"""The document of `ektp status --json` (contract: documents). What no part of this version knows yet is null."""

from datetime import datetime
from typing import Any

from events.calendar import CALENDAR_V1
from events.problem import Lang
from projections.status import CaseStatus
from services.wording import NEXT_STEP, WAITS_FOR


def status_document(status: CaseStatus, lang: Lang) -> dict[str, Any]:
    """Where a case stands, for a program; `next_step` is in `lang`."""
    return {
        "receipt": status.receipt,
        "case": status.case,
        "office": status.office,
        "kind": status.kind,
        "stage": status.stage,
        "since": told(status.since),
        "waits_for": WAITS_FOR[status.stage],
        "next_step": NEXT_STEP[lang][status.stage],
        "promised": told(status.promised),
        "forecast": None,
        "place": {"number": status.place[0], "of": status.place[1]} if status.place else None,
        "history": [
            {
                "event": line.event,
                "id": line.id,
                "occurred": told(line.occurred),
                "recorded": told(line.recorded),
                "seq": line.seq,
                "actor": line.actor,
            }
            for line in status.history
        ],
    }


def told(instant: datetime) -> str:
    """ISO 8601 in the office's zone."""
    return instant.astimezone(CALENDAR_V1.zone).isoformat()
