"""What may be asked about an application: the models of the commands, and the bounds of what they may hold.

The same models are the wire form on `cmd.ektp.<office or backbone>.<command>`.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from events.nik import Nik
from events.stages import Kind, Stage

NAME_CHARS_MAX, SERIAL_CHARS_MAX, REASON_CHARS_MAX = 200, 40, 500

Name = Annotated[str, StringConstraints(min_length=1, max_length=NAME_CHARS_MAX, strip_whitespace=True)]
Serial = Annotated[str, StringConstraints(min_length=1, max_length=SERIAL_CHARS_MAX, strip_whitespace=True)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=REASON_CHARS_MAX, strip_whitespace=True)]
Actor = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,40}$")]


class _Command(BaseModel):
    """What every command may say. `at`: when it happened at the desk; not given: now."""

    model_config = ConfigDict(frozen=True, extra="forbid")  # a misspelt field is an error, not a silence
    at: AwareDatetime | None = None
    actor: Actor | None = None
    serial: Serial | None = None
    reason: Reason | None = None


class Submit(_Command):
    """Hand in an application. Sex and birth date come from the NIK; `born` only settles the century."""

    command: Literal["submit"] = "submit"
    office: str
    nik: Nik
    name: Name
    kind: Kind
    born: date | None = None
    married: bool = False
    foreigner: bool = False
    stay_permit: bool = False


class _CaseCommand(_Command):
    receipt: str


class Advance(_CaseCommand):
    """The case has reached the next stage: record, queue, print, collect."""

    command: Literal["record", "queue", "print", "collect"]


class Return(_CaseCommand):
    """Send the case back to an earlier stage."""

    command: Literal["return"] = "return"
    to: Stage
    reason: Reason


class Cancel(_CaseCommand):
    """End the case without a card."""

    command: Literal["cancel"] = "cancel"
    reason: Reason


class Correct(_CaseCommand):
    """An event was noted wrongly: these values hold instead."""

    command: Literal["correct"] = "correct"
    event: str
    reason: Reason
    new_at: AwareDatetime | None = None
    new_serial: Serial | None = None
    new_actor: Actor | None = None
    new_name: Name | None = None


AnyCommand = Submit | Advance | Return | Cancel | Correct
Command: TypeAdapter[AnyCommand] = TypeAdapter(Annotated[AnyCommand, Field(discriminator="command")])
