"""One event as an auditor reads it: who, when by both clocks, where, and why; nothing personal."""

from typing import Any

from events.application import CaseFact, Corrected, Returned
from events.envelope import Event
from events.sla import Breached, Warned
from services.wording import told


def event_line(event: Event) -> dict[str, Any]:
    """`detail` and `causes` (seconds) say more where there is more. Of a reason, which is sealed, only that there is one."""
    assert event.recorded is not None
    fact, detail, causes = event.fact, None, None
    match fact:
        case Returned(back_to=stage):
            detail = f"to {stage}"
        case Corrected(corrects=corrected):
            detail = f"of {corrected}"
        case Warned() | Breached():
            detail, causes = fact.target, dict(fact.elapsed)
    return {
        "seq": event.seq,
        "event": event.name,
        "id": event.id,
        "office": event.place,
        "occurred": told(event.occurred),
        "recorded": told(event.recorded),
        "actor": event.actor,
        "command": event.causation,
        "detail": detail,
        "causes": causes,
        "has_reason": isinstance(fact, CaseFact) and fact.sealed is not None and event.version > 1,
    }
