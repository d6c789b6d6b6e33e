"""Forecasts of the sample's cards, made month by month as an office would have made them: how many came true?

The status view alone, fed in order of time; on the 15th of each month some cases of each open stage are asked about.
"""

import argparse
import csv
import io
import random
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import sqlalchemy as sa

from events.application import CaseFact, Collected, Printed, Queued, Recorded, Submitted
from events.calendar import CALENDAR_V1
from events.envelope import Event
from events.stages import ORDER, Kind, Stage
from infra.database import instant, scratch_database
from projections import status
from projections.forecast import forecast
from services.register.sample import cilegon

CHANCE = random.Random(3)  # the same cases each time
FACTS = {kind.TYPE.split(".")[4]: kind(digest="") for kind in (Recorded, Queued, Printed, Collected)}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--scale", type=float, default=0.1)
    arguments.add_argument("--cases", type=int, default=60, help="asked about in each stage and month")
    asked = arguments.parse_args()
    events = list(sample(asked.scale))
    printed: dict[str, datetime] = {}
    for event in events:
        if isinstance(event.fact, Printed):
            printed.setdefault(event.entity_id, event.occurred)
    found = Counter[str]()
    engine, start = scratch_database(), 0
    status.TABLES.create_all(engine)
    for at in months():
        end = next((index for index in range(start, len(events)) if events[index].occurred > at), len(events))
        with engine.begin() as db:
            for first in range(start, end, 1_000):
                status.apply(db, events[first : min(first + 1_000, end)])
        start = end
        with engine.connect() as db:
            for stage in ORDER[:3]:
                found += ask(db, stage, at, printed, events[-1].occurred, asked.cases)
    known = found["forecast"]
    print(f"{known} forecasts: {found['p50'] / known:.1%} in hand by p50, {found['p90'] / known:.1%} by p90")
    print(f"{found['none']} without a forecast, of which {found['none, printed later']} were printed later")


def ask(
    db: sa.Connection,
    stage: Stage,
    at: datetime,
    printed: dict[str, datetime],
    end: datetime,
    cases: int,
    chance: random.Random,
) -> Counter[str]:
    """What became of some of the cases that stood in this stage."""
    found = Counter[str]()
    rows = db.execute(sa.select(status.CASES).where(status.CASES.c.stage == stage)).all()
    for row in CHANCE.sample(rows, min(cases, len(rows))):
        known = status.status(db, row.receipt)
        assert known
        told = forecast(db, CALENDAR_V1, at, row.office, stage, instant(row.since), known.place and known.place[0])
        came = printed.get(row.case)
        if told is None:
            found.update(["none"] if came is None else ["none", "none, printed later"])
        elif came or told.p90 <= end:  # else nobody knows
            found["forecast"] += 1
            found["p50"] += came is not None and came <= told.p50
            found["p90"] += came is not None and came <= told.p90
    return found


def months() -> Iterator[datetime]:
    for year in range(2012, 2016):
        for month in range(1, 13 if year < 2015 else 4):
            yield datetime(year, month, 15, 9, 30, tzinfo=CALENDAR_V1.zone)


def sample(scale: float) -> Iterator[Event]:
    """The sample's rows as events, without a journal."""
    versions = Counter[str]()
    rows = csv.DictReader(io.StringIO("".join(cilegon(scale, 1))))
    for seq, row in enumerate(rows, 1):
        case, at = row["case"], datetime.fromisoformat(row["at"])
        versions[case] += 1
        fact: CaseFact = FACTS.get(row["event"]) or Submitted(
            digest="",
            receipt=case,
            kind=Kind(row["kind"]),
            resident="r",
            promised=at,
            standard_version=1,
            calendar_version=1,
        )
        yield Event(f"{seq}", row["office"], case, versions[case], at, fact, recorded=at, seq=seq)


if __name__ == "__main__":
    main()
