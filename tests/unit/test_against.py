"""A table of coverage, checked against itself and against the log: table 4.2 of the case study, and made-up ones."""

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.offices import OFFICES, UnknownOffice
from events.problem import Problem
from projections.coverage import Counts
from services import against
from services.against import COLUMNS, Disagreement, disagreements, read_table
from services.coverage_document import coverage_document
from tests.applications import NOW

PACKAGED = (Path(__file__).parents[2] / "services/register/data/cilegon_table_4_2.csv").read_text()
TABLE_4_2 = PACKAGED + ",Jumlah,,298638,245888,241435,53516\n"  # the totals as the paper prints them
HEADER = "office,district,obliged,recorded,printed,not_yet_recorded"
CILEGON = "367201,Cilegon,50,40,30,10"


def log(**figures: tuple[int, int]) -> dict[str, Any]:
    """Coverage of all offices; those named have (recorded, printed), the others nothing."""
    counts = {office.code: Counts(*figures.get(office.district, (0, 0))) for office in OFFICES.values()}
    return coverage_document(counts, NOW, list(OFFICES))


ROWS = {row.office: row.says for row in read_table(PACKAGED.encode()).rows}
LOG_OF_THE_SAMPLE = log(
    **{OFFICES[str(code)].district: (says["recorded"] or 0, says["printed"] or 0) for code, says in ROWS.items()}
)


def found(*lines: str, log: dict[str, Any] = LOG_OF_THE_SAMPLE) -> list[tuple[str, str, str, int]]:
    """District, column, rule and difference of each disagreement."""
    told = disagreements(read_table("\n".join(lines).encode()), log)
    return [(each.district, each.column, each.rule, each.difference) for each in told]


def test_table_4_2_disagrees_with_itself_in_the_766_the_2329_cibebers_524_and_gerogols_83() -> None:
    assert disagreements(read_table(TABLE_4_2.encode()), LOG_OF_THE_SAMPLE) == [
        Disagreement(None, "Jumlah", "recorded", "total_is_sum", 245_888, 245_122, 766),
        Disagreement(None, "Jumlah", "printed", "total_is_sum", 241_435, 239_106, 2_329),
        Disagreement(None, "Jumlah", "not_yet_recorded", "obliged_minus_recorded", 53_516, 52_750, 766),
        Disagreement("367204", "Cibeber", "printed", "printed_above_recorded", 29_081, 28_557, 524),
        Disagreement("367205", "Gerogol", "printed", "printed_above_recorded", 24_948, 24_865, 83),
        Disagreement(None, "Jumlah", "recorded", "differs_from_log", 245_888, 245_122, 766),
        Disagreement(None, "Jumlah", "printed", "differs_from_log", 241_435, 239_106, 2_329),
    ]


def test_the_same_table_as_a_spreadsheet_saves_it_says_the_same() -> None:
    table = re.sub(r"^\w*,", "", TABLE_4_2, flags=re.MULTILINE)  # the column that nobody asked for stands first
    saved = table.replace(",", ";").replace("\n", "\r\n").replace("245888", "245.888").replace("241435", '"241 435 "')
    assert read_table(b"\xef\xbb\xbf" + saved.encode() + b"\r\n") == read_table(TABLE_4_2.encode())


def test_the_log_is_compared_with_each_row_and_with_the_total_of_the_offices_in_the_table() -> None:
    lines = HEADER, CILEGON, "367202,Ciwandan,5,5,4,0", ",Jumlah,55,45,34,10"
    assert found(*lines, log=log(Cilegon=(40, 30), Ciwandan=(5, 4), Jombang=(7, 7))) == []
    assert found(*lines, log=log(Cilegon=(41, 30), Ciwandan=(5, 2))) == [
        ("Cilegon", "recorded", "differs_from_log", -1),
        ("Ciwandan", "printed", "differs_from_log", 2),
        ("Jumlah", "recorded", "differs_from_log", -1),
        ("Jumlah", "printed", "differs_from_log", 2),
    ]
    assert found(HEADER, ",Jumlah,55,45,34,10", log=log(Cilegon=(40, 34), Jombang=(7, 0))) == [
        ("Jumlah", "recorded", "differs_from_log", -2)
    ]


def test_an_empty_cell_says_nothing_and_a_row_without_figures_is_a_remark() -> None:
    lines = HEADER, "367201,Cilegon,50,,30,10", "367202,,5,5,,1", ",,55,1,34,11", "", ",Sumber: Disdukcapil,,,,"
    assert found(*lines, log=log(Cilegon=(40, 30), Ciwandan=(5, 4))) == [
        ("Ciwandan", "not_yet_recorded", "obliged_minus_recorded", 1),
        ("total", "not_yet_recorded", "obliged_minus_recorded", -43),
        ("total", "printed", "printed_above_recorded", 33),
        ("total", "recorded", "differs_from_log", -44),
    ]


