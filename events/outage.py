"""What an office could not work with, and when: facts, and the outages that follow from them. The instant is the envelope's.

One history per office and cause (`ektp.<office>.outage.<cause>`): outages of one cause do not overlap, so these facts must
stand in one order, and no others. Outages of several causes may overlap.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import ClassVar, Literal, NamedTuple, assert_never

from events.fact import Fact

OutageCause = Literal["blank_stock", "power", "network", "equipment"]
OUTAGE_CAUSES: tuple[OutageCause, ...] = ("blank_stock", "power", "network", "equipment")  # of several, the first counts


class OutageFact(Fact):
    """What all facts of an outage carry."""

    digest: str  # keyed digest of the whole command: the same key with other content is noticed
    cause: OutageCause


class OutageBegan(OutageFact):
    """From here on the office could not work, for this cause."""

    TYPE: ClassVar[str] = "id.go.ektp.outage.began.v1"


class OutageEnded(OutageFact):
    """The outage that began last before this instant was over."""

    TYPE: ClassVar[str] = "id.go.ektp.outage.ended.v1"


AnyOutageFact = OutageBegan | OutageEnded


class Outage(NamedTuple):
    """`ended` None: its end was not entered; it lasts until the next one of its cause began, or still."""

    began: datetime
    ended: datetime | None = None


Outages = tuple[Outage, ...]  # of one office and cause, in order of time
OfficeOutages = Mapping[OutageCause, Outages]
_began: "attrgetter[datetime]" = attrgetter("began")


def evolve(outages: Outages, fact: AnyOutageFact, occurred: datetime) -> Outages:
    """The outages after one more fact, which may have been entered late. An impossible one is a damaged history."""
    changed = list(outages)
    match fact:
        case OutageBegan():
            insort(changed, Outage(occurred), key=_began)
        case OutageEnded():
            index = bisect_left(changed, occurred, key=_began) - 1
            assert index >= 0, f"nothing began before {occurred}"
            assert changed[index].ended is None, f"{changed[index]} has ended before {occurred}"
            changed[index] = changed[index]._replace(ended=occurred)
        case _:
            assert_never(fact)
    return tuple(changed)


def with_fact(known: OfficeOutages, fact: AnyOutageFact, occurred: datetime) -> OfficeOutages:
    """The office's outages after one more fact, of any cause."""
    return {**known, fact.cause: evolve(known.get(fact.cause, ()), fact, occurred)}


def during(outages: Outages, begin: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """What of these outages lies between two aware instants, in order. `end` is not before `begin`, nor after now."""
    for index in range(max(bisect_right(outages, begin, key=_began) - 1, 0), bisect_left(outages, end, key=_began)):
        began, ended = outages[index]
        over = ended or (outages[index + 1].began if index + 1 < len(outages) else end)
        if over > begin:
            yield max(began, begin), min(over, end)
