"""A NIK says where, when and as whom someone was born; what is none is refused without being repeated."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from events.nik import InvalidNik, Nik, Sex

TODAY = date(2026, 11, 25)


@pytest.mark.parametrize(
    "text",
    [
        *("", "367203010590000", "36720301059000011", "0672030105900001"),
        *("367203010590000A", " 3672030105900001", "3672030105900001\n", "3672-0301-0590-0001", "٣٦٧٢٠٣٠١٠٥٩٠٠٠٠١"),
    ],
)
def test_anything_but_16_digits_is_refused(text: str) -> None:
    with pytest.raises(InvalidNik) as refused:
        Nik(text)
    assert refused.value.why == "length"


@pytest.mark.parametrize(
    "born",
    ["000590", "320590", "310690", "290201", "300200", "010090", "011390", "400590", "720590", "990590", "690201"],
)
def test_a_day_that_no_calendar_has_is_refused(born: str) -> None:
    with pytest.raises(InvalidNik) as refused:
        Nik(f"367203{born}0001")
    assert refused.value.why == "date"


@pytest.mark.parametrize("born", ["010100", "311299", "290200", "290296", "410590", "710190", "690200"])
def test_a_day_of_either_sex_that_some_century_has_is_a_nik(born: str) -> None:
    assert Nik(f"367203{born}0001") == f"367203{born}0001"


def test_serials_run_from_0001_to_9999() -> None:
    assert [Nik(f"367203010590{serial}")[12:] for serial in ("0001", "9999")] == ["0001", "9999"]
    with pytest.raises(InvalidNik) as refused:
        Nik("3672030105900000")
    assert refused.value.why == "serial"


@pytest.mark.parametrize(("day", "sex"), [("01", "M"), ("31", "M"), ("41", "F"), ("71", "F")])
def test_the_day_of_women_has_40_added(day: str, sex: Sex) -> None:
    nik = Nik(f"367203{day}05900001")
    assert (nik.sex, nik.born(TODAY).day) == (sex, int(day) % 40)


@pytest.mark.parametrize(
    ("digits", "today", "born"),
    [
        ("251126", date(2026, 11, 25), date(2026, 11, 25)),  # born today is not the future
        ("251126", date(2026, 11, 24), date(1926, 11, 25)),
        ("010590", TODAY, date(1990, 5, 1)),
        ("010508", TODAY, date(2008, 5, 1)),
        ("290200", TODAY, date(2000, 2, 29)),
        ("290204", date(2004, 2, 28), None),  # 1904 was a leap year too
    ],
)
def test_the_century_is_the_latest_that_is_not_in_the_future(digits: str, today: date, born: date | None) -> None:
    assert Nik(f"367203{digits}0001").born(today) == (born or date(1904, 2, 29))


def test_29_february_of_year_00_is_of_2000_alone() -> None:
    nik = Nik("3672032902000001")
    assert nik.agrees_with(date(2000, 2, 29))
    with pytest.raises(InvalidNik) as refused:
        nik.born(date(1999, 12, 31))
    assert refused.value.why == "date"


def test_any_century_agrees_and_no_other_day_does() -> None:
    nik = Nik("3672030105100001")
    assert nik.agrees_with(date(1910, 5, 1))
    assert nik.agrees_with(date(2010, 5, 1))
    assert not nik.agrees_with(date(2010, 5, 2))
    assert not nik.agrees_with(date(2010, 1, 5))


@given(st.dates(date(1927, 1, 1), TODAY), st.sampled_from(["M", "F"]), st.integers(1, 9999))
def test_a_number_tells_what_it_was_made_of(born: date, sex: Sex, serial: int) -> None:
    nik = Nik.of("367204", born, sex, serial)
    assert (nik.area, nik.born(TODAY), nik.sex, int(nik[12:])) == ("367204", born, sex, serial)


class Applicant(BaseModel):
    nik: Nik


def test_a_field_of_a_model_is_checked_and_typed() -> None:
    assert type(Applicant(nik=Nik("3672030105900001")).nik) is Nik
    assert type(Applicant.model_validate_json('{"nik": "3672030105900001"}').nik) is Nik
    with pytest.raises(ValidationError):
        Applicant.model_validate({"nik": 3672030105900001})


@pytest.mark.parametrize("wrong", ["3672033205900001", "3672030105900000", "36720301059000019"])
def test_a_refusal_does_not_repeat_the_number(wrong: str) -> None:
    with pytest.raises(InvalidNik) as refused:
        Applicant(nik=wrong)
    assert wrong not in f"{refused.value} {refused.value.message('id')} {refused.value.document()}"
