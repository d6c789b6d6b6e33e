"""One row of a register book: the boundary of each check, and what the typed row says."""

from contextlib import suppress
from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.nik import Nik
from events.stages import Kind, Stage
from services.register.rejections import RowRejected
from services.register.row import COLUMNS, RegisterRow, check

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)  # noon in Jakarta
ROW = {
    **{"case": "PM/1", "office": "367203", "kind": "new", "nik": "3672034105909001", "name": "Siti", "sex": "F"},
    **{"born": "1990-05-01", "event": "submitted", "at": "2014-03-03T08:00:00+07:00", "actor": "p.1"},
    **{"serial": "", "reason": ""},
}


def checked(**cells: str) -> RegisterRow:
    return check([(ROW | cells)[column] for column in COLUMNS], NOW)


def code(**cells: str) -> str:
    with pytest.raises(RowRejected) as rejected:
        checked(**cells)
    return rejected.value.code


def test_a_good_row_comes_out_typed() -> None:
    at = datetime.fromisoformat("2014-03-03T08:00:00+07:00")
    nik, born = Nik("3672034105909001"), date(1990, 5, 1)
    row = RegisterRow("PM/1", "367203", Kind.NEW, nik, "Siti", "F", born, "submitted", at, "p.1", "", "", None)
    assert checked() == row


@pytest.mark.parametrize(
    "written", ["2014-03-03T08:00:00", "2014-03-03 08:00", "2014-03-03T01:00:00Z", "2014-03-02T20:00:00-05:00"]
)
def test_an_instant_is_the_same_text_however_it_was_written(written: str) -> None:
    assert checked(at=written).at.isoformat() == "2014-03-03T08:00:00+07:00"


@pytest.mark.parametrize(
    "written", ["", "2014-03-03", "08:00", "2014-02-30T08:00", "0001-01-01T00:00+08:00", "2014-03-03x08:00"]
)
def test_what_is_no_date_and_time_is_rejected(written: str) -> None:
    assert code(at=written) == "bad_time"


def test_now_is_not_the_future_and_a_second_later_is() -> None:
    assert checked(at="2026-03-01T12:00:00").at == NOW
    assert code(at="2026-03-01T12:00:01") == "in_future"


def test_the_seventeenth_birthday_in_jakarta_is_old_enough() -> None:
    assert code(at="2007-04-30T23:59:59+07:00") == "under_age"
    assert checked(at="2007-04-30T17:00:00Z").at.date() == date(2007, 5, 1)


def test_who_was_born_on_29_february_is_old_enough_on_1_march() -> None:
    born = {"nik": "3672036902969001", "born": "1996-02-29"}
    assert code(**born, at="2013-02-28T08:00") == "under_age"
    assert checked(**born, at="2013-03-01T08:00").born == date(1996, 2, 29)


def test_age_is_judged_when_the_case_was_submitted_alone() -> None:
    assert checked(event="recorded", at="2007-04-30T08:00").event == "recorded"


def test_without_sex_and_birth_date_the_nik_tells_them() -> None:
    row = checked(sex="", born="")
    assert (row.sex, row.born) == ("F", date(1990, 5, 1))


def test_the_nik_alone_never_puts_a_birth_after_the_event() -> None:
    assert checked(nik="3672034105209001", born="").born == date(1920, 5, 1)


def test_the_birth_date_settles_the_century_that_the_nik_leaves_open() -> None:
    assert code(nik="3672034105109001", born="") == "under_age"
    assert checked(nik="3672034105109001", born="1910-05-01").born == date(1910, 5, 1)


@pytest.mark.parametrize(
    ("reason", "stage"),
    [("queued: photo blurred", Stage.QUEUED), ("recorded foto buram", Stage.RECORDED), ("submitted", Stage.SUBMITTED)],
)
def test_a_return_goes_back_to_the_stage_its_reason_begins_with(reason: str, stage: Stage) -> None:
    row = checked(event="returned", reason=reason)
    assert (row.back_to, row.reason) == (stage, reason)


@pytest.mark.parametrize("reason", ["foto buram", "printed: rusak", "collected", "queuedness", "back to queued", "Queued"])
def test_a_return_to_no_stage_or_to_one_that_is_never_gone_back_to_is_rejected(reason: str) -> None:
    assert code(event="returned", reason=reason) == "bad_return"


def test_the_reason_of_other_events_names_no_stage() -> None:
    assert checked(event="cancelled", reason="queued: pindah").back_to is None


def test_turning_back_and_ending_need_a_reason() -> None:
    assert {code(event="returned"), code(event="cancelled")} == {"reason_missing"}


@pytest.mark.parametrize(
    ("column", "longest", "says"),
    [
        ("case", "C" * 80, "bad_case"),
        ("name", "王" * 200, "bad_name"),
        ("actor", "a" * 40, "bad_actor"),
        ("serial", "K" * 40, "serial_too_long"),
        ("reason", "R" * 500, "reason_too_long"),
    ],
)
def test_a_cell_may_be_as_long_as_its_bound_and_no_longer(column: str, longest: str, says: str) -> None:
    assert getattr(checked(**{column: longest}), column) == longest
    assert code(**{column: longest + "x"}) == says


@pytest.mark.parametrize(
    ("column", "written", "says"),
    [
        ("case", "", "bad_case"),
        ("office", "317101", "unknown_office"),
        ("kind", "New", "unknown_kind"),
        ("nik", "3672034105900000", "invalid_nik"),
        ("nik", "3672033113909001", "invalid_nik"),
        ("name", "", "bad_name"),
        ("sex", "M", "sex_disagrees"),
        ("sex", "P", "sex_disagrees"),
        ("born", "1990-05-02", "born_disagrees"),
        ("born", "1 Mei 1990", "born_disagrees"),
        ("event", "breached", "unknown_event"),
        ("actor", "p 1", "bad_actor"),
        ("actor", "p.1\n", "bad_actor"),
    ],
)
def test_a_cell_that_cannot_be_is_rejected(column: str, written: str, says: str) -> None:
    assert code(**{column: written}) == says


def test_the_area_of_the_nik_is_not_compared_with_the_office() -> None:
    assert checked(nik="3171014105909001").office == "367203"


@pytest.mark.parametrize("column", COLUMNS)
def test_no_answer_repeats_a_name_or_nik_whatever_cell_it_slipped_into(column: str) -> None:
    with pytest.raises(RowRejected) as rejected:
        checked(**{column: "Siti 3672034105909001 " * 30})
    assert not any(secret in str(rejected.value.document()) for secret in ("Siti", "3672034105909001"))


WRITTEN = st.text() | st.datetimes().map(str) | st.dates().map(str) | st.sampled_from([*ROW.values()])


@given(st.dictionaries(st.sampled_from(COLUMNS), WRITTEN, max_size=2))
@settings(max_examples=300, deadline=None)
def test_whatever_the_cells_hold_a_row_is_typed_or_rejected(cells: dict[str, str]) -> None:
    with suppress(RowRejected):
        assert checked(**cells).at <= NOW
