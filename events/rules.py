"""Which service standard and which calendar are in force when. Version 1 of both is packaged and holds from the beginning
of time; later versions are set by events, each from an instant on that is not before the one at which it was set.

A version takes the place of all earlier ones from its instant on, those included that were to hold only from then on or
later. So what has started keeps the version that it started under, and what was set too early can be set anew in time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar, assert_never

from pydantic import AfterValidator, AwareDatetime, BaseModel, JsonValue, WithJsonSchema

from events.calendar import CALENDAR_V1, Calendar
from events.fact import Fact
from events.standard import STANDARD_V1, Standard

Rule = TypeVar("Rule", Calendar, Standard)


def _must_be(model: type[BaseModel]) -> AfterValidator:
    """A reader that knows less of the rules must not read them: it would find other due instants."""

    def check(document: dict[str, JsonValue]) -> dict[str, JsonValue]:
        model.model_validate(document)
        return document

    return AfterValidator(check)


def _schema(model: type[BaseModel]) -> WithJsonSchema:
    """Its JSON Schema without references, as the catalogue has no common definitions, and without remarks."""
    schema = model.model_json_schema(mode="serialization")
    definitions = schema.pop("$defs", {})

    def plain(part: Any) -> Any:
        if isinstance(part, Mapping):
            part = definitions[part["$ref"].rpartition("/")[2]] if "$ref" in part else part
            remarks = {key for key in ("title", "description") if isinstance(part.get(key), str)}
            return {key: plain(value) for key, value in part.items() if key not in remarks}
        return [plain(item) for item in part] if isinstance(part, list) else part

    return WithJsonSchema(plain(schema))


class CalendarSet(Fact):
    """A version of the working calendar, whole, that holds from an instant on."""

    TYPE: ClassVar[str] = "id.go.ektp.calendar.set.v1"
    calendar: Annotated[dict[str, JsonValue], _must_be(Calendar), _schema(Calendar)]
    valid_from: AwareDatetime


class StandardSet(Fact):
    """A version of the service standard, whole, that holds from an instant on."""

    TYPE: ClassVar[str] = "id.go.ektp.standard.set.v1"
    standard: Annotated[dict[str, JsonValue], _must_be(Standard), _schema(Standard)]
    valid_from: AwareDatetime


RuleFact = CalendarSet | StandardSet


@dataclass(frozen=True)
class Version(Generic[Rule]):
    """A calendar or a standard, and the aware instant from which it holds."""

    valid_from: datetime
    rule: Rule


def in_force(versions: Sequence[Version[Rule]], at: datetime) -> Rule:
    """The one that holds at the aware instant `at`: the last that was set to hold by then."""
    for version in versions[:0:-1]:
        if version.valid_from <= at:
            return version.rule
    return versions[0].rule  # version 1 holds from the beginning of time


THE_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Rulebook:
    """All versions of both, in the order in which they were set: version 1 first."""

    calendars: tuple[Version[Calendar], ...] = (Version(THE_BEGINNING, CALENDAR_V1),)
    standards: tuple[Version[Standard], ...] = (Version(THE_BEGINNING, STANDARD_V1),)


def evolve(rulebook: Rulebook, fact: RuleFact) -> Rulebook:
    """The rulebook with one more version. A number that does not follow means a damaged history."""
    match fact:
        case CalendarSet():
            calendar = Version(fact.valid_from, Calendar.model_validate(fact.calendar))
            assert calendar.rule.version == len(rulebook.calendars) + 1, f"calendar {calendar.rule.version} does not follow"
            return replace(rulebook, calendars=(*rulebook.calendars, calendar))
        case StandardSet():
            standard = Version(fact.valid_from, Standard.model_validate(fact.standard))
            assert standard.rule.version == len(rulebook.standards) + 1, f"standard {standard.rule.version} does not follow"
            return replace(rulebook, standards=(*rulebook.standards, standard))
        case _:
            assert_never(fact)
