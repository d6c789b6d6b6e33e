"""What the API's routes share: instants, the time that a question is about, positions, and how a document is answered."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import orjson
from fastapi import Depends, Query, Response
from pydantic import AfterValidator, AwareDatetime

from events.problem import Problem
from services.tokens import Role

READERS: tuple[Role, ...] = ("desk", "operations", "auditor")
_FIRST, _LAST = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


@dataclass(eq=False)
class PositionAhead(Problem):
    """The journal has not come so far: it was restored to an earlier state, or the position is of another journal."""

    position: int
    head: int
    code: ClassVar[str] = "position_ahead"
    status: ClassVar[int] = 410
    sentence_id: ClassVar[str] = (
        "Jurnal baru sampai kejadian {head}, belum {position}: mungkin dipulihkan dari cadangan. Mulai lagi dari 0."
    )
    sentence_en: ClassVar[str] = (
        "The journal ends at event {head}, before {position}: it may have been restored. Start again from 0."
    )


def _plausible(instant: datetime) -> datetime:
    if not _FIRST <= instant <= _LAST:
        raise ValueError("must lie in the years 1900 to 2199")
    return instant


Instant = Annotated[AwareDatetime, AfterValidator(_plausible)]
Position = Annotated[int, Query(ge=0, le=2**53)]
Office = Annotated[str | None, Query(description="Six digits; not given: all offices.", examples=["367203"], max_length=20)]


async def _when(
    as_of: Annotated[Instant | None, Query(alias="as-of", description="What was true then.")] = None,
    as_recorded: Annotated[Instant | None, Query(alias="as-recorded", description="What was known then.")] = None,
) -> dict[str, datetime | None]:
    return {"as_of": as_of, "as_recorded": as_recorded}


When = Annotated[dict[str, Any], Depends(_when)]


def document(answer: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`answer` as JSON."""
    return Response(orjson.dumps(answer), status, headers, "application/json")
