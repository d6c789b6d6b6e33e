"""Questions about what is known, answered from the views: pure requests and documents (contract: documents)."""

from datetime import datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from events.calendar import CALENDAR_V1
from events.nik import Nik
from events.problem import Lang
from projections.status import CaseStatus
from services.wording import NEXT_STEP, WAITS_FOR


class AsOf(BaseModel):
    """Which time a question is about; neither given: now."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    as_of: AwareDatetime | None = None  # what was true then
    as_recorded: AwareDatetime | None = None  # what was known then


class AskStatus(AsOf):
    """Where does this case stand?"""

    receipt: str
    lang: Lang = "id"


class AskFind(BaseModel):
    """Which receipts does a resident have, or a register number?"""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by: Literal["nik", "case"]
    nik: Nik | None = None
    case: str | None = None
    office: str | None = None


def status_document(status: CaseStatus, lang: Lang) -> dict[str, Any]:
    """The document of `ektp status --json`. What no part of this version knows yet is null."""
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
