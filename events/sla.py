"""What operations were told of a target, on `ektp.<office>.sla.<case>`; the envelope's `time` is when they were told.

Told is told: a time that is corrected later takes nothing back and tells nothing again, as the event's id follows from the
case, the target and the id of the event that started it. Whether a target was met is judged from the case itself.
"""

from typing import ClassVar, Literal

from pydantic import AwareDatetime, NonNegativeInt

from events.fact import Fact
from events.standard import TargetName

Cause = Literal["office", "centre", "blank_stock", "power", "network", "equipment", "applicant", "closed"]
CAUSES: tuple[Cause, ...] = ("office", "centre", "blank_stock", "power", "network", "equipment", "applicant", "closed")


class SlaFact(Fact):
    """What is told of any target, under the rules that were in force when it started."""

    target: TargetName
    started: AwareDatetime
    due: AwareDatetime
    elapsed: dict[Cause, NonNegativeInt]  # seconds from `started` to `reached` or `due`, by cause
    standard_version: int
    calendar_version: int
    late: bool  # told over a minute after it should have been: the backbone stood still, or a time was corrected


class Warned(SlaFact):
    """So much of the target's time was gone, on its own clock."""

    TYPE: ClassVar[str] = "id.go.ektp.sla.warned.v1"
    share: Literal[75, 90]  # per cent
    reached: AwareDatetime


class Breached(SlaFact):
    """The target was not met by its due instant."""

    TYPE: ClassVar[str] = "id.go.ektp.sla.breached.v1"
