"""The sample, read as an importer would: by the csv module alone, with the rules written down here once more."""

import csv
import io
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date, datetime, time
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import holidays
import pytest

from events.nik import Nik
from services.register.sample import InvalidScale, Plan, cilegon, plan

SCALE, SEED = 0.01, 1
with (Path(__file__).parents[2] / "services/register/data/cilegon_table_4_2.csv").open(encoding="utf-8") as file:
    TABLE_4_2 = {row["office"]: (int(row["recorded"]), int(row["printed"])) for row in csv.DictReader(file)}
STAGES = ["submitted", "recorded", "queued", "printed", "collected"]
REPRINTS = {"lost", "damaged", "data_change"}
Row = dict[str, str]


def by(column: str, rows: Iterable[Row]) -> dict[str, list[Row]]:
    found = defaultdict(list)
    for row in rows:
        found[row[column]].append(row)
    return found


def at(row: Row) -> datetime:
    return datetime.fromisoformat(row["at"])


def per_office(event: str, rows: Iterable[Row]) -> Counter[str]:
    """Persons for recorded, cards for printed."""
    what = {"recorded": "nik", "printed": "serial"}[event]
    return Counter(office for office, _ in {(row["office"], row[what]) for row in rows if row["event"] == event})


@pytest.fixture(scope="module")
def text() -> str:
    return "".join(cilegon(SCALE, SEED))


@pytest.fixture(scope="module")
def rows(text: str) -> list[Row]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


@pytest.fixture(scope="module")
def cases(rows: list[Row]) -> dict[str, list[Row]]:
    return by("case", rows)


def test_at_full_scale_the_plan_is_table_4_2_to_the_last_digit() -> None:
    plans = plan(1.0)
    assert {each.office: (each.persons, each.first_prints + each.reprints) for each in plans} == TABLE_4_2
    assert sum(each.persons for each in plans) == 245_122
    assert sum(each.first_prints + each.reprints for each in plans) == 239_106
    assert {each.office: each.reprints for each in plans if each.reprints} == {"367204": 524, "367205": 83}
    assert all(each.first_prints == each.persons for each in plans if each.reprints)


@pytest.mark.parametrize("scale", [0.0001, 0.001, 0.01])
def test_each_district_has_its_rounded_share_of_persons_recorded_and_cards_printed(scale: float) -> None:
    rows = list(csv.DictReader(cilegon(scale, SEED)))
    recorded, printed = per_office("recorded", rows), per_office("printed", rows)
    assert {office: (recorded[office], printed[office]) for office in by("office", rows)} == {
        office: (round(people * scale), round(cards * scale)) for office, (people, cards) in TABLE_4_2.items()
    }


def test_where_cards_outnumber_persons_everybody_has_one_and_the_surplus_are_reprints(rows: list[Row]) -> None:
    cibeber = by("office", rows)["367204"]
    printed = by("event", cibeber)["printed"]
    assert by("nik", printed).keys() == by("nik", cibeber).keys()
    assert sum(row["kind"] in REPRINTS for row in printed) == 291 - 286


def test_where_a_print_is_rounded_up_and_its_person_down_nothing_is_printed() -> None:
    assert Plan("367204", persons=0, first_prints=0, reprints=0) in plan(0.0000174)


@pytest.mark.parametrize("scale", [0.0, -1.0, 10.5, float("inf"), float("nan")])
def test_a_scale_out_of_range_is_refused_before_the_first_line(scale: float) -> None:
    with pytest.raises(InvalidScale, match="cannot be used"):
        cilegon(scale, SEED)


def test_the_columns_are_the_contract_s_and_only_what_needs_quotes_is_quoted(text: str) -> None:
    assert text.startswith("case,office,kind,nik,name,sex,born,event,at,actor,serial,reason\n")
    table = list(csv.reader(io.StringIO(text, newline="")))
    assert {len(row) for row in table} == {12}
    again = io.StringIO()
    csv.writer(again, lineterminator="\n").writerows(table)
    assert again.getvalue() == text


def test_rows_stand_in_order_of_time_with_their_cases_interleaved(rows: list[Row]) -> None:
    times = [at(row) for row in rows]
    assert times == sorted(times)
    assert sum(row["case"] != following["case"] for row, following in pairwise(rows)) > len(rows) * 0.9


def test_every_instant_lies_in_office_hours_between_september_2011_and_5_may_2015(rows: list[Row]) -> None:
    closed = holidays.country_holidays("ID", years=range(2011, 2016), categories=("public", "government"))
    for row in rows:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+07:00", row["at"])
        day, clock = at(row).date(), at(row).time()
        assert date(2011, 9, 1) <= day <= date(2015, 5, 5)
        assert day.weekday() < 5
        assert day not in closed
        morning, evening = (time(11, 30), time(16, 30)) if day.weekday() == 4 else (time(12), time(16))
        assert time(7, 30) <= clock <= morning or time(13) <= clock <= evening


def test_a_case_goes_through_its_stages_without_a_gap(cases: dict[str, list[Row]]) -> None:
    for events in cases.values():
        order = [row["event"] for row in events]
        reprint = events[0]["kind"] in REPRINTS
        assert order == STAGES[: len(order)] or (reprint and order == [STAGES[0], *STAGES[2:]][: len(order)])
        assert "printed" in order if reprint else "recorded" in order
        same = {tuple(row[column] for column in ("office", "kind", "nik", "name", "sex", "born")) for row in events}
        assert len(same) == 1


