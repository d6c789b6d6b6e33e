"""Whatever desks ask for, in whatever order and with whatever clocks: each history is legal, and nothing is done twice."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from itertools import pairwise
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.application import Corrected, Returned, Submitted
from events.envelope import Event, decode, encode, stamp
from events.fact import split
from events.stages import FINAL, ORDER, REPRINTS, Kind, Stage
from services.application import Request, State, decide, evolve
from services.commands import AnyCommand
from services.refusals import KeyReused, Refused
from tests.applications import NOW, RULES, cancel, correct, do, request, return_to, submit

MINUTE = timedelta(minutes=1)
ADVANCES: tuple[Literal["record", "queue", "print", "collect"], ...] = ("record", "queue", "print", "collect")


@dataclass(frozen=True)
class Asked:
    """A request, and the clock it was decided by."""

    request: Request
    now: datetime


@dataclass(frozen=True)
class Run:
    """What became of some requests: all of them, those that were granted, what happened, and the case in the end."""

    granted: list[Asked]
    events: list[Event]
    state: State


def play(asked: list[Asked]) -> Run:
    run = Run([], [], State())
    for one in asked:
        before = State(*run.state)
        try:
            new = decide(one.request, run.state, RULES, one.now)
        except Refused:
            assert run.state == before
        else:
            run = Run([*run.granted, one], [*run.events, *new], reduce(evolve, new, run.state))
    return run


clocks = st.integers(-30, 600).map(lambda minutes: minutes * MINUTE)  # the next request comes later, or a clock is set back
shifts = st.integers(-600, 600).map(lambda minutes: minutes * MINUTE)  # of a corrected time
moments = st.none() | st.integers(-600, 1).map(lambda minutes: minutes * MINUTE)  # --at, as seen from now


def any_command(draw: st.DrawFn, state: State, at: datetime | None) -> AnyCommand:
    """Often the next step forward, so that histories get far; else anything, sensible or not."""
    what = draw(st.sampled_from(["on"] * 6 + ["back"] * 2 + ["correct"] * 2 + ["advance", "cancel", "submit"]))
    match what:
        case "on" if state.stage in ORDER[:-1]:
            return do(ADVANCES[ORDER.index(state.stage)], at=at)
        case "back":
            return return_to(draw(st.sampled_from(ORDER)), at=at)
        case "cancel":
            return cancel(at=at)
        case "submit":
            return submit(at=at)
        case "correct":
            noted = draw(st.sampled_from(state.noted))
            return correct(0, event=noted.id, at=at, new_at=noted.occurred + draw(shifts), new_serial="B")
        case _:
            return do(draw(st.sampled_from(ADVANCES)), at=at)


@st.composite
def requests(draw: st.DrawFn) -> list[Asked]:
    """A submission of any kind, then anything; `event-<n>` is the n-th request."""
    asked, now = [Asked(request(submit(kind=draw(st.sampled_from(Kind))), "event-1", "digest-1"), NOW)], NOW
    for number in range(2, draw(st.integers(2, 20))):
        now += draw(clocks)
        offset = draw(moments)
        command = any_command(draw, play(asked).state, now + offset if offset is not None else None)
        asked.append(Asked(request(command, f"event-{number}", f"digest-{number}"), now))
    return asked


runs = requests().map(play)
examples = settings(deadline=None, max_examples=100)


def may_follow(kind: Kind, reached: list[Stage], stage: Stage, event: Event) -> bool:
    """Contract, section 4, said once more and in other words than the code's."""
    if isinstance(event.fact, Corrected):
        return True
    if stage in FINAL:
        return False
    if isinstance(event.fact, Returned):
        earlier = ORDER[: ORDER.index(stage)]
        return event.fact.back_to in earlier and event.fact.back_to in reached
    steps = set(pairwise(ORDER)) | {(stage, Stage.CANCELLED)}
    if kind in REPRINTS:
        steps.add((Stage.SUBMITTED, Stage.QUEUED))
    return (stage, Stage(event.name)) in steps


@examples
@given(runs)
def test_every_history_is_legal(run: Run) -> None:
    first, *later = run.events
    assert isinstance(first.fact, Submitted)
    stage, reached = Stage.SUBMITTED, [Stage.SUBMITTED]
    for event in later:
        assert may_follow(first.fact.kind, reached, stage, event), (stage, event)
        if not isinstance(event.fact, Corrected):
            stage = event.fact.back_to if isinstance(event.fact, Returned) else Stage(event.name)
            reached.append(stage)
    assert run.state.stage is stage
    assert [event.version for event in run.events] == list(range(1, len(run.events) + 1))
    assert len({event.subject for event in run.events}) == 1


@examples
@given(runs)
def test_times_of_stages_never_go_back_even_as_corrected(run: Run) -> None:
    times: dict[str, datetime] = {}
    for event in run.events:
        if not isinstance(event.fact, Corrected):
            times[event.id] = event.occurred
        elif event.fact.at:
            assert event.fact.corrects in times
            times[event.fact.corrects] = event.fact.at
        in_order = list(times.values())
        assert in_order == sorted(in_order)
    assert run.state.last_occurred == in_order[-1]


@examples
@given(runs, st.integers(-100, 100_000))
def test_asking_the_same_again_adds_nothing_at_any_later_time(run: Run, minutes: int) -> None:
    for one in run.granted:
        assert decide(one.request, run.state, RULES, NOW + minutes * MINUTE) == []


@examples
@given(runs)
def test_the_same_id_with_other_content_is_refused(run: Run) -> None:
    for one in run.granted:
        with pytest.raises(KeyReused):
            decide(one.request._replace(digest="other"), run.state, RULES, one.now)


@examples
@given(requests())
def test_all_requests_sent_twice_in_a_row_come_to_the_same_history(asked: list[Asked]) -> None:
    assert play([again for one in asked for again in (one, one)]).events == play(asked).events


@examples
@given(runs)
def test_a_case_can_always_go_on_until_it_is_final(run: Run) -> None:
    """So no sequence of commands, refused ones included, leads into a dead end."""
    assert run.state.stage
    if run.state.stage not in FINAL:
        step = ADVANCES[ORDER.index(run.state.stage)]
        (event,) = decide(request(do(step)), run.state, RULES, NOW - 10_000 * MINUTE)  # whatever the clock says
        assert evolve(run.state, event).stage is ORDER[ORDER.index(run.state.stage) + 1]


@examples
@given(runs)
def test_the_case_follows_from_what_is_stored_alone(run: Run) -> None:
    bodies = stamp([encode(event, split(event.fact)[0]) for event in run.events], NOW)
    assert reduce(evolve, (decode(body, seq) for seq, body in enumerate(bodies, 1)), State()) == run.state
