"""The document of `ektp status --json` (contract: documents)."""

from typing import Any

from events.outage import OutageCause
from events.problem import Lang
from projections.forecast import Forecast
from projections.status import CaseStatus
from services.wording import next_step, told, waits_for


def status_document(status: CaseStatus, forecast: Forecast | None, outage: OutageCause | None, lang: Lang) -> dict[str, Any]:
    """Where a case stands, for a program; `next_step` is in `lang`. `outage`: the one its office has."""
    return {
        "receipt": status.receipt,
        "case": status.case,
        "office": status.office,
        "kind": status.kind,
        "stage": status.stage,
        "since": told(status.since),
        "waits_for": waits_for(status.stage, outage),
        "next_step": next_step(status.stage, outage, lang),
        "promised": told(status.promised),
        "forecast": {"p50": told(forecast.p50), "p90": told(forecast.p90)} if forecast else None,
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
