"""A correction puts right what an event says, its time included; what it may not change, and where a time may move."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from events.application import Cancelled, Corrected, Queued
from events.stages import Stage
from services import refusals
from services.commands import Correct
from tests.applications import (
    CANCELLED,
    NOW,
    QUEUED,
    REASON,
    RECORDED,
    SO_FAR,
    SUBMITTED,
    back_to,
    cancel,
    correct,
    day,
    do,
    given,
)

HOUR, MICROSECOND = timedelta(hours=1), timedelta(microseconds=1)
THREE = (SUBMITTED, RECORDED, QUEUED)  # on day 1, 2 and 3
NEW_NAME = "Siti Rahayu Ningsih"


def corrected(version: int, at: datetime | None = None, **new: Any) -> Corrected:
    return Corrected(digest="earlier", corrects=f"event-{version}", at=at, **new)


@pytest.mark.parametrize(
    "new", [{"new_serial": "B-18"}, {"new_actor": "petugas.2"}, {"new_serial": "B-18", "new_actor": "petugas.2"}], ids=str
)
@pytest.mark.parametrize("version", [1, 2, 3])
def test_serial_and_actor_of_any_event_can_be_corrected(version: int, new: dict[str, str]) -> None:
    given(*THREE).when(correct(version, **new)).then(corrected(version, None, reason=REASON, **new))


def test_the_name_can_be_corrected_where_it_was_given() -> None:
    given(*THREE).when(correct(1, new_name=NEW_NAME)).then(corrected(1, reason=REASON, name=NEW_NAME))
    given(*THREE).when(correct(2, new_name=NEW_NAME)).then_refused(refusals.NothingCorrected, field="name")


def test_a_correction_without_any_value_is_refused() -> None:
    given(*THREE).when(correct(1)).then_refused(refusals.NothingCorrected, field="-")


@pytest.mark.parametrize("field", ["nik", "new_nik", "new_office", "new_kind", "new_stage", "new_born", "new_reason"])
def test_nik_office_kind_and_stage_are_not_corrected(field: str) -> None:
    with pytest.raises(ValidationError, match=field):
        correct(1, **{field: "x"})
    assert {name for name in Correct.model_fields if name.startswith("new_")} == {
        *("new_at", "new_serial", "new_actor", "new_name")
    }


@pytest.mark.parametrize("stage", SO_FAR)
def test_a_correction_is_possible_at_every_stage_and_changes_none(stage: Stage) -> None:
    given(*SO_FAR[stage]).when(correct(1, new_serial="F-1")).then(corrected(1, reason=REASON, new_serial="F-1"))
    assert given(*SO_FAR[stage], corrected(1, new_serial="F-1")).state.stage is stage


@pytest.mark.parametrize(
    ("version", "at"),
    [
        (1, day(1) - 400 * 24 * HOUR),  # nothing came before
        (1, day(2)),
        (2, day(1)),
        (2, day(2) + HOUR),
        (2, day(3)),
        (3, day(2)),
        (3, NOW),  # nothing came after
    ],
)
def test_a_time_moves_as_far_as_its_neighbours(version: int, at: datetime) -> None:
    given(*THREE).when(correct(version, new_at=at)).then(corrected(version, at, reason=REASON))


def test_a_time_does_not_move_beyond_its_neighbours_or_into_the_future() -> None:
    early, late = day(1) - MICROSECOND, day(3) + MICROSECOND
    given(*THREE).when(correct(2, new_at=early)).then_refused(refusals.BeforePrevious, at=early, previous=day(1))
    given(*THREE).when(correct(2, new_at=late)).then_refused(refusals.AfterNext, at=late, following=day(3))
    soon = NOW + MICROSECOND
    given(*THREE).when(correct(3, new_at=soon)).then_refused(refusals.InFuture, at=soon, now=NOW)


def test_neighbours_count_with_their_corrected_times() -> None:
    moved = (*THREE, corrected(3, day(5)), corrected(1, day(1) + HOUR))
    given(*moved).when(correct(2, new_at=day(5))).then(corrected(2, day(5), reason=REASON))
    late, early = day(5) + MICROSECOND, day(1) + HOUR - MICROSECOND
    given(*moved).when(correct(2, new_at=late)).then_refused(refusals.AfterNext, at=late, following=day(5))
    given(*moved).when(correct(2, new_at=early)).then_refused(refusals.BeforePrevious, at=early, previous=day(1) + HOUR)


def test_the_correction_itself_was_not_made_before_the_last_event() -> None:
    given(*THREE).when(correct(2, new_serial="B-18", at=day(3))).then(
        corrected(2, reason=REASON, new_serial="B-18"), occurred=day(3)
    )
    early, soon = day(3) - MICROSECOND, NOW + MICROSECOND
    given(*THREE).when(correct(2, new_serial="B-18", at=early)).then_refused(
        refusals.BeforePrevious, at=early, previous=day(3)
    )
    given(*THREE).when(correct(2, new_serial="B-18", at=soon)).then_refused(refusals.InFuture, at=soon, now=NOW)


def test_a_corrected_time_can_be_corrected_again_and_the_last_one_holds() -> None:
    twice = (SUBMITTED, RECORDED, corrected(2, day(2) + HOUR), corrected(2, day(2) + 3 * HOUR))
    given(*twice).when(correct(2, new_at=day(2))).then(corrected(2, day(2), reason=REASON))
    given(*twice).when(do("queue", at=day(2) + 2 * HOUR)).then_refused(
        refusals.BeforePrevious, at=day(2) + 2 * HOUR, previous=day(2) + 3 * HOUR
    )
    given(*twice).when(do("queue", at=day(2) + 3 * HOUR)).then(Queued(digest=""), occurred=day(2) + 3 * HOUR)


def test_what_comes_next_follows_the_corrected_time_and_not_the_correction() -> None:
    earlier = (SUBMITTED, RECORDED, corrected(2, day(1) + HOUR))  # the correction itself came on day 3
    given(*earlier).when(do("queue", at=day(1) + HOUR)).then(Queued(digest=""), occurred=day(1) + HOUR)
    given(*earlier).when(cancel(at=day(2))).then(Cancelled(digest="", reason=REASON), occurred=day(2))


def test_a_value_without_a_time_leaves_the_time_as_it_was() -> None:
    history = (*THREE, corrected(2, day(2) + HOUR), corrected(2, new_serial="B-18"))
    limit = day(2) + HOUR
    given(*history).when(correct(3, new_at=limit)).then(corrected(3, limit, reason=REASON))
    given(*history).when(correct(3, new_at=limit - MICROSECOND)).then_refused(
        refusals.BeforePrevious, at=limit - MICROSECOND, previous=limit
    )


def test_a_return_and_a_cancellation_have_a_time_that_can_be_corrected_too() -> None:
    history = (*THREE, back_to(Stage.RECORDED), CANCELLED)
    given(*history).when(correct(4, new_at=day(3))).then(corrected(4, day(3), reason=REASON))
    given(*history).when(correct(5, new_at=NOW)).then(corrected(5, NOW, reason=REASON))


@pytest.mark.parametrize("event", ["event-4", "event-9", ""])
def test_only_an_event_of_this_case_that_is_no_correction_can_be_corrected(event: str) -> None:
    history = given(*THREE, corrected(2, day(2) + HOUR))  # its fourth event is the correction
    history.when(correct(1, event=event, new_serial="B-18")).then_refused(refusals.NoSuchEvent, event=event)


def test_a_correction_counts_once() -> None:
    history = given(SUBMITTED, RECORDED, corrected(2, day(2) + HOUR))
    history.when(correct(2, new_at=day(2) + HOUR), event_id="event-3", digest="earlier").then_nothing_more()
    history.when(correct(2, new_at=day(2)), event_id="event-3", digest="other").then_refused(refusals.KeyReused)
