"""What may be asked of the views: the models of the questions on `ask.ektp.<backbone>.<question>`."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from events.nik import Nik
from events.problem import Lang

LAG_EVENTS_MAX = 10_000  # a reader further behind than this is not ready
SLA_LISTS = ("at_risk", "breached", "standing_still")  # of the document of `ektp sla`; long ones come in parts


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


class AskRebuild(BaseModel):
    """Build a view anew, or all of them; how far they are."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    projection: str | None = None
    begin: bool = True  # False: only tell


class AskRetry(BaseModel):
    """Try again what was set aside: all, or what is on one event's subject."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    seq: int | None = None


class AskCoverage(AsOf):
    """How many persons were recorded and how many cards printed, per office?"""

    office: str | None = None


class AskDesk(AsOf):
    """What lies on the desks, oldest first? Also for cards that nobody has fetched."""

    office: str | None = None
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class AskSla(AsOf):
    """Which targets run, are at risk, or were breached, and through what? Breached: due from `since` on, or 90 days."""

    office: str | None = None
    since: AwareDatetime | None = None
    recomputed: bool = False  # also by the rules that are in force then


class AskRest(BaseModel):
    """The next part of an answer that said that there is more."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    rest: str


class AskDue(BaseModel):
    """Of which cases must operations be told something by then?"""

    model_config = ConfigDict(frozen=True, extra="forbid")
    now: AwareDatetime
