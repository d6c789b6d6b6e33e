"""The journal as a reader of single cases sees it: whole histories or a clear error, whatever the disk did."""

import asyncio
import time

import pytest
from nats.aio.client import Client

from events.problem import Problem
from infra.group_commit import GroupCommit
from infra.journal import STREAM_CONFIG, Journal, raise_error
from infra.journal_errors import MEANING, JournalBusy, JournalDamaged, JournalFull, JournalRefused
from infra.nats_server import NatsServer, start
from tests.support import change, damaged, event_id, frozen, kill, subject


async def test_an_unknown_case_has_no_history(journal: Journal) -> None:
    assert await journal.load(subject("nobody")) == []
    assert await journal.last([subject("nobody")]) == {}
    assert (await journal.newest(), await journal.at(1), await journal.last_seq()) == (None, None, 0)


async def test_a_case_is_loaded_in_the_order_of_its_versions(journal: Journal, commits: GroupCommit) -> None:
    (first,) = await commits.append(change("a"))
    await commits.append(change("b"))
    await commits.append(change("a", first, first=2, count=2))
    history = await journal.load(subject("a"))
    assert [(event.id, event.version, event.seq) for event in history] == [
        (event_id("a", 1), 1, 1),
        (event_id("a", 2), 2, 3),
        (event_id("a", 3), 3, 4),
    ]
    assert [event.seq for event in await journal.load(subject("b"))] == [2]


@pytest.mark.parametrize("count", [1_000, 1_001, 2_300])
async def test_a_history_may_be_longer_than_one_answer(journal: Journal, commits: GroupCommit, count: int) -> None:
    last = 0
    for first in range(1, count + 1, 1_000):
        last = (await commits.append(change("a", last, first, min(1_000, count + 1 - first))))[-1]
    history = await journal.load(subject("a"))
    assert [event.version for event in history] == list(range(1, count + 1))
    assert [event.seq for event in history] == list(range(1, count + 1))


async def test_the_last_events_of_more_cases_than_one_answer_holds(journal: Journal, commits: GroupCommit) -> None:
    cases = [f"c{number}" for number in range(1_200)]
    positions = await asyncio.gather(*(commits.append(change(case, count=2)) for case in cases))
    last = await journal.last([subject(case) for case in [*cases, "nobody"]])
    assert {one.subject: one.seq for one in last.values()} == {
        subject(case): second for case, (_, second) in zip(cases, positions, strict=True)
    }
    newest = await journal.newest()
    assert newest
    assert newest == await journal.at(2_400) == last[newest.subject]
    assert await journal.at(2_401) is None


async def test_many_may_ask_at_once_and_first(connection: Client, commits: GroupCommit) -> None:
    await commits.append(change("a", count=3))
    fresh = Journal(connection)
    histories = await asyncio.gather(*(fresh.load(subject(case)) for case in "ab" * 50))
    assert [len(history) for history in histories] == [3, 0] * 50


CASES = (("a", 1), ("b", 1), ("a", 2), ("a", 3), ("b", 2), ("c", 1), ("a", 4))  # (case, version) by position


@pytest.mark.parametrize(
    ("seqs", "hurt"), [([1], "a"), ([3], "a"), ([4], "a"), ([7], "a"), ([2], "b"), ([5], "b"), ([6], "c"), ([2, 5, 6], "bc")]
)
async def test_a_case_with_an_unreadable_event_is_damaged_and_no_other(
    server: NatsServer, commits: GroupCommit, seqs: list[int], hurt: str
) -> None:
    last = dict.fromkeys("abc", 0)
    for case, version in CASES:
        (last[case],) = await commits.append(change(case, last[case], version))
    async with damaged(server, *seqs) as journal:
        for case in "abc":
            if case in hurt:
                with pytest.raises(JournalDamaged, match=subject(case)):
                    await journal.load(subject(case))
            else:
                assert [event.seq for event in await journal.load(subject(case))][-1] == last[case]
        assert await journal.load(subject("nobody")) == []


async def test_an_unreadable_last_event_is_no_sign_of_an_unknown_case(server: NatsServer, commits: GroupCommit) -> None:
    for case in "abc":
        await commits.append(change(case))
    async with damaged(server, 2) as journal:
        assert set(await journal.last([subject("a"), subject("c")])) == {subject("a"), subject("c")}
        for cases in ("b", "bx", "ab", "bc", "abc"):  # the server's answer differs by the order of positions
            with pytest.raises(JournalDamaged, match=subject("b")):
                await journal.last([subject(case) for case in cases])


