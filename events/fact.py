"""What every fact is: an immutable model with a type name, and personal fields that are marked so that they get sealed.

Readers ignore fields they do not know, so one version behind survives. Add fields with a default; never rename, retype
or drop one: a new meaning is a new type `.v2`.
"""

from functools import cache
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict


class _Personal:
    """Marks a field that names a person or says something of one."""


PERSONAL = _Personal()
PersonalText = Annotated[str | None, PERSONAL]  # None: not given, or sealed and not opened


class Fact(BaseModel):
    """One thing that happened. `sealed` holds the personal fields, encrypted (base 64), once the fact is stored."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    TYPE: ClassVar[str]
    sealed: str | None = None


@cache
def personal_fields(fact: type[Fact]) -> frozenset[str]:
    """Names of the fields of this kind of fact that are never stored in clear."""
    return frozenset(name for name, field in fact.model_fields.items() if PERSONAL in field.metadata)


def split(fact: Fact) -> tuple[dict[str, Any], dict[str, Any]]:
    """(public, personal) fields of a fact that are set, as JSON values."""
    hidden = personal_fields(type(fact))
    public = fact.model_dump(mode="json", exclude_none=True)
    return public, {name: public.pop(name) for name in hidden & public.keys()}
