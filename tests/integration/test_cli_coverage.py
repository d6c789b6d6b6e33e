"""`ektp coverage`, `desk` and `uncollected` on the sample, whose totals are known; and coverage against table 4.2."""

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.offices import OFFICES
from services.register.sample import cilegon, plan
from tests.command import PERSONAL, Up, ektp, running

SCALE, CIBEBER = 0.01, "367204"
PACKAGED = Path(__file__).parents[2] / "services/register/data/cilegon_table_4_2.csv"
AS_OF = "2013-01-01T00:00:00+07:00"  # in the midst of the campaign
Row = dict[str, str]


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return list(csv.DictReader(cilegon(SCALE, 1)))


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("coverage")
    (folder / "book.csv").write_text("".join(cilegon(SCALE, 1)))
    PERSONAL.update(row["nik"] for row in rows)
    with running(folder / "data") as up:
        assert ektp(up.data, "import", folder / "book.csv").document["events_added"] == len(rows)
        yield up


@pytest.fixture
def data(up: Up) -> Path:
    return up.data


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Table 4.2 as the paper prints it, totals included."""
    path = tmp_path / "table.csv"
    path.write_text(PACKAGED.read_text() + ",Jumlah,,298638,245888,241435,53516\n")
    return path


def stands(rows: list[Row], until: str = "9") -> dict[str, Row]:
    """By case, the row that brought it where it stood then."""
    return {row["case"]: row for row in rows if row["at"] <= until}


def test_coverage_of_the_sample_is_table_4_2_times_the_scale(data: Path) -> None:
    document = ektp(data, "coverage").document
    found = {row["office"]: (row["recorded"], row["printed"], row["reprinted"]) for row in document["rows"]}
    plans = {each.office: (each.persons, each.first_prints + each.reprints, each.reprints) for each in plan(SCALE)}
    assert found == plans
    assert found[CIBEBER] == (286, 291, 5)
    for row in (*document["rows"], document["total"]):
        assert row["not_yet_recorded"] == row["obliged"] - row["recorded"]
    total = {column: sum(row[column] for row in document["rows"]) for column in document["total"] if column[-1] == "d"}
    assert total == {column: document["total"][column] for column in total}
    assert document["total"]["obliged"] == 298_638  # never scaled
    assert document["disagreements"] == []


def test_coverage_is_told_as_it_was_then_and_as_it_was_known_then(data: Path, rows: list[Row]) -> None:
    then = [row for row in rows if row["at"] <= AS_OF]
    persons = {(row["office"], row["nik"]) for row in then if row["event"] == "recorded"}
    recorded, printed = (
        Counter(office for office, _ in persons),
        Counter(r["office"] for r in then if r["event"] == "printed"),
    )
    document = ektp(data, "coverage", "--as-of", AS_OF).document
    assert document["as_of"] == AS_OF
    assert {row["office"]: (row["recorded"], row["printed"]) for row in document["rows"]} == {
        office: (recorded[office], printed[office]) for office in OFFICES
    }
    assert 0 < document["total"]["recorded"] < sum(each.persons for each in plan(SCALE))
    unknown = ektp(data, "coverage", "--as-recorded", AS_OF).document
    assert (len(unknown["rows"]), unknown["total"]["recorded"], unknown["total"]["printed"]) == (8, 0, 0)


def test_against_table_4_2_it_finds_the_766_the_2329_the_524_and_the_83(data: Path, table: Path) -> None:
    answer = ektp(data, "coverage", "--against", table)
    assert answer.code == 3
    told = answer.document["disagreements"]
    assert told[0] == {
        **{"office": None, "district": "Jumlah", "column": "recorded", "rule": "total_is_sum"},
        **{"says": 245_888, "adds_up_to": 245_122, "difference": 766},
    }
    found = [(each["district"], each["column"], each["difference"]) for each in told if each["rule"] != "differs_from_log"]
    assert found == [
        *(("Jumlah", "recorded", 766), ("Jumlah", "printed", 2_329), ("Jumlah", "not_yet_recorded", 766)),
        *(("Cibeber", "printed", 524), ("Gerogol", "printed", 83)),
    ]
    log = {(each["office"], each["column"]): each["adds_up_to"] for each in told if each["rule"] == "differs_from_log"}
    assert (len(log), log[CIBEBER, "printed"], log[None, "recorded"]) == (18, 291, sum(p.persons for p in plan(SCALE)))


def test_one_office_is_compared_alone_and_a_table_that_agrees_with_it_is_no_finding(data: Path, table: Path) -> None:
    answer = ektp(data, "coverage", "--against", table, "--office", CIBEBER)
    assert {(each["office"], each["rule"]) for each in answer.document["disagreements"]} == {
        (CIBEBER, "printed_above_recorded"),
        (CIBEBER, "differs_from_log"),
    }
    assert [row["office"] for row in answer.document["rows"]] == [CIBEBER]
    table.write_text("office,district,obliged,recorded,printed,not_yet_recorded\n367201,Cilegon,33088,288,258,32800\n")
    agreed = ektp(data, "coverage", "--against", table)
    assert (agreed.code, agreed.document["disagreements"]) == (0, [])


def test_a_table_that_cannot_be_used_is_refused(data: Path, table: Path) -> None:
    assert ektp(data, "coverage", "--against", table.parent).error == "table_unreadable"
    assert ektp(data, "coverage", "--against", table, "--office", "123456").error == "unknown_office"
    table.write_bytes(b"case,nik,name\n")
    assert ektp(data, "coverage", "--against", table).error == "table_wrong_header"
    table.write_bytes(b"x" * 1_000_001)
    assert ektp(data, "coverage", "--against", table).error == "table_unreadable"


@pytest.mark.parametrize("then", [(), ("--as-of", AS_OF)])
def test_the_desks_hold_what_the_register_left_there(data: Path, rows: list[Row], then: tuple[str, ...]) -> None:
    where = stands(rows, *then[1:])
    document = ektp(data, "desk", *then).document
    counts = Counter(row["event"] for row in where.values())
    open_stages = ("submitted", "recorded", "queued", "printed")
    assert {stage["stage"]: stage["count"] for stage in document["stages"]} == {
        stage: counts[stage] for stage in open_stages
    }
    for stage in document["stages"]:
        since = sorted(row["at"] for row in where.values() if row["event"] == stage["stage"])
        assert [case["since"] for case in stage["cases"]] == since[:100]
        for case in stage["cases"]:
            assert case["age_seconds"] == seconds(document["as_of"], case["since"])


def test_a_hundred_cards_are_on_a_page_and_the_next_ones_on_the_next(data: Path, rows: list[Row]) -> None:
    since = sorted(row["at"] for row in stands(rows, AS_OF).values() if row["event"] == "printed")
    pages = [ektp(data, "uncollected", "--as-of", AS_OF, "--page", page).document for page in (1, 2)]
    assert [case["since"] for page in pages for case in page["cases"]] == since
    assert {page["count"] for page in pages} == {len(since)}
    assert ektp(data, "uncollected", "--page", 0).error == "invalid_request"


def test_cards_that_lie_there_for_over_thirty_days_are_marked(data: Path, rows: list[Row]) -> None:
    where = [row for row in stands(rows, AS_OF).values() if row["event"] == "printed" and row["office"] == CIBEBER]
    document = ektp(data, "uncollected", "--as-of", AS_OF, "--office", CIBEBER).document
    age_s = [seconds(AS_OF, at) for at in sorted(row["at"] for row in where)]
    limit_s = timedelta(days=30).total_seconds()
    assert [(case["age_seconds"], case["over_limit"]) for case in document["cases"]] == [(s, s > limit_s) for s in age_s]
    assert document["by_age"][1] == {"over_days": 30, "count": sum(s > limit_s for s in age_s)}


def test_a_person_reads_it_in_both_languages(data: Path, table: Path) -> None:
    coverage = ("coverage", "--against", table, "--as-of", AS_OF)
    english, indonesian = (ektp(data, *coverage, json=False, lang=lang).stdout for lang in ("en", "id"))
    assert "2013-01-01 00:00" in english
    assert "Jumlah, recorded: says 245,888, its rows add up to 245,122 (766)" in english
    assert "Jumlah, direkam: tertulis 245.888, jumlah baris-barisnya 245.122 (766)" in indonesian
    assert "367204  Cibeber          36.589" in indonesian
    for question, lang, heading in (
        *(("desk", "en", "To be recorded"), ("desk", "id", "Menunggu perekaman")),
        *(("uncollected", "en", "To be collected"), ("uncollected", "id", "Menunggu diambil")),
    ):
        lines = ektp(data, question, "--as-of", AS_OF, json=False, lang=lang).stdout.splitlines()
        assert lines[1].startswith(f"{heading}: ")


def seconds(later: Any, earlier: Any) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