_FIGURES = st.integers(0, 100_000)
_ROW = st.tuples(_FIGURES, _FIGURES, _FIGURES).map(sorted).map(lambda f: (f[2], f[1], f[0], f[2] - f[1]))
_TABLES = st.dictionaries(st.sampled_from(list(OFFICES)), _ROW, min_size=1)


def written(rows: dict[str, tuple[int, ...]], total: tuple[int, ...]) -> list[str]:
    return [
        HEADER,
        *(f"{code},,{','.join(map(str, says))}" for code, says in rows.items()),
        f",,{','.join(map(str, total))}",
    ]


@given(_TABLES, st.data())
def test_a_sound_table_has_no_disagreement_and_one_wrong_cell_never_goes_unseen(
    rows: dict[str, tuple[int, ...]], data: st.DataObject
) -> None:
    total = tuple(map(sum, zip(*rows.values(), strict=True)))
    same = log(**{OFFICES[code].district: (says[1], says[2]) for code, says in rows.items()})
    assert found(*written(rows, total), log=same) == []

    places = [*rows, ""]
    place, column = data.draw(st.sampled_from(places)), data.draw(st.sampled_from(range(4)))
    wrong_by = data.draw(st.integers(1, 50_000))
    changed = {**rows, "": total}
    changed[place] = tuple(says + wrong_by * (index == column) for index, says in enumerate(changed[place]))
    district, sign = ("total", 1) if place == "" else (OFFICES[place].district, -1)
    told = found(*written({code: changed[code] for code in rows}, changed[""]), log=same)
    assert ("total", COLUMNS[column], "total_is_sum", sign * wrong_by) in told
    if column in {1, 2}:
        assert (district, COLUMNS[column], "differs_from_log", wrong_by) in told
    if column != 2:
        missing = wrong_by if column else -wrong_by  # too many obliged: too few not yet recorded
        assert (district, "not_yet_recorded", "obliged_minus_recorded", missing) in told
    assert {each[0] for each in told} <= {district, "total"}


@pytest.mark.parametrize(
    ("content", "problem", "figures"),
    [
        (b"", against.TableWrongHeader, {"wrong": "office, obliged, recorded, printed, not_yet_recorded"}),
        (b"office,recorded,recorded,printed,obliged", against.TableWrongHeader, {"wrong": "recorded, not_yet_recorded"}),
        (b"\xff\xfe\x00", against.TableNotText, {}),
        (f"{HEADER}\n{'9' * 200_000}".encode(), against.TableNotText, {}),
        (f"{HEADER}\n367201,Cilegon,50,4,0,30,10".encode(), against.TableWrongRow, {"line": 2, "cells": 7, "columns": 6}),
        (f"{HEADER}\n\n367201,Cilegon,50,40,30".encode(), against.TableWrongRow, {"line": 3, "cells": 5, "columns": 6}),
        (f"{HEADER}\n367201,Cilegon,50,Siti,30,10".encode(), against.TableNotAFigure, {"line": 2, "column": "recorded"}),
        (f"{HEADER}\n367201,Cilegon,50,40,3.5,10".encode(), against.TableNotAFigure, {"line": 2, "column": "printed"}),
        (f"{HEADER}\n367201,Cilegon,-50,40,3,10".encode(), against.TableNotAFigure, {"line": 2, "column": "obliged"}),
        (f"{HEADER}\n{CILEGON}\n{CILEGON}".encode(), against.TableRowTwice, {"line": 3, "row": "367201"}),
        (f"{HEADER}\n,,1,,,\n,,2,,,".encode(), against.TableRowTwice, {"line": 3, "row": "total"}),
        (f"{HEADER}\nSiti,Cilegon,1,1,1,0".encode(), UnknownOffice, {"office": "?", "offices": ", ".join(OFFICES)}),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_its_place_and_without_what_stands_there(
    content: bytes, problem: type[Problem], figures: dict[str, object]
) -> None:
    with pytest.raises(problem) as refused:
        read_table(content)
    assert (type(refused.value), vars(refused.value)) == (problem, figures)
    assert "Siti" not in refused.value.message("id") + refused.value.message("en")


def test_a_district_is_shown_without_anything_that_a_terminal_would_obey() -> None:
    table = read_table(f"{HEADER}\n367201,\x1b[31m{'x' * 100},50,40,30,11".encode())
    assert table.rows[0].district == "?[31m" + "x" * 55
