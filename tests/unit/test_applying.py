"""Who may apply: 17 or ever married, citizen or permanent resident, one open case each, `new` for a first card only."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from events.application import Cancelled, Submitted
from events.nik import InvalidNik, Nik
from events.stages import Kind, Stage
from services import refusals
from services.application import State
from services.commands import Submit
from tests.applications import (
    BORN,
    CANCELLED,
    NAME,
    NIK,
    NOW,
    OFFICE,
    QUEUED,
    REASON,
    RECEIPT,
    RESIDENT,
    SO_FAR,
    SUBMITTED,
    at,
    back_to,
    case,
    given,
    submit,
)

APPLIED = Submitted(
    digest="",
    receipt=RECEIPT,
    kind=Kind.NEW,
    resident=RESIDENT,
    promised=at("2026-11-26T09:00"),  # 24 hours later the office is open
    standard_version=1,
    calendar_version=1,
    nik=NIK,
    name=NAME,
    born=BORN,
)
OTHER_KINDS = sorted(set(Kind) - {Kind.NEW})
MICROSECOND = timedelta(microseconds=1)


def born(text: str) -> Nik:
    return Nik.of(OFFICE, date.fromisoformat(text), "M", 3)


def test_office_nik_name_and_kind_are_enough_to_apply() -> None:
    given().when(Submit(office=OFFICE, nik=NIK, name=NAME, kind=Kind.NEW)).then(APPLIED)


def test_what_else_the_desk_noted_is_kept() -> None:
    noted = APPLIED.model_copy(update={"serial": "F-2", "reason": REASON, "kind": Kind.LOST})
    given().when(submit(kind=Kind.LOST, serial="F-2", reason=REASON, actor="petugas.1")).then(noted)


def test_the_promise_counts_from_when_the_application_was_handed_in() -> None:
    friday = at("2026-11-20T10:00")
    promised = APPLIED.model_copy(update={"promised": at("2026-11-23T07:30")})  # Saturday is closed
    given().when(submit(at=friday)).then(promised, occurred=friday)


@pytest.mark.parametrize(
    ("birth", "refused_at", "allowed_at", "seventeen"),
    [
        ("2009-11-25", "2026-11-24T23:59:59.999999", "2026-11-25T00:00", "2026-11-25"),
        ("2008-02-29", "2025-02-28T23:59:59.999999", "2025-03-01T00:00", "2025-03-01"),
        ("2008-03-01", "2025-02-28T23:59:59.999999", "2025-03-01T00:00", "2025-03-01"),
        ("2000-12-31", "2017-12-30T12:00", "2017-12-31T00:00", "2017-12-31"),
    ],
)
def test_one_may_apply_from_the_first_instant_of_the_17th_birthday_in_jakarta(
    birth: str, refused_at: str, allowed_at: str, seventeen: str
) -> None:
    nik, now = born(birth), NOW
    too_young, old_enough = (given().when(submit(nik=nik, at=at(then)), now) for then in (refused_at, allowed_at))
    too_young.then_refused(refusals.UnderAge, seventeen=date.fromisoformat(seventeen))
    assert old_enough.outcome
    in_utc = at(allowed_at).astimezone(UTC)  # there it is still the day before
    assert given().when(submit(nik=nik, at=in_utc), now).outcome
    assert given().when(submit(nik=nik), now=in_utc).outcome


def test_age_is_judged_when_the_application_was_handed_in_not_when_it_is_entered() -> None:
    given().when(submit(nik=born("2009-11-01"), at=at("2026-10-31T10:00"))).then_refused(
        refusals.UnderAge, seventeen=date(2026, 11, 1)
    )


def test_who_was_ever_married_may_be_younger() -> None:
    assert given().when(submit(nik=born("2012-01-01"), married=True)).outcome


def test_the_century_of_birth_is_the_latest_possible_unless_it_is_said() -> None:
    nik = born("2010-05-01")
    given().when(submit(nik=nik)).then_refused(refusals.UnderAge, seventeen=date(2027, 5, 1))
    (event,) = given().when(submit(nik=nik, born=date(1910, 5, 1))).outcome or []
    assert event.fact == APPLIED.model_copy(update={"digest": "asked", "nik": nik, "born": date(1910, 5, 1)})


@pytest.mark.parametrize("wrong", [date(1990, 5, 2), date(1990, 1, 5), date(1991, 5, 1), date(2090, 5, 1), date(9990, 5, 1)])
@pytest.mark.parametrize("married", [False, True])
def test_a_birth_that_the_nik_does_not_say_or_that_is_still_to_come_is_refused(wrong: date, married: bool) -> None:
    given().when(submit(born=wrong, married=married)).then_refused(refusals.BornDisagrees)


def test_nobody_applied_before_being_born() -> None:
    nik = Nik("3672032902000003")  # 29 February 2000; 1900 had none
    given().when(submit(nik=nik, at=at("1999-01-01T08:00"))).then_refused(InvalidNik, why="date")


def test_a_foreigner_needs_a_permanent_stay_permit() -> None:
    given().when(submit(foreigner=True)).then_refused(refusals.NoStayPermit)
    given().when(submit(foreigner=True, stay_permit=True)).then(APPLIED)


@pytest.mark.parametrize("foreigner", [False, True])
def test_a_stay_permit_or_a_marriage_that_was_not_needed_does_no_harm(foreigner: bool) -> None:
    given().when(submit(foreigner=foreigner, stay_permit=True, married=True)).then(APPLIED)


def test_there_is_no_field_for_a_fee() -> None:
    with pytest.raises(ValidationError, match="fee_rupiah"):
        submit(fee_rupiah=0)
    assert not [name for name in [*Submit.model_fields, *Submitted.model_fields] if "fee" in name]


@pytest.mark.parametrize("stage", [Stage.SUBMITTED, Stage.RECORDED, Stage.QUEUED, Stage.PRINTED])
@pytest.mark.parametrize("kind", Kind)
def test_a_resident_has_one_open_case(stage: Stage, kind: Kind) -> None:
    given(others=(case(*SO_FAR[stage]),)).when(submit(kind=kind)).then_refused(
        refusals.CaseOpen, receipt=RECEIPT, stage=stage
    )


def test_a_case_that_was_turned_back_is_open() -> None:
    turned_back = case(*SO_FAR[Stage.PRINTED], back_to(Stage.RECORDED))
    given(others=(turned_back,)).when(submit(kind=Kind.LOST)).then_refused(
        refusals.CaseOpen, receipt=RECEIPT, stage=Stage.RECORDED
    )


@pytest.mark.parametrize("closed", [Stage.COLLECTED, Stage.CANCELLED])
@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_the_next_case_may_begin_when_the_last_is_collected_or_cancelled(closed: Stage, kind: Kind) -> None:
    applied = APPLIED.model_copy(update={"kind": kind})
    given(others=(case(*SO_FAR[closed]), case(*SO_FAR[closed]))).when(submit(kind=kind)).then(applied)


@pytest.mark.parametrize("kind", OTHER_KINDS)
def test_other_kinds_than_new_need_no_earlier_card_here(kind: Kind) -> None:
    given().when(submit(kind=kind)).then(APPLIED.model_copy(update={"kind": kind}))


def test_new_is_refused_to_whom_a_card_was_printed_in_any_case_not_cancelled() -> None:
    collected, cancelled = case(*SO_FAR[Stage.COLLECTED]), case(SUBMITTED, CANCELLED)
    for others in ((collected,), (cancelled, collected), (collected, cancelled)):
        given(others=others).when(submit()).then_refused(refusals.CardExists, receipt=RECEIPT)


def test_a_card_of_another_kind_counts_for_new_as_well() -> None:
    moved_in = case(SUBMITTED.model_copy(update={"kind": Kind.MOVED_IN}), *SO_FAR[Stage.COLLECTED][1:])
    given(others=(moved_in,)).when(submit()).then_refused(refusals.CardExists, receipt=RECEIPT)


@pytest.mark.parametrize(
    "cancelled",
    [
        case(SUBMITTED, CANCELLED),
        case(*SO_FAR[Stage.PRINTED], CANCELLED),
        case(*SO_FAR[Stage.PRINTED], back_to(Stage.QUEUED), Cancelled(digest="")),
    ],
    ids=["before it was printed", "when it was printed", "after it was turned back to be printed again"],
)
def test_new_is_allowed_again_when_the_printed_case_was_cancelled(cancelled: State) -> None:
    given(others=(cancelled,)).when(submit()).then(APPLIED)


def test_a_claim_on_a_case_that_was_never_stored_stands_in_nobodys_way() -> None:
    given(others=(State(),)).when(submit()).then(APPLIED)


@pytest.mark.parametrize("now", [NOW, datetime(2026, 11, 25, 2, tzinfo=UTC)])
def test_the_same_instant_in_another_zone_is_the_same_application(now: datetime) -> None:
    given().when(submit(), now=now).then(APPLIED)
    assert given(SUBMITTED, QUEUED).when(submit(at=now + MICROSECOND), event_id="event-1", digest="earlier").outcome == []
