"""What happened to one application for a card: the five stages, and what turns a case back, ends it or corrects it.

Stages: contract section 4; `queued` is print-ready, `printed` a checked card in hand. Who the resident is stands only in
the sealed part; `resident` is a random id that means nothing without the keystore.
"""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import AwareDatetime

from events.fact import PERSONAL, Fact, PersonalText
from events.stages import Kind, Stage


class CaseFact(Fact):
    """What all facts of a case may carry."""

    digest: str  # keyed digest of the whole command or register row: the same key with other content is noticed
    serial: str | None = None  # of the blank, or of whatever the desk notes
    reason: PersonalText = None


class Submitted(CaseFact):
    """A resident handed in an application; `promised` is what the receipt said, and under which rules."""

    TYPE: ClassVar[str] = "id.go.ektp.application.submitted.v1"
    receipt: str
    kind: Kind
    resident: str
    promised: AwareDatetime
    standard_version: int
    calendar_version: int
    nik: PersonalText = None
    name: PersonalText = None
    born: Annotated[date | None, PERSONAL] = None


class Recorded(CaseFact):
    """Photo, fingerprints, signature and iris were taken."""

    TYPE: ClassVar[str] = "id.go.ektp.application.recorded.v1"


class Queued(CaseFact):
    """The centre has checked for a double; the card is print-ready."""

    TYPE: ClassVar[str] = "id.go.ektp.application.queued.v1"


class Printed(CaseFact):
    """A card is in hand and was checked."""

    TYPE: ClassVar[str] = "id.go.ektp.application.printed.v1"


class Collected(CaseFact):
    """The resident has the card. Final."""

    TYPE: ClassVar[str] = "id.go.ektp.application.collected.v1"


class Returned(CaseFact):
    """The case went back to an earlier stage that it had reached; nothing is taken back from counts."""

    TYPE: ClassVar[str] = "id.go.ektp.application.returned.v1"
    back_to: Stage


class Cancelled(CaseFact):
    """The case ended without a card being handed out. Final."""

    TYPE: ClassVar[str] = "id.go.ektp.application.cancelled.v1"


class Corrected(CaseFact):
    """An earlier event of this case was noted wrongly; the values given here hold instead. None: unchanged."""

    TYPE: ClassVar[str] = "id.go.ektp.application.corrected.v1"
    corrects: str  # event id
    at: AwareDatetime | None = None
    new_serial: str | None = None
    new_actor: str | None = None
    name: PersonalText = None


def stage_reached(fact: Fact) -> Stage | None:
    """The stage that a fact brings its case to; None for one that moves no case, such as a correction."""
    return fact.back_to if isinstance(fact, Returned) else _STAGES.get(type(fact))


_STAGES: dict[type[Fact], Stage] = {
    Submitted: Stage.SUBMITTED,
    Recorded: Stage.RECORDED,
    Queued: Stage.QUEUED,
    Printed: Stage.PRINTED,
    Collected: Stage.COLLECTED,
    Cancelled: Stage.CANCELLED,
}
ApplicationFact = Submitted | Recorded | Queued | Printed | Collected | Returned | Cancelled | Corrected
