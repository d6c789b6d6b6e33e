"""Outages of an office begin and end, also as told later; those of one cause never overlap, and nothing is noted twice."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st
from pydantic import ValidationError

from events.envelope import Event, decode, encode, stamp
from events.fact import split
from events.outage import Outage, OutageBegan, OutageEnded, Outages, during
from events.problem import Problem
from services.outage import (
    OutageBegin,
    OutageEnd,
    OutageEndsTooEarly,
    OutageNotBegun,
    OutageOverlaps,
    Request,
    State,
    decide,
    evolve,
)
from services.refusals import InFuture, KeyReused, Refused
from tests.applications import NOW, OFFICE, at

MICROSECOND, MINUTE, HOUR = timedelta(microseconds=1), timedelta(minutes=1), timedelta(hours=1)
BEGAN, ENDED = OutageBegan(digest="asked", cause="power"), OutageEnded(digest="asked", cause="power")


def clock(text: str) -> datetime:
    return at(f"2026-11-24T{text}")


def begin(at_clock: str | None = None) -> OutageBegin:
    return OutageBegin(office=OFFICE, cause="power", at=clock(at_clock) if at_clock else None, actor="p.1")


def end(at_clock: str | None = None) -> OutageEnd:
    return OutageEnd(office=OFFICE, cause="power", at=clock(at_clock) if at_clock else None, actor="p.1")


def request(command: OutageBegin | OutageEnd, event_id: str = "asked", digest: str = "asked") -> Request:
    return Request(event_id, digest, command, causation="command", correlation="desk")


class given:
    """given(begin("08:00")).when(end("10:00")).then(ENDED, clock("10:00")): reads as a sentence."""

    def __init__(self, *asked: OutageBegin | OutageEnd) -> None:
        self.state = State()
        for number, command in enumerate(asked, 1):
            (event,) = decide(request(command, f"event-{number}", f"digest-{number}"), self.state, NOW)
            self.state = evolve(self.state, event)

    def when(self, command: OutageBegin | OutageEnd, event_id: str = "asked", digest: str = "asked") -> "given":
        self.outcome: list[Event] | Problem
        try:
            self.outcome = decide(request(command, event_id, digest), self.state, NOW)
        except Problem as refusal:
            self.outcome = refusal
        return self

    def then(self, fact: OutageBegan | OutageEnded, occurred: datetime) -> State:
        """One event came of it; the outages after it."""
        event = Event("asked", OFFICE, "power", len(self.state.noted) + 1, occurred, fact, "p.1", "command", "desk")
        assert self.outcome == [event]
        return evolve(self.state, event)

    def then_nothing_more(self) -> None:
        assert self.outcome == []

    def then_refused(self, kind: type[Problem], **figures: object) -> None:
        assert (type(self.outcome), vars(self.outcome)) == (kind, figures)


def outages(*spans: tuple[str, str | None]) -> Outages:
    return tuple(Outage(clock(began), clock(ended) if ended else None) for began, ended in spans)


def test_an_outage_begins_and_ends_now() -> None:
    assert given().when(begin()).then(BEGAN, NOW).outages == (Outage(NOW),)
    assert given(begin("08:00")).when(end()).then(ENDED, NOW).outages == (Outage(clock("08:00"), NOW),)


def test_each_office_and_cause_has_a_subject_of_its_own_and_the_fact_comes_back_from_its_message() -> None:
    command = OutageBegin(office="367204", cause="blank_stock")
    (event,) = decide(request(command), State(), NOW)
    assert event.subject == "ektp.367204.outage.blank_stock"
    assert decode(stamp([encode(event, split(event.fact)[0])], NOW)[0], 1).fact == event.fact


@pytest.mark.parametrize("cause", ["weather", "", None])
def test_there_are_four_causes_and_no_others(cause: str) -> None:
    with pytest.raises(ValidationError, match="cause"):
        OutageBegin.model_validate({"office": OFFICE, "cause": cause})


def test_an_instant_in_another_zone_is_told_in_the_offices() -> None:
    command = OutageBegin(office=OFFICE, cause="power", at=clock("08:00").astimezone(UTC))
    (event,) = decide(request(command), State(), NOW)
    assert event.occurred.isoformat() == "2026-11-24T08:00:00+07:00"


def test_asking_twice_adds_nothing() -> None:
    given(begin("08:00")).when(begin("08:00")).then_nothing_more()
    given(begin("08:00")).when(begin("09:00")).then_nothing_more()  # it is known to be out then
    given(begin("08:00")).when(begin()).then_nothing_more()
    given(begin("08:00"), end("10:00")).when(begin("08:00")).then_nothing_more()
    given(begin("08:00"), end("10:00")).when(end("10:00")).then_nothing_more()


def test_the_same_request_counts_once_and_its_key_does_not_serve_another() -> None:
    ended = given(begin("08:00"), end("10:00"))
    ended.when(begin(), event_id="event-1", digest="digest-1").then_nothing_more()
    ended.when(begin("08:00"), event_id="event-1", digest="other").then_refused(KeyReused)


def test_the_future_is_refused() -> None:
    soon = NOW + MICROSECOND
    for command in (OutageBegin, OutageEnd):
        given(begin("08:00")).when(command(office=OFFICE, cause="power", at=soon)).then_refused(InFuture, at=soon, now=NOW)


def test_an_end_without_a_begin_is_refused() -> None:
    given().when(end("10:00")).then_refused(OutageNotBegun, cause="power", at=clock("10:00"))
    given(begin("08:00"), end("10:00")).when(end("11:00")).then_refused(OutageNotBegun, cause="power", at=clock("11:00"))
    given(begin("08:00"), end("10:00")).when(end("09:00")).then_refused(OutageNotBegun, cause="power", at=clock("09:00"))


@pytest.mark.parametrize("too_early", ["07:00", "08:00"])
def test_an_end_before_its_begin_is_refused(too_early: str) -> None:
    given(begin("08:00")).when(end(too_early)).then_refused(OutageEndsTooEarly, at=clock(too_early), began=clock("08:00"))


@pytest.mark.parametrize(
    ("began", "ended"), [("05:00", "06:00"), ("05:00", "08:00"), ("10:00", "11:00"), ("11:00", "12:00")]
)
def test_an_outage_is_entered_late_beside_others(began: str, ended: str) -> None:
    state = given(begin("08:00"), end("10:00"), begin(began)).when(end(ended)).then(ENDED, clock(ended))
    assert state.outages == tuple(sorted(outages(("08:00", "10:00"), (began, ended))))


def test_an_outage_is_entered_late_while_another_goes_on() -> None:
    late = given(begin("12:00"), begin("08:00"))
    assert late.when(end("10:00")).then(ENDED, clock("10:00")).outages == outages(("08:00", "10:00"), ("12:00", None))
    assert late.when(end("13:00")).then(ENDED, clock("13:00")).outages == outages(("08:00", None), ("12:00", "13:00"))


@pytest.mark.parametrize("inside", ["08:01", "09:59"])
def test_an_outage_does_not_begin_within_another(inside: str) -> None:
    given(begin("08:00"), end("10:00")).when(begin(inside)).then_refused(
        OutageOverlaps, at=clock(inside), began=clock("08:00"), ended=clock("10:00")
    )


def test_an_outage_does_not_end_after_the_next_one() -> None:
    given(begin("08:00"), end("10:00"), begin("06:00")).when(end("11:00")).then_refused(
        OutageOverlaps, at=clock("11:00"), began=clock("08:00"), ended=clock("10:00")
    )


def test_only_what_lies_within_the_span_counts_and_what_has_no_end_goes_on_until_the_next_or_still() -> None:
    some = outages(("06:00", "07:00"), ("08:00", None), ("10:00", "11:00"), ("12:00", None))

    def within(begins: str, ends: str) -> list[tuple[str, str]]:
        return [(f"{one:%H:%M}", f"{other:%H:%M}") for one, other in during(some, clock(begins), clock(ends))]

    assert within("05:00", "13:00") == [("06:00", "07:00"), ("08:00", "10:00"), ("10:00", "11:00"), ("12:00", "13:00")]
    assert within("06:30", "09:00") == [("06:30", "07:00"), ("08:00", "09:00")]
    assert within("07:00", "08:00") == within("11:00", "12:00") == []
    assert within("12:30", "12:45") == [("12:30", "12:45")]


@dataclass(frozen=True)
class Asked:
    what: Literal["begin", "end"]
    minutes: int


asked = st.lists(st.builds(Asked, st.sampled_from(["begin", "end"]), st.integers(0, 12)), max_size=14)


def play(all_asked: list[Asked]) -> tuple[State, list[Event]]:
    """Each asked twice in a row, by two people: the second adds nothing."""
    state, events = State(), list[Event]()
    for number, one in enumerate(all_asked):
        moment = NOW - one.minutes * MINUTE
        kind = OutageBegin if one.what == "begin" else OutageEnd
        command = kind(office=OFFICE, cause="power", at=moment)
        try:
            new = decide(request(command, f"event-{number}"), state, NOW)
        except Refused:
            continue
        state, events = reduce(evolve, new, state), [*events, *new]
        assert decide(request(command, "by another"), state, NOW) == []
    return state, events


@settings(deadline=None)
@given_any(asked)
def test_whatever_is_entered_in_whatever_order_outages_follow_one_another(all_asked: list[Asked]) -> None:
    state, events = play(all_asked)
    assert [event.version for event in events] == list(range(1, len(events) + 1))
    assert all(one.began < one.ended for one in state.outages if one.ended)
    assert all((one.ended or following.began) <= following.began for one, following in pairwise(state.outages))
    assert all(one.began < following.began for one, following in pairwise(state.outages))


@settings(deadline=None)
@given_any(asked, st.integers(0, 12))
def test_what_was_known_to_be_out_at_an_earlier_instant_follows_from_the_events_until_then(
    all_asked: list[Asked], minutes: int
) -> None:
    state, events = play(all_asked)
    as_of = NOW - minutes * MINUTE
    so_far = reduce(evolve, (event for event in events if event.occurred <= as_of), State()).outages
    first = NOW - HOUR
    assert list(during(so_far, first, as_of)) == list(during(state.outages, first, as_of))
