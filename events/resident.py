"""What is on a resident's own subject: which cases are theirs. It makes "one open case per resident" one expectation."""

from typing import ClassVar

from events.fact import Fact


class CaseClaimed(Fact):
    """This case is the resident's one open case. Whether it is still open is derived from the case, not told here."""

    TYPE: ClassVar[str] = "id.go.ektp.resident.case_claimed.v1"
    case: str
    office: str  # where the case lives


class ClaimsClosed(Fact):
    """No case can be claimed any more: told together with the order to erase the person, so that none slips in between."""

    TYPE: ClassVar[str] = "id.go.ektp.resident.claims_closed.v1"
