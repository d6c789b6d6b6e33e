"""Applying batches to all views: each event once and in order, what cannot be taken is set aside and disturbs nobody."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any, cast

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from events.envelope import Event, decode
from infra import journal_reader
from infra.database import scratch_database
from infra.journal import Journal, Stored
from infra.journal_errors import JournalDamaged
from projections import coverage, status
from projections.positions import MovedByAnother
from projections.views import Views
from tests.databases import Applied, OnPostgres, OnSqlite, by_hand, in_memory, made_up, told

EVENTS = made_up(Random(1), 400)
LOG = in_memory(EVENTS)
DECODED = [decode(stored.body, stored.seq) for stored in LOG]
ALL = [stored.seq for stored in LOG]
POISON = next(event.seq for event in DECODED if event.name == "recorded" and event.seq > 100)
SUBJECT = LOG[POISON - 1].subject
FOLLOWING = [stored.seq for stored in LOG if stored.subject == SUBJECT and stored.seq > POISON]
assert 2 <= len(FOLLOWING) < 20


def batches(log: Sequence[Stored], size: int) -> list[list[Stored]]:
    return [list(log[start : start + size]) for start in range(0, len(log), size)]


def without(log: Sequence[int], *seqs: int) -> list[int]:
    return [seq for seq in log if seq not in seqs]


def reasons(views: Views) -> list[tuple[str, int, str]]:
    return [(row["projection"], row["seq"], row["why"]) for row in views.aside()]


def damaged(seq: int, body: bytes) -> list[Stored]:
    """The log with another body at one place."""
    return [Stored(stored.seq, stored.subject, body) if stored.seq == seq else stored for stored in LOG]


class Breaking(Applied):
    """A view whose database connection breaks under it, as often as said."""

    times = 0

    def apply(self, db: sa.Connection, events: Sequence[Event]) -> None:
        super().apply(db, events)
        if self.times:
            self.times -= 1
            postgres = db.dialect.name == "postgresql"
            db.exec_driver_sql("select pg_terminate_backend(pg_backend_pid())" if postgres else "attach '/' as nowhere")


class Cases:
    @pytest.mark.parametrize("size", [1, 7, 400])
    def test_the_views_are_the_fold_of_the_log_whatever_the_batches(self, engine: sa.Engine, size: int) -> None:
        views = Views(engine, [status, applied := Applied()])
        for batch in batches(LOG, size):
            views.apply(batch)
        assert told(engine) == by_hand(DECODED)
        assert applied.seqs(engine) == ALL
        assert views.position == 400
        assert Views(engine, [status, applied]).position == 400  # of another life

    def test_a_batch_that_comes_again_changes_nothing(self, engine: sa.Engine) -> None:
        views = Views(engine, [status, applied := Applied()])
        for start in range(0, 400, 50):
            views.apply(LOG[max(0, start - 120) : start + 50])
            views.apply(LOG[max(0, start - 10) : start + 50])
        assert applied.seqs(engine) == ALL
        assert told(engine) == by_hand(DECODED)

    def test_a_view_that_is_new_is_brought_up_alone(self, engine: sa.Engine) -> None:
        Views(engine, [first := Applied("first")]).apply(LOG[:300])
        views = Views(engine, [first, second := Applied("second")])
        assert (views.position, views.positions) == (0, {"first": 300, "second": 0})
        for batch in batches(LOG, 90):
            views.apply(batch)
        assert first.seqs(engine) == second.seqs(engine) == ALL

    @pytest.mark.parametrize("size", [1, 13, 400])
    def test_an_event_that_one_view_cannot_take_is_set_aside_there_with_what_follows_it(
        self, engine: sa.Engine, size: int
    ) -> None:
        views = Views(engine, [status, choosy := Applied("choosy"), other := Applied("other")])
        choosy.cannot_take.add(POISON)
        for batch in batches(LOG, size):
            views.apply(batch)
        assert reasons(views) == [("choosy", POISON, "ValueError"), *(("choosy", seq, "follows") for seq in FOLLOWING)]
        assert choosy.seqs(engine) == without(ALL, POISON, *FOLLOWING)
        assert other.seqs(engine) == ALL
        assert told(engine) == by_hand(DECODED)
        assert set(views.positions.values()) == {400}
        assert views.marked == {"status": set(), "choosy": {SUBJECT}, "other": set()}
        assert Views(engine, [status, choosy, other]).marked == views.marked

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (b"", "JSONDecodeError"),
            (b"\xff\xfe{}", "JSONDecodeError"),
            (b"[]", "TypeError"),
            (LOG[POISON - 1].body[:-1], "JSONDecodeError"),
            (LOG[POISON - 1].body.replace(b'"digest"', b'"digests"'), "ValidationError"),
            (LOG[POISON - 1].body.replace(b"recorded.v1", b"seen.v1"), "unknown type id.go.ektp.application.seen.v1"),
        ],
    )
    def test_an_event_that_nobody_can_read_is_set_aside_by_every_view(
        self, engine: sa.Engine, body: bytes, why: str
    ) -> None:
        views = Views(engine, [status, applied := Applied()])
        for batch in batches(damaged(POISON, body), 50):
            views.apply(batch)
        left = [(POISON, why), *((seq, "follows") for seq in FOLLOWING)]
        assert reasons(views) == [(name, *one) for name in ("status", "applied") for one in left]
        assert applied.seqs(engine) == without(ALL, POISON, *FOLLOWING)
        assert told(engine) == by_hand([event for event in DECODED if event.seq not in {POISON, *FOLLOWING}])

    def test_what_was_set_aside_is_taken_in_order_when_its_cause_is_cured(self, engine: sa.Engine) -> None:
        views = Views(engine, [status, applied := Applied()])
        applied.cannot_take = {POISON, FOLLOWING[1]}
        views.apply(LOG)
        aside = [POISON, *FOLLOWING]
        assert views.retry(LOG) == 0
        assert [seq for _, seq, _ in reasons(views)] == aside
        applied.cannot_take = {FOLLOWING[1]}
        assert views.retry(list(reversed(LOG))) == 2
        assert applied.seqs(engine) == [*without(ALL, *aside), *aside[:2]]
        assert [seq for _, seq, _ in reasons(views)] == aside[2:]
        assert views.marked["applied"] == {SUBJECT}
        applied.cannot_take = set()
        assert views.retry(LOG) == len(aside) - 2
        assert applied.seqs(engine) == [*without(ALL, *aside), *aside]
        assert (reasons(views), views.marked["applied"]) == ([], set())
        assert views.retry(LOG) == 0

    def test_what_comes_after_a_retry_is_taken_at_once(self, engine: sa.Engine) -> None:
        views = Views(engine, [applied := Applied()])
        applied.cannot_take = {POISON}
        views.apply(LOG[: FOLLOWING[0]])
        applied.cannot_take = set()
        assert views.retry(LOG) == 2
        views.apply(LOG)
        assert reasons(views) == []
        assert sorted(applied.seqs(engine)) == ALL

    def test_an_event_is_not_taken_while_one_before_it_is_not_there_to_be_tried(self, engine: sa.Engine) -> None:
        views = Views(engine, [applied := Applied()])
        applied.cannot_take = {POISON}
        views.apply(LOG)
        applied.cannot_take = set()
        assert views.retry([stored for stored in LOG if stored.seq != POISON]) == 0
        assert views.retry(LOG) == len(FOLLOWING) + 1

    def test_a_retry_mends_the_view_of_the_case(self, engine: sa.Engine) -> None:
        views = Views(engine, [status])
        views.apply(damaged(POISON, b""))
        assert told(engine) != by_hand(DECODED)
        views.retry(LOG)
        assert told(engine) == by_hand(DECODED)

    def test_of_two_that_write_one_is_told_that_the_other_has_moved_the_view(self, engine: sa.Engine) -> None:
        first, second = (Views(engine, [status, Applied()]) for _ in range(2))
        first.apply(LOG[:100])
        with pytest.raises(MovedByAnother):
            second.apply(LOG[:50])
        with pytest.raises(MovedByAnother):
            second.apply(LOG[:150])
        second.look()
        second.apply(LOG[:150])
        with pytest.raises(MovedByAnother):
            first.apply(LOG[100:300])
        assert Applied().seqs(engine) == ALL[:150]
        assert told(engine) == by_hand(DECODED[:150])

    def test_of_two_that_write_neither_sets_aside_what_the_other_has_taken(self, engine: sa.Engine) -> None:
        first, second = Views(engine, [Applied()]), Views(engine, [picky := Applied()])
        picky.cannot_take = {POISON}
        first.apply(LOG)
        with pytest.raises(MovedByAnother):
            second.apply(LOG)
        assert (reasons(first), picky.seqs(engine)) == ([], ALL)

    def test_of_two_that_retry_one_takes_the_event(self, engine: sa.Engine) -> None:
        Views(engine, [refusing := Applied()]).apply(LOG[: POISON - 1])
        refusing.cannot_take = {POISON}
        Views(engine, [refusing]).apply(LOG)
        rival = Views(engine, [Applied()])

        class Slow(Applied):
            def apply(self, db: sa.Connection, events: Sequence[Event]) -> None:
                rival.retry(LOG)
                super().apply(db, events)

        with pytest.raises(MovedByAnother):
            Views(engine, [Slow()]).retry(LOG)
        assert sorted(refusing.seqs(engine)) == ALL
        assert reasons(rival) == []

    def test_several_may_begin_at_once_on_a_new_database(self, engine: sa.Engine) -> None:
        with ThreadPoolExecutor(8) as threads:
            begun = list(threads.map(lambda _: Views(engine, [status, coverage, Applied()]), range(8)))
        begun[0].apply(LOG)
        assert Views(engine, [status, coverage, applied := Applied()]).position == 400
        assert applied.seqs(engine) == ALL

    def test_a_broken_database_is_not_the_event_s_fault(self, engine: sa.Engine) -> None:
        views = Views(engine, [status, breaking := Breaking()])
        for batch in batches(LOG, 100):
            breaking.times = 1
            with pytest.raises(sa.exc.OperationalError):
                views.apply(batch)
            views.look()
            assert views.position == batch[0].seq - 1
            views.apply(batch)
        assert (reasons(views), breaking.seqs(engine)) == ([], ALL)
        assert told(engine) == by_hand(DECODED)

    def test_there_are_no_rows_without_their_position(self, engine: sa.Engine) -> None:
        views = Views(engine, [status, applied := Applied()])

        def breaks(_db: object, _cursor: object, statement: str, *_: object) -> None:
            if statement.startswith("UPDATE positions"):
                raise sa.exc.OperationalError(statement, {}, Exception())

        sa.event.listen(engine, "before_cursor_execute", breaks)
        applied.cannot_take = {POISON}
        for batch in (LOG[: POISON - 1], LOG[: POISON + 1]):
            with pytest.raises(sa.exc.OperationalError):
                views.apply(batch)
        assert (applied.seqs(engine), told(engine), views.aside()) == ([], {}, [])
        assert Views(engine, [status, applied]).position == 0

    def test_a_database_that_breaks_while_a_poison_event_is_sought_puts_nothing_aside(self, engine: sa.Engine) -> None:
        views = Views(engine, [breaking := Breaking()])
        breaking.cannot_take = {POISON}
        breaking.times = 1
        with pytest.raises(sa.exc.OperationalError):
            views.apply(LOG)  # one by one, as the whole batch would not go
        views.look()
        views.apply(LOG)
        assert [seq for _, seq, _ in reasons(views)] == [POISON, *FOLLOWING]
        assert breaking.seqs(engine) == without(ALL, POISON, *FOLLOWING)


class TestOnSqlite(OnSqlite, Cases):
    pass


class TestOnPostgres(OnPostgres, Cases):
    pass


def carelessly(seed: int, far: int) -> list[Stored]:
    """The log as an at-least-once delivery may hand it on: each within so many places of its own, one in ten twice."""
    random = Random(seed)
    twice = [stored for stored in LOG for _ in range(2 if random.random() < 0.1 else 1)]
    return sorted(twice, key=lambda stored: stored.seq + random.uniform(0, far))


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 2**32), st.sampled_from([0, 2, 100])), max_size=4), st.integers(1, 100))
def test_however_events_are_delivered_none_is_lost_or_counts_twice_or_too_early(
    careless: list[tuple[int, int]], size: int
) -> None:
    engine = scratch_database()
    views = Views(engine, [status, applied := Applied()])
    for delivery in [*(carelessly(seed, far) for seed, far in careless), LOG]:  # each to a reader that goes on from there
        missing = asyncio.run(read_to_the_end(views, delivery, size))
        assert missing == (f"event {views.position + 1}" if views.position < 400 else None)
        assert applied.seqs(engine) == ALL[: views.position]
    assert told(engine) == by_hand(DECODED)
    engine.dispose()


async def read_to_the_end(views: Views, delivery: Sequence[Stored], size: int) -> str | None:
    """Apply what the reader lets through; returns which event it misses where it stops before the end."""

    async def consume(_journal: Journal, after: int) -> AsyncIterator[list[Stored]]:
        for batch in batches([stored for stored in delivery if stored.seq > after], size):
            yield batch

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal_reader, "_consume", consume)
        try:
            async for batch in journal_reader.read(cast(Any, None), views.position, until=400):
                views.apply(batch)
        except JournalDamaged as damage:
            return damage.where
    return None
