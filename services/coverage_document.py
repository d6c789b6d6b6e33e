"""The documents of `ektp coverage`, `desk` and `uncollected` with --json (contract: documents)."""

import csv
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from events.offices import OFFICES
from events.stages import Stage
from events.standard import STANDARD_V1
from projections.coverage import Counts
from projections.desk import Queue
from services.wording import told

AGES_DAYS = (7, 30, 90, 365)  # older than these are counted
COLLECTION = STANDARD_V1.target("collection").limit


class Obliged(NamedTuple):
    """How many residents of an office must have a card, by a source of that date."""

    persons: int
    date: str
    source: str


@cache
def obliged() -> Mapping[str, Obliged]:
    """The packaged reference data, by office code."""
    with (files("services") / "data" / "obliged.csv").open(encoding="utf-8") as file:
        return {row["office"]: Obliged(int(row["obliged"]), row["date"], row["source"]) for row in csv.DictReader(file)}


def coverage_document(
    counts: Mapping[str, Counts], as_of: datetime, offices: Sequence[str] = tuple(OFFICES)
) -> dict[str, Any]:
    """One row per office, and their sum; null where it is not known how many are obliged."""
    rows = [_row(office, counts.get(office, Counts())) for office in offices]
    total = {column: _sum([row[column] for row in rows]) for column in ("obliged", *Counts._fields, "not_yet_recorded")}
    sources = {(known.date, known.source) for office in offices if (known := obliged().get(office))}
    return {
        "as_of": told(as_of),
        "rows": rows,
        "total": total | {"recorded_percent": _percent(total["recorded"], total["obliged"])},
        "obliged_from": [{"date": date, "source": source} for date, source in sorted(sources)],
        "disagreements": [],
    }


def desk_document(queues: Mapping[Stage, Queue], as_of: datetime, page: int) -> dict[str, Any]:
    """One page of every open stage's queue, oldest first."""
    stages = [
        {
            "stage": stage,
            "count": queue.count,
            "oldest": told(queue.oldest) if queue.oldest else None,
            "oldest_age_seconds": _age_s(queue.oldest, as_of) if queue.oldest else None,
            "cases": _cases(queue, as_of),
        }
        for stage, queue in queues.items()
    ]
    return {"as_of": told(as_of), "page": page, "stages": stages}


def uncollected_document(queue: Queue, older: Mapping[int, int], as_of: datetime, page: int) -> dict[str, Any]:
    """One page of the printed cards that lie there; `older`: how many for more than so many days."""
    limit_s = COLLECTION.total_seconds()
    return {
        "as_of": told(as_of),
        "page": page,
        "limit_days": COLLECTION // timedelta(days=1),
        "count": queue.count,
        "by_age": [{"over_days": days, "count": count} for days, count in older.items()],
        "cases": [case | {"over_limit": case["age_seconds"] > limit_s} for case in _cases(queue, as_of)],
    }


def _row(office: str, counts: Counts) -> dict[str, Any]:
    known = obliged().get(office)
    persons = known.persons if known else None
    return {
        "office": office,
        "district": OFFICES[office].district,
        "obliged": persons,
        **counts._asdict(),
        "not_yet_recorded": None if persons is None else persons - counts.recorded,
        "recorded_percent": _percent(counts.recorded, persons),
    }


def _sum(values: list[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _percent(part: int | None, whole: int | None) -> float | None:
    return round(100 * part / whole, 2) if part is not None and whole else None


def _cases(queue: Queue, as_of: datetime) -> list[dict[str, Any]]:
    return [
        {
            "receipt": case.receipt,
            "office": case.office,
            "kind": case.kind,
            "since": told(case.since),
            "age_seconds": _age_s(case.since, as_of),
        }
        for case in queue.cases
    ]


def _age_s(since: datetime, as_of: datetime) -> float:
    return (as_of - since).total_seconds()
