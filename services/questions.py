"""What may be asked of the views: the models of the questions on `ask.ektp.<backbone>.<question>`."""

from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict

from events.nik import Nik
from events.problem import Lang


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
