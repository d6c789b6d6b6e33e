"""The eight offices of Kota Cilegon, and the marks that begin their receipts."""

import pytest

from events.offices import BACKBONE_ID, BY_MARK, OFFICES, UnknownOffice, office
from events.receipt import ALPHABET


def test_the_offices_are_the_eight_districts_of_the_city() -> None:
    assert [found.code for found in OFFICES.values()] == [f"{BACKBONE_ID}{number:02d}" for number in range(1, 9)]
    assert office("367203").district == "Pulomerak"


def test_marks_are_unique_and_without_letters_that_people_misread() -> None:
    assert len(BY_MARK) == len(OFFICES)
    for mark in BY_MARK:
        assert len(mark) == 2
        assert set(mark) <= set(ALPHABET) - set("0123456789")
        assert not set(mark) & set("ILOU")


def test_an_unknown_office_is_told_which_there_are() -> None:
    with pytest.raises(UnknownOffice, match=r"317101.*367201, 367202") as refused:
        office("317101")
    assert "317101" in refused.value.message("id")


@pytest.mark.parametrize("typed", ["3672034105900007", "Siti Rahayu", ""])
def test_a_nik_or_a_name_in_the_place_of_an_office_is_not_repeated(typed: str) -> None:
    with pytest.raises(UnknownOffice) as refused:
        office(typed)
    assert refused.value.office == "?"
