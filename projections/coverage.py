"""How many persons were recorded and how many cards printed at each office. Holds no name and no NIK.

Rows are only ever added, in journal order, so writing is quick however many there are, and it does not matter how often
an event comes; counting is left to the question. A return or a cancellation takes nothing back.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from events.application import Corrected, Printed, Recorded, Submitted
from events.envelope import Event
from infra.database import POSITION, insert_new, micros, upsert

NAME, VERSION = "coverage", 1
TABLES = sa.MetaData()


def _table(name: str, *columns: sa.Column[str] | sa.Column[int]) -> sa.Table:
    return sa.Table(f"coverage_{name}_v{VERSION}", TABLES, sa.Column("seq", POSITION, primary_key=True), *columns)


CASES = _table("cases", sa.Column("case", sa.String), sa.Column("office", sa.String), sa.Column("resident", sa.String))
RECORDINGS = _table("recordings", sa.Column("case", sa.String))
PRINTS = _table("prints", sa.Column("case", sa.String), sa.Column("event", sa.String), sa.Column("occurred", sa.BigInteger))
CORRECTIONS = sa.Table(
    f"coverage_corrections_v{VERSION}",
    TABLES,
    sa.Column("event", sa.String, primary_key=True),
    sa.Column("occurred", sa.BigInteger),
)


class Counts(NamedTuple):
    """What one office did."""

    recorded: int = 0  # persons, each once
    printed: int = 0  # cards
    reprinted: int = 0  # those of them that were not the person's first, at whichever office that was


def apply(db: sa.Connection, events: Sequence[Event]) -> None:
    """Add the rows of these events."""
    cases, recordings, prints, corrections = [], [], [], []
    for seq, event in ((event.seq, event) for event in events):
        match event.fact:
            case Submitted(resident=resident):
                cases.append({"seq": seq, "case": event.entity_id, "office": event.place, "resident": resident})
            case Recorded():
                recordings.append({"seq": seq, "case": event.entity_id})
            case Printed():
                occurred = micros(event.occurred)
                prints.append({"seq": seq, "case": event.entity_id, "event": event.id, "occurred": occurred})
            case Corrected(corrects=corrected, at=at) if at:
                corrections.append({"event": corrected, "occurred": micros(at)})
    insert_new(db, CASES, cases)
    insert_new(db, RECORDINGS, recordings)
    insert_new(db, PRINTS, prints)
    upsert(db, CORRECTIONS, corrections)


def counts(db: sa.Connection) -> dict[str, Counts]:
    """By office code; an office where nothing was recorded or printed is left out. Seconds for a whole city's history."""
    office, resident = CASES.c.office, CASES.c.resident
    persons = sa.select(office, sa.func.count(resident.distinct())).join(RECORDINGS, RECORDINGS.c.case == CASES.c.case)
    card = _cards()
    printed = sa.select(card.office, sa.func.count(), sa.func.count().filter(card.number > 1)).group_by(card.office)
    found = {code: Counts(0, cards, again) for code, cards, again in db.execute(printed)}
    for code, recorded in db.execute(persons.group_by(office)):
        found[code] = found.get(code, Counts())._replace(recorded=recorded)
    return found


def counted(db: sa.Connection) -> Iterator[tuple[str, str, int]]:
    """(figure, office, journal position) of every event that `counts` counts, figure by figure, in journal order."""
    office, first = CASES.c.office, sa.func.min(RECORDINGS.c.seq).label("first")
    persons = sa.select(office, first).join(RECORDINGS, RECORDINGS.c.case == CASES.c.case)
    for code, seq in db.execute(persons.group_by(office, CASES.c.resident).order_by(first)):
        yield "recorded", code, seq
    card = _cards()
    for figure, least in (("printed", 1), ("reprinted", 2)):
        for code, seq in db.execute(sa.select(card.office, card.seq).where(card.number >= least).order_by(card.seq)):
            yield figure, code, seq


def _cards() -> Any:
    """Columns office, seq, and which card of its person it is, from 1, by when it was printed as last corrected."""
    occurred = sa.func.coalesce(CORRECTIONS.c.occurred, PRINTS.c.occurred)
    order = (occurred, PRINTS.c.seq)
    number = sa.func.row_number().over(partition_by=CASES.c.resident, order_by=order).label("number")
    cards = sa.select(CASES.c.office, PRINTS.c.seq, number).join(PRINTS, PRINTS.c.case == CASES.c.case)
    return cards.outerjoin(CORRECTIONS, CORRECTIONS.c.event == PRINTS.c.event).subquery().c
