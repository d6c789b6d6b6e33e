"""Appending: all or nothing per caller, in order, and every caller is told what became of it."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Literal

import pytest

from infra import group_commit
from infra.group_commit import BATCH_PAYS_FROM, Change, GroupCommit
from infra.journal import Journal
from infra.journal_errors import Conflict
from infra.metrics import REGISTRY
from infra.nats_server import NatsServer
from tests.history import History
from tests.support import change, connected_writer, events, lossy_link, stored, subject


def group_count() -> float:
    """Groups that left so far in this process."""
    return REGISTRY.get_sample_value("ektp_append_group_events_count") or 0.0


async def outcomes(commits: GroupCommit, changes: list[Change]) -> list[list[int] | BaseException]:
    """What each of these comes to, appended at once."""
    return await asyncio.gather(*(commits.append(one) for one in changes), return_exceptions=True)


async def test_an_append_is_stored_and_its_position_told(journal: Journal, commits: GroupCommit) -> None:
    assert await commits.append(change("a")) == [1]
    assert await commits.append(change("a", 1, first=2, count=3)) == [2, 3, 4]
    assert [(one.subject, one.seq) for one in await stored(journal)] == [(subject("a"), seq) for seq in (1, 2, 3, 4)]


async def test_appends_at_once_leave_in_few_groups(journal: Journal, commits: GroupCommit) -> None:
    before = group_count()
    cases = [f"c{number}" for number in range(300)]
    positions = await asyncio.gather(*(commits.append(change(case)) for case in cases))
    assert 1 <= group_count() - before <= 3
    assert sorted(positions) == [[seq] for seq in range(1, 301)]
    found = await events(journal)
    assert {event.entity_id: [event.seq] for event in found} == dict(zip(cases, positions, strict=True))
    # those of one group have one recorded time and stand together
    assert len(list(groupby(event.recorded for event in found))) == group_count() - before


async def test_appends_one_after_the_other_keep_their_order_though_all_wait(journal: Journal, commits: GroupCommit) -> None:
    before, count = group_count(), 2_500
    await asyncio.gather(*(commits.append(change(f"c{number}")) for number in range(count)))
    assert group_count() - before <= 4
    assert [event.entity_id for event in await events(journal)] == [f"c{number}" for number in range(count)]


async def test_of_two_appends_on_one_subject_one_wins_and_the_other_is_told_the_subject(
    journal: Journal, commits: GroupCommit
) -> None:
    for round_ in range(20):
        won, lost = await outcomes(commits, [change(f"c{round_}", serial="1"), change(f"c{round_}", serial="2")])
        assert won == [round_ + 1]
        assert isinstance(lost, Conflict)
        assert lost.subjects == [subject(f"c{round_}")]
    assert await journal.last_seq() == 20


@pytest.mark.parametrize("culprits", [1, 50, 100])
@pytest.mark.parametrize("count", [1, 3])  # events of each append
async def test_the_innocent_land_and_the_culprits_are_told(
    journal: Journal, commits: GroupCommit, culprits: int, count: int
) -> None:
    cases = [f"c{number}" for number in range(100)]
    await asyncio.gather(*(commits.append(change(case)) for case in cases))
    guilty = set(cases[:: 100 // culprits])
    told = await outcomes(
        commits, [change(case, 0 if case in guilty else seq, 2, count) for seq, case in enumerate(cases, 1)]
    )
    for case, outcome in zip(cases, told, strict=True):
        if case in guilty:
            assert isinstance(outcome, Conflict)
            assert outcome.subjects == [subject(case)]
            assert len(await journal.load(subject(case))) == 1
        else:
            assert [event.seq for event in await journal.load(subject(case))][1:] == outcome
    assert await journal.last_seq() == 100 + count * (100 - culprits)


@pytest.mark.parametrize("overtaken_by", ["this appender", "another"])
async def test_what_was_decided_on_held_cases_lands_unless_they_moved_on(
    journal: Journal, commits: GroupCommit, overtaken_by: str
) -> None:
    cases = [f"c{number}" for number in range(40)]
    await asyncio.gather(*(commits.append(change(case)) for case in cases))
    decided = [replace(change(case, seq, 2), held=True) for seq, case in enumerate(cases, 1)]
    if overtaken_by == "another":
        async with GroupCommit(journal) as other:
            await other.append(change("c7", 8, 2, serial="another"))
    else:
        await commits.append(change("c7", 8, 2, serial="another"))
    told = await outcomes(commits, decided)
    assert [number for number, outcome in enumerate(told) if isinstance(outcome, Conflict)] == [7]
    assert await journal.last_seq() == 40 + 1 + 39
    batch = [one.headers or {} for one in (await stored(journal))[41:]]
    assert [name for headers in batch for name in headers if name.startswith("Nats-Expected")] == [
        "Nats-Expected-Last-Sequence"  # of the first; nothing that makes the server open the blocks of all 40
    ]


async def test_what_belongs_together_is_stored_together_or_not_at_all(journal: Journal, commits: GroupCommit) -> None:
    """A submission and its claim: either conflict refuses both."""
    await commits.append(change("taken"))
    assert await commits.append(change("a"), change("claim-a", count=2)) == [2, 3, 4]
    for pair in ((change("b"), change("taken")), (change("taken"), change("b"))):
        with pytest.raises(Conflict) as lost:
            await commits.append(*pair)
        assert lost.value.subjects == [subject("taken")]
    with pytest.raises(Conflict) as lost:
        await commits.append(change("taken"), change("a"))
    assert lost.value.subjects == [subject("taken"), subject("a")]
    assert await journal.last_seq() == 4


async def test_all_that_moved_on_is_told_though_the_appender_saw_but_some_of_it(
    journal: Journal, commits: GroupCommit
) -> None:
    await commits.append(change("a"))
    async with GroupCommit(journal) as new_writer:
        await new_writer.append(change("b"))
        with pytest.raises(Conflict) as lost:
            await new_writer.append(change("a"), change("b"))
    assert lost.value.subjects == [subject("a"), subject("b")]
    assert await journal.last_seq() == 2


async def test_of_many_claims_on_one_resident_one_is_stored_with_its_case(journal: Journal, commits: GroupCommit) -> None:
    told = await asyncio.gather(
        *(commits.append(change(f"c{number}"), change("resident", serial=f"{number}")) for number in range(40)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in told].count(Conflict) == 39
    assert all(outcome.subjects == [subject("resident")] for outcome in told if isinstance(outcome, Conflict))
    (won,) = [(number, outcome) for number, outcome in enumerate(told) if isinstance(outcome, list)]
    assert won[1] == [1, 2]
    assert [one.subject for one in await stored(journal)] == [subject(f"c{won[0]}"), subject("resident")]


async def test_recorded_time_never_goes_back(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    noon = datetime(2026, 1, 5, 5, tzinfo=UTC)
    shown = [noon + timedelta(seconds=second) for second in (0, 5, -3_600, 4, 6, -86_400)]
    clock = iter(shown)

    class SetBack(datetime):
        @classmethod
        def now(cls, _: object = None) -> datetime:  # type: ignore[override]
            return next(clock)

    monkeypatch.setattr(group_commit, "datetime", SetBack)
    for some in ("abc", "def"):  # the second appender starts anew, and its clock goes back again
        async with GroupCommit(journal) as commits:
            for case in some:
                await commits.append(change(case))
    assert next(clock, None) is None  # every time was asked for
    recorded = [event.recorded for event in await events(journal)]
    assert [time - noon for time in recorded if time] == [timedelta(seconds=second) for second in (0, 5, 5, 5, 6, 6)]


async def test_the_same_id_with_other_content_has_not_landed(journal: Journal, commits: GroupCommit) -> None:
    await commits.append(change("a", serial="1"))
    with pytest.raises(Conflict):
        await commits.append(change("a", serial="2"))
    assert await journal.last_seq() == 1


@pytest.mark.parametrize("how", ["drop", "cut"])
@pytest.mark.parametrize(
    ("rounds", "at_once"), [(10, 10), (5, 20), (1, 100)]
)  # below 12 they go one by one, else as a batch
async def test_of_100_appends_whose_answer_is_lost_each_is_stored_once_and_told_so(
    server: NatsServer, journal: Journal, how: Literal["drop", "cut"], rounds: int, at_once: int
) -> None:
    answers = at_once if at_once < BATCH_PAYS_FROM else 1  # of a round
    history = History()
    async with lossy_link(server) as (link, url), connected_writer(server, url) as connection:
        link.how = how
        async with GroupCommit(Journal(connection, timeout_s=0.3)) as commits:
            for round_ in range(rounds):
                link.to_lose = answers if how == "drop" else 1  # with the connection go all
                cases = [f"c{round_}-{number}" for number in range(at_once)]
                await asyncio.gather(*(history.append(commits, change(case)) for case in cases))
                assert link.to_lose == 0
        assert len(link.lost) == rounds * (answers if how == "drop" else 1)
        assert connection.stats["reconnects"] == (0 if how == "drop" else rounds)
    assert history.acknowledged == 100
    assert history.findings(await stored(journal)) == []