def test_all_ends_of_a_case_and_both_ways_of_a_reprint_are_there(cases: dict[str, list[Row]]) -> None:
    ends = Counter(events[-1]["event"] for events in cases.values())
    assert set(ends) == {"recorded", "queued", "printed", "collected"}
    assert 0.02 < ends["printed"] / (ends["printed"] + ends["collected"]) < 0.1
    kinds = Counter(events[0]["kind"] for events in cases.values())
    assert kinds["new"] > 10 * kinds["moved_in"] > 0
    several = by("case", csv.DictReader(cilegon(0.03, SEED))).values()
    reprints = [events for events in several if events[0]["kind"] in REPRINTS]
    assert {events[0]["kind"] for events in reprints} == REPRINTS
    assert {events[1]["event"] for events in reprints} == {"recorded", "queued"}


def test_a_resident_has_one_open_case_at_a_time_and_a_reprint_only_after_the_first_card(rows: list[Row]) -> None:
    by_nik = {nik: list(by("case", all_rows).values()) for nik, all_rows in by("nik", rows).items()}  # as submitted
    assert sum(len(history) - 1 for history in by_nik.values()) == sum(each.reprints for each in plan(SCALE)) > 0
    for first, *others in by_nik.values():
        assert first[0]["kind"] in {"new", "moved_in"}
        for earlier, later in pairwise([first, *others]):
            assert earlier[-1]["event"] == "collected"
            assert at(earlier[-1]) < at(later[0])
            assert later[0]["kind"] in REPRINTS
            assert later[0]["office"] == first[0]["office"]


def test_a_person_is_of_age_and_agrees_with_a_valid_nik(cases: dict[str, list[Row]]) -> None:
    home = 0
    for events in cases.values():
        row = events[0]
        nik, born, applied = Nik(row["nik"]), date.fromisoformat(row["born"]), at(row).date()
        assert nik.sex == row["sex"]
        assert nik.born(applied) == nik.born(date(2026, 1, 1)) == born
        assert (applied.year - born.year, applied.month, applied.day) >= (17, born.month, born.day)
        home += nik.area == row["office"]
    assert 0.7 < home / len(cases) < 0.95
    people = {(events[0]["nik"], events[0]["name"], events[0]["born"]) for events in cases.values()}
    assert len(people) == len({nik for nik, _, _ in people}) == sum(each.persons for each in plan(SCALE))


def test_names_are_short_and_a_few_are_awkward(rows: list[Row]) -> None:
    names = {row["name"] for row in rows}
    assert all(0 < len(name) <= 60 and name == name.strip() for name in names)
    for awkward in (",", "'", "é"):
        assert 0 < sum(awkward in name for name in names) < len(names) * 0.15


def test_numbers_actors_serials_and_reasons_stand_where_they_belong(rows: list[Row], cases: dict[str, list[Row]]) -> None:
    for row in rows:
        assert re.fullmatch(row["office"] + r"/201[1-5]/\d{6}", row["case"])
        assert re.fullmatch(r"[A-Za-z0-9._-]{1,40}", row["actor"])
        assert re.fullmatch(r"[A-Z]{2}\d{8}" if row["event"] == "printed" else "", row["serial"])
        assert bool(row["reason"]) == (row["event"] == "submitted" and row["kind"] in REPRINTS)
    assert all(number[7:11] == str(at(events[0]).year) for number, events in cases.items())
    assert max(Counter(row["serial"] for row in rows if row["serial"]).values()) == 1


def test_most_are_recorded_in_the_campaign_of_2012_and_nothing_is_printed_without_blanks(rows: list[Row]) -> None:
    recorded = Counter(at(row).year for row in rows if row["event"] == "recorded")
    assert recorded[2012] > sum(recorded.values()) / 2
    assert recorded[2012] > recorded[2013] > recorded[2014]
    printed = Counter(row["at"][:7] for row in rows if row["event"] == "printed")
    assert not any(printed[month] for month in ("2014-10", "2014-11", "2014-12"))
    assert printed["2015-01"] > printed["2014-09"] > 0


def test_the_same_seed_gives_the_same_bytes_in_any_process(text: str) -> None:
    code = "import sys; from services.register.sample import cilegon; sys.stdout.reconfigure(encoding='utf-8', newline='')"
    code += f"; sys.stdout.writelines(cilegon({SCALE}, {SEED}))"
    for hash_seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": hash_seed}
        elsewhere = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, check=True)
        assert sha256(elsewhere.stdout).hexdigest() == sha256(text.encode()).hexdigest()


def test_another_seed_gives_other_people_and_the_same_totals(text: str, rows: list[Row]) -> None:
    other = "".join(cilegon(SCALE, SEED + 1))
    assert sha256(other.encode()).hexdigest() != sha256(text.encode()).hexdigest()
    others = list(csv.DictReader(io.StringIO(other)))
    assert {(row["nik"], row["name"]) for row in others}.isdisjoint((row["nik"], row["name"]) for row in rows)
    assert per_office("recorded", others) == per_office("recorded", rows)
    assert per_office("printed", others) == per_office("printed", rows)