async def test_a_long_history_without_its_last_event_is_damaged(server: NatsServer, commits: GroupCommit) -> None:
    last = (await commits.append(change("a", count=1_000)))[-1]
    await commits.append(change("a", last, first=1_001))
    async with damaged(server, 1_001) as journal:
        with pytest.raises(JournalDamaged, match=subject("a")):
            await journal.load(subject("a"))


async def test_nobody_appends_behind_an_unreadable_head(server: NatsServer, commits: GroupCommit) -> None:
    await commits.append(change("a", count=3))
    async with damaged(server, 3) as journal:
        with pytest.raises(JournalDamaged, match="event 3"):
            await journal.newest()
        with pytest.raises(JournalDamaged, match="event 3"):
            async with GroupCommit(journal):
                pass


async def test_making_the_stream_twice_is_fine(journal: Journal, commits: GroupCommit) -> None:
    await commits.append(change("a"))
    await journal.create()
    assert await journal.last_seq() == 1
    assert STREAM_CONFIG.items() <= (await journal.info())["config"].items()


async def test_a_stream_with_other_settings_is_refused(connection: Client) -> None:
    journal = Journal(connection)
    await journal.api("STREAM.CREATE.EKTP", STREAM_CONFIG | {"deny_delete": False})
    with pytest.raises(JournalRefused, match="different configuration") as refused:
        await journal.create()
    assert refused.value.err_code == 10058


async def test_a_server_that_does_not_answer_is_busy_within_the_bound(server: NatsServer, connection: Client) -> None:
    journal = Journal(connection, timeout_s=0.3)
    await journal.create()
    async with frozen(server):
        for ask in (
            journal.load(subject("a")),
            journal.last([subject("a")]),
            journal.newest(),
            journal.at(1),
            journal.info(),
        ):
            began = time.monotonic()
            with pytest.raises(JournalBusy) as busy:
                await ask
            assert 0.3 <= time.monotonic() - began < 1
            assert busy.value.stored == "nothing"
    assert await journal.load(subject("a")) == []


async def test_a_question_waits_for_a_server_that_is_started_again(
    server: NatsServer, journal: Journal, commits: GroupCommit
) -> None:
    await commits.append(change("a"))
    await kill(server)
    while not journal.connection.is_reconnecting:
        await asyncio.sleep(0.001)
    load, last_seq = asyncio.create_task(journal.load(subject("a"))), asyncio.create_task(journal.last_seq())
    again = await start(server.folder, server.port)
    assert [event.seq for event in await load] == [await last_seq] == [1]
    await again.stop()


@pytest.mark.parametrize(
    ("err_code", "meaning"),
    [
        *((code, "conflict") for code in (10071, 10164)),
        *((code, "again") for code in (10163, 10210, 10211, 10176)),
        (10201, "landed"),
        (10077, "full"),
        *((code, "ours") for code in (10193, 10227, 10111, 10166, 10110, 10057, 10174, 10175, 10177, 10179, 10199)),
    ],
)
def test_each_of_the_server_s_refusals_has_a_meaning_and_a_typed_error(err_code: int, meaning: str) -> None:
    assert MEANING.get(err_code, "ours") == meaning
    raised: dict[str, Problem] = {
        "again": JournalBusy(2, "nothing"),
        "full": JournalFull(f"{err_code} why"),
        # whoever gets these here asked for something that no append is
        **dict.fromkeys(("conflict", "landed", "ours"), JournalRefused(err_code, "why")),
    }
    with pytest.raises(Problem) as told:
        raise_error({"error": {"code": 400, "err_code": err_code, "description": "why"}, "stream": "EKTP", "seq": 0}, 2)
    assert (type(told.value), told.value.document()) == (type(raised[meaning]), raised[meaning].document())


def test_an_unknown_refusal_for_now_is_busy_and_none_is_none() -> None:
    with pytest.raises(JournalBusy):
        raise_error({"error": {"code": 503, "err_code": 19_999, "description": "not now"}}, 2)
    raise_error({"stream": "EKTP", "seq": 7}, 2)
