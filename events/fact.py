"""What every fact is: an immutable model with a type name, and personal fields that are marked so that they get sealed.

Readers ignore fields they do not know, so one version behind survives. Add fields with a default; never rename, retype
or drop one: a new meaning is a new type `.v2`. The class then tells how old facts are read, as the library `eventsourcing`
asks for it: a static method `upcast_v1_v2(state)`, which changes the public fields in place. It never sees the personal
ones, which are sealed: these keep their names for ever.
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
    class_version: ClassVar[int] = 1  # the N of `.vN`, under the name that the library gives it
    sealed: str | None = None

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        if hasattr(cls, "TYPE"):
            cls.class_version = _version(cls.TYPE)


@cache
def type_names(fact: type[Fact]) -> tuple[str, ...]:
    """Every type that this kind of fact was ever stored as, from `.v1` to its own. What is sealed is bound to the first."""
    stem = fact.TYPE.rpartition(".v")[0]
    return tuple(f"{stem}.v{version}" for version in range(1, fact.class_version + 1))


def upcast(fact: type[Fact], stored_as: str, state: dict[str, Any]) -> None:
    """Bring the public fields of a fact that was stored as an older type to today's version, in place.

    Raises whatever the fact's `upcast_v1_v2` … raise when the fields are not what they should be.
    """
    for version in range(_version(stored_as), fact.class_version):
        getattr(fact, f"upcast_v{version}_v{version + 1}")(state)


def _version(type_name: str) -> int:
    return int(type_name.rpartition(".v")[2])


@cache
def personal_fields(fact: type[Fact]) -> frozenset[str]:
    """Names of the fields of this kind of fact that are never stored in clear."""
    return frozenset(name for name, field in fact.model_fields.items() if PERSONAL in field.metadata)


def split(fact: Fact) -> tuple[dict[str, Any], dict[str, Any]]:
    """(public, personal) fields of a fact that are set; orjson writes their values as they are."""
    hidden = personal_fields(type(fact))
    public = {name: value for name, value in fact.__dict__.items() if value is not None}
    return public, {name: public.pop(name) for name in hidden & public.keys()}
