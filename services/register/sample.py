"""A made-up history of register books that adds up to the case study's table 4.2 (Kota Cilegon, as of 5 May 2015).

Per district, `recorded` is how many persons were recorded and `printed` how many cards were printed. Where more were
printed than recorded, everybody has a card and the surplus are reprints: the least that explains the table. Row 8,
Pulomerak in print, is office 367208 Citangkil.
"""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from random import Random
from typing import ClassVar, NamedTuple

from events.problem import Problem
from events.stages import ORDER, Kind, Stage
from services.register.sample_pace import END, LATELY, Times, at, before, from_now_on, in_the_rush, times
from services.register.sample_people import Births, cell, person

COLUMNS = "case,office,kind,nik,name,sex,born,event,at,actor,serial,reason"
SCALE_MAX = 10.0
COME_AGAIN_S, WORKING_DAY_S = 300 * 3600, 27_000  # working seconds left for a reprint; between a card and its loss
REASONS = {
    Kind.LOST: ("Kartu hilang di pasar", "Dompet hilang, ada surat keterangan polisi", "Kartu hilang terbawa banjir"),
    Kind.DAMAGED: ("Kartu patah", "Foto dan tulisan pada kartu sudah pudar", "Kartu rusak, chip tidak terbaca"),
    Kind.DATA_CHANGE: ("Pindah alamat dalam kota", "Status berubah menjadi kawin", "Ganti pekerjaan, sesuai kartu keluarga"),
}
ACTORS = (("petugas", 4), ("operator", 3), ("pusat", 2), ("operator", 3), ("petugas", 4))  # per stage: role, how many


@dataclass(eq=False)
class InvalidScale(Problem):
    """The sample cannot be made at this scale; nothing was written."""

    scale: float
    scale_max: float
    code: ClassVar[str] = "invalid_scale"
    sentence_id: ClassVar[str] = "Skala {scale} tidak dapat dipakai: harus lebih dari 0 dan paling besar {scale_max}."
    sentence_en: ClassVar[str] = "Scale {scale} cannot be used: it must be above 0 and at most {scale_max}."


class Plan(NamedTuple):
    """How many cases of one office come how far."""

    office: str
    persons: int  # each was recorded, in one first case
    first_prints: int
    reprints: int  # second cases, all printed


def plan(scale: float) -> list[Plan]:
    """Table 4.2 times `scale`, rounded per office. Raises InvalidScale."""
    if not 0 < scale <= SCALE_MAX:
        raise InvalidScale(scale, SCALE_MAX)
    plans = []
    with (files("services.register") / "data" / "cilegon_table_4_2.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            persons, printed = round(int(row["recorded"]) * scale), round(int(row["printed"]) * scale)
            reprints = min(persons, max(0, printed - persons))  # below 0.00002 one print may round up, its person down
            plans.append(Plan(row["office"], persons, min(persons, printed), reprints))
    return plans


def cilegon(scale: float, seed: int) -> Iterator[str]:
    """The sample's CSV lines (contract section 3), header first, in order of time; always the same for one seed.

    About 1.2 million lines at scale 1. Raises InvalidScale, before the first line.
    """
    return _lines(plan(scale), Random(seed))  # noqa: S311 - a sample, not a secret


def _lines(plans: list[Plan], rng: Random) -> Iterator[str]:
    heads: list[str] = []  # per case, what each of its rows begins with
    reasons: dict[int, str] = {}  # of reprints, by case
    rows: list[int] = []  # packed, to sort by working second, then case (26 bits), then stage (3 bits)
    births: Births = Counter()
    for office in plans:
        for kind, who, reached in _cases(rng, office, births):
            case = len(heads)
            heads.append(f"{office.office},{kind},{who}")
            rows += [second << 29 | case << 3 | ORDER.index(stage) for stage, second in reached.items()]
            if kind in REASONS:
                reasons[case] = cell(rng.choice(REASONS[kind]))
    rows.sort()
    yield COLUMNS + "\n"
    used: Counter[str] = Counter()  # register numbers per book, and blanks per box
    for row in rows:
        when, case, stage = at(row >> 29), row >> 3 & (1 << 26) - 1, ORDER[row & 7]
        code, serial, reason = heads[case][:6], "", ""
        if stage is Stage.SUBMITTED:
            book = f"{code}/{when.year}"
            used[book] += 1
            heads[case] = f"{book}/{used[book]:06d},{heads[case]}"
            reason = reasons.get(case, "")
        elif stage is Stage.PRINTED:
            box = "K" + "ABCDEFGH"[int(code[5]) - 1]
            used[box] += 1
            serial = f"{box}{used[box]:08d}"
        role, count = ACTORS[row & 7]
        yield f"{heads[case]},{stage},{when.isoformat()},{role}.{(case + row) % count + 1},{serial},{reason}\n"


def _cases(rng: Random, office: Plan, births: Births) -> Iterator[tuple[Kind, str, Times]]:
    """Kind, person (cells) and times of each case, in no order; the first persons drawn come again for a reprint."""
    for index in range(office.persons):
        kind = Kind.MOVED_IN if rng.random() < 0.05 else Kind.NEW
        reached = _first_case(rng, office, index)
        who = person(rng, office.office, kind, at(reached[Stage.SUBMITTED]).date(), births)
        yield kind, who, reached
        if index < office.reprints:
            stages = tuple(stage for stage in ORDER if stage is not Stage.RECORDED or rng.random() < 0.5)
            later = partial(from_now_on, rng, reached[Stage.COLLECTED] + WORKING_DAY_S)
            yield rng.choice(list(REASONS)), who, times(rng, stages, later, Stage.PRINTED, END)


def _first_case(rng: Random, office: Plan, index: int) -> Times:
    """Of the `index`-th person: those who come again, then those with a card, then those still without."""
    rush = partial(in_the_rush, rng)
    if index < office.reprints:
        return times(rng, ORDER, rush, Stage.COLLECTED, END - COME_AGAIN_S)
    if index < office.first_prints:
        fetched = rng.random() < 0.97
        return times(rng, ORDER if fetched else ORDER[:-1], rush, Stage.PRINTED, END)
    stages = ORDER[:3] if rng.random() < 0.7 else ORDER[:2]  # not printed; half of these came lately
    lately = partial(from_now_on, rng, before(LATELY))
    return times(rng, stages, lately if rng.random() < 0.5 else rush, stages[-1], END)
