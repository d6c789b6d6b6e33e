"""One runner for all views: it follows the journal, says why it stops, and hands over to the next when it is gone."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from random import Random

import pytest
import sqlalchemy as sa

from events.application import Submitted
from infra.data_folder import DataFolder
from infra.database_beside import begun, open_beside
from infra.group_commit import GroupCommit
from infra.journal import Journal, Stored
from infra.journal_errors import JournalDamaged
from infra.journal_reader import read
from infra.nats_server import NatsServer
from projections import status
from projections.rebuild import Progress, rebuild
from projections.runner import Runner
from projections.views import Projection, Views
from tests.applications import OFFICE
from tests.command import eventually
from tests.databases import Applied, OnPostgres, OnSqlite, another_process, append, by_hand, made_up, told
from tests.support import change, damaged, events, subject

MOMENT_S = 5.0  # no view needs longer for what the tests append


@asynccontextmanager
async def running(journal: Journal, engine: sa.Engine, *views: Projection) -> AsyncIterator[Runner]:
    """A runner for as long as the block lasts."""
    runner = Runner(journal, engine, Views(engine, views))
    following = asyncio.create_task(runner.run())
    try:
        yield runner
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def follow(journal: Journal, engine: sa.Engine) -> None:
    """What the other process does."""
    await Runner(journal, engine, Views(engine, [status, Applied()])).run()


async def build(journal: Journal, engine: sa.Engine) -> None:
    """What it does to be killed over."""
    applied = Applied()
    serving = Runner(journal, engine, Views(engine, [applied]))
    await rebuild(journal, engine, serving, [applied], Progress())


def indexes(engine: sa.Engine) -> set[str | None]:
    found = sa.inspect(engine)
    return {index["name"] for table in found.get_table_names() for index in found.get_indexes(table)}


def nothing_is_beside(engine: sa.Engine) -> bool:
    if engine.dialect.name == "postgresql":
        return sa.inspect(engine).get_schema_names() == ["information_schema", "public"]
    files = Path(str(engine.url.database)).parent.iterdir()
    return not begun(engine) and not [file for file in files if "building" in file.name]


async def until_it_holds(runner: Runner, journal: Journal) -> list[int]:
    """Wait until the views are at the journal's head; all positions up to there."""
    head = await journal.last_seq()
    assert await runner.wait_for(head, MOMENT_S)
    return list(range(1, head + 1))


class RunnerCases:
    async def test_it_brings_the_views_to_the_head_and_keeps_them_there(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 1_200))
        async with running(journal, engine, status, applied := Applied()) as runner:
            await until_it_holds(runner, journal)
            for seed in (2, 3, 4):
                await append(commits, made_up(Random(seed), 40))
                assert applied.seqs(engine)[:1_200] == list(range(1, 1_201))
                assert await until_it_holds(runner, journal) == applied.seqs(engine)
        assert told(engine) == by_hand(await events(journal))

    async def test_of_two_runners_one_works_and_the_other_takes_over_when_it_ends(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        async with AsyncExitStack() as first_ends:
            first = await first_ends.enter_async_context(running(journal, engine, applied := Applied()))
            await append(commits, made_up(Random(1), 100))
            await until_it_holds(first, journal)
            async with running(journal, engine, never := Applied()) as second:
                never.cannot_take = set(range(1, 301))  # it would set aside whatever it is given
                await append(commits, made_up(Random(2), 100))
                assert await until_it_holds(second, journal) == applied.seqs(engine)  # it sees how far the first is
                await append(commits, made_up(Random(3), 100))
                await until_it_holds(first, journal)
                never.cannot_take = set()
                await first_ends.aclose()
                await append(commits, made_up(Random(4), 100))
                assert await until_it_holds(second, journal) == applied.seqs(engine)
                assert second.views.aside() == []

    async def test_a_runner_takes_over_from_one_that_was_killed(
        self, engine: sa.Engine, folder: DataFolder, server: NatsServer, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 100))
        applied = Applied()
        with another_process(follow, folder, server.url, engine) as process:
            await asyncio.to_thread(eventually, lambda: len(applied.seqs(engine)) == 100)
            async with running(journal, engine, status, applied) as second:
                applied.cannot_take = set(range(101, 201))
                await append(commits, made_up(Random(2), 100))
                assert await until_it_holds(second, journal) == applied.seqs(engine)  # by the first
                applied.cannot_take = set()
                process.kill()
                process.join()
                assert process.exitcode == -signal.SIGKILL
                await append(commits, made_up(Random(3), 100))
                assert await until_it_holds(second, journal) == applied.seqs(engine)
        assert told(engine) == by_hand(await events(journal))

    async def test_two_that_start_at_once_on_nothing_share_the_work(
        self, engine: sa.Engine, folder: DataFolder, server: NatsServer, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 100))
        begin = partial(another_process, follow, folder, server.url, engine)
        with begin() as first, begin() as second:
            async with running(journal, engine, status, applied := Applied()) as third:
                assert await until_it_holds(third, journal) == applied.seqs(engine)
                await append(commits, made_up(Random(2), 100))
                assert await until_it_holds(third, journal) == applied.seqs(engine)
            assert first.is_alive()
            assert second.is_alive()

    async def test_who_waits_for_the_other_is_told_when_nothing_moves(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        async with running(journal, engine, Applied()) as first:
            await append(commits, made_up(Random(1), 10))
            await until_it_holds(first, journal)
            async with running(journal, engine, Applied()) as second:
                async with first.writing, asyncio.timeout(5):
                    await append(commits, made_up(Random(2), 10))
                    assert not await second.wait_for(20, 1.2)
                await until_it_holds(second, journal)

    async def test_a_deleted_consumer_is_made_anew_and_nothing_is_left_out(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made: list[str] = []
        api = journal.api

        async def listening(call: str, body: dict[str, object] | None) -> dict[str, object]:
            if call.startswith("CONSUMER.CREATE."):
                made.append(call.removeprefix("CONSUMER.CREATE."))
            return await api(call, body)

        monkeypatch.setattr(journal, "api", listening)
        async with running(journal, engine, applied := Applied()) as runner:
            for seed in range(2):
                await append(commits, made_up(Random(seed), 1_500))
                assert (await api(f"CONSUMER.DELETE.{made[-1]}", None))["success"]
                await append(commits, made_up(Random(10 + seed), 20))
                assert await until_it_holds(runner, journal) == applied.seqs(engine)
        assert len(set(made)) == 3

    async def test_a_damaged_record_stops_it_in_clear_words(
        self, engine: sa.Engine, server: NatsServer, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 1_500))
        async with damaged(server, 1_200) as journal, running(journal, engine, status, applied := Applied()) as runner:
            assert await runner.wait_for(1_199, MOMENT_S)
            for _ in range(2):
                with pytest.raises(JournalDamaged, match="The history of event 1200 is damaged"):
                    await runner.wait_for(1_200, MOMENT_S)
            assert isinstance(runner.stopped_by, JournalDamaged)
            assert applied.seqs(engine) == list(range(1, 1_200))
            assert runner.views.aside() == []
            async with running(journal, engine, status, applied) as next_life:
                with pytest.raises(JournalDamaged, match="The history of event 1200 is damaged"):
                    await next_life.wait_for(1_500, MOMENT_S)
            assert applied.seqs(engine) == list(range(1, 1_200))

    async def test_a_view_that_is_further_than_the_journal_stops_it(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 100))
        async with running(journal, engine, Applied()) as runner:
            await until_it_holds(runner, journal)
        with engine.begin() as db:
            db.exec_driver_sql("update positions set position = 101")
        async with running(journal, engine, Applied()) as runner:
            with pytest.raises(JournalDamaged, match="the journal ends at 100, and this reader was at 101"):
                await runner.wait_for(102, MOMENT_S)

    async def test_a_retry_by_one_event_tries_its_case_alone(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        applied = Applied()
        applied.cannot_take = {2, 5}
        async with running(journal, engine, applied) as runner:
            for case in "abc":
                await commits.append(change(case, count=3))
            await until_it_holds(runner, journal)
            assert [row["seq"] for row in runner.views.aside()] == [2, 3, 5, 6]
            assert await runner.retry() == 0
            applied.cannot_take = set()
            assert await runner.retry(7) == 0
            assert await runner.retry(6) == 2
            assert [row["seq"] for row in runner.views.aside()] == [2, 3]
            assert await runner.retry() == 2
            await commits.append(change("a", expected_seq=3, first=4))
            await until_it_holds(runner, journal)
        assert applied.seqs(engine) == [1, 4, 7, 8, 9, 5, 6, 2, 3, 10]

    async def test_a_retry_never_passes_over_an_event_that_became_unreadable(
        self, engine: sa.Engine, server: NatsServer, journal: Journal, commits: GroupCommit
    ) -> None:
        applied = Applied()
        applied.cannot_take = {2}
        async with running(journal, engine, applied) as runner:
            await commits.append(change("a", count=4))
            await until_it_holds(runner, journal)
        applied.cannot_take = set()
        async with damaged(server, 2) as broken:
            assert await Runner(broken, engine, Views(engine, [applied])).retry() == 0
        assert applied.seqs(engine) == [1]


class RebuildCases:
    async def test_the_view_that_was_built_anew_takes_over_with_the_same_rows_and_leaves_nothing_beside(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 1_500))
        async with running(journal, engine, status, applied := Applied()) as serving:
            everything, before = await until_it_holds(serving, journal), indexes(engine)
            for views in ([status], [applied], [status, applied]):
                await rebuild(journal, engine, serving, views, progress := Progress())
                assert (progress.done, progress.position, progress.head) == (True, 1_500, 1_500)
                assert progress.events_per_second > 0
                assert progress.seconds_left == 0
                assert nothing_is_beside(engine)
                assert indexes(engine) == before
            assert before >= {index.name for table in status.TABLES.tables.values() for index in table.indexes}
            assert serving.views.position == 1_500
            assert applied.seqs(engine) == everything
            await append(commits, made_up(Random(2), 100))
            assert await until_it_holds(serving, journal) == applied.seqs(engine)
        assert told(engine) == by_hand(await events(journal))

    async def test_who_asks_meanwhile_sees_all_old_rows_or_all_new_ones(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        journaled = made_up(Random(1), 2_000)
        await append(commits, journaled)
        cases = sum(isinstance(event.fact, Submitted) for event in journaled)
        done, answers = threading.Event(), set[tuple[int, str, str]]()

        def ask() -> None:
            what = sa.select(sa.func.count(), sa.func.min(status.CASES.c.office), sa.func.max(status.CASES.c.office))
            while not done.is_set():
                with engine.connect() as db:
                    answers.add((*db.execute(what).one(),))

        async with running(journal, engine, status) as serving:
            await until_it_holds(serving, journal)
            with engine.begin() as db:
                db.execute(sa.update(status.CASES).values(office="old"))
            asking = asyncio.create_task(asyncio.to_thread(ask))
            try:
                await rebuild(journal, engine, serving, [status], progress := Progress())
                while len(answers) < 2 and not asking.done():
                    await asyncio.sleep(0.01)
            finally:
                done.set()
                await asking
        assert progress.done
        assert answers == {(cases, "old", "old"), (cases, OFFICE, OFFICE)}

    async def test_events_that_come_meanwhile_count_once(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 2_000))
        async with running(journal, engine, applied := Applied()) as serving:
            more = count(2)
            for _ in range(3):
                building = asyncio.create_task(rebuild(journal, engine, serving, [applied], Progress()))
                while not building.done():
                    await append(commits, made_up(Random(next(more)), 50))
                await building
                assert await until_it_holds(serving, journal) == applied.seqs(engine)

    async def test_what_was_set_aside_is_judged_anew_and_goes_over(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        for case in "abc":
            await commits.append(change(case, count=3))
        applied, other = Applied(), Applied("other")
        applied.cannot_take = other.cannot_take = {2, 5}
        async with running(journal, engine, applied, other) as serving:
            await until_it_holds(serving, journal)
            applied.cannot_take = {5, 9}
            await rebuild(journal, engine, serving, [applied], Progress())
            aside = [(row["projection"], row["seq"], row["why"]) for row in serving.views.aside()]
            assert [row for row in aside if row[0] == "applied"] == [
                ("applied", 5, "ValueError"),
                ("applied", 6, "follows"),
                ("applied", 9, "ValueError"),
            ]
            assert [seq for name, seq, _ in aside if name == "other"] == [2, 3, 5, 6]
            assert serving.views.marked["applied"] == {subject("b"), subject("c")}
            applied.cannot_take = set()
            assert await serving.retry() == 3
        assert applied.seqs(engine) == [1, 2, 3, 4, 7, 8, 5, 6, 9]

    async def test_a_build_that_was_killed_goes_on_where_it_was(
        self,
        engine: sa.Engine,
        folder: DataFolder,
        server: NatsServer,
        journal: Journal,
        commits: GroupCommit,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        await append(commits, made_up(Random(1), 9_000))
        async with running(journal, engine, applied := Applied()) as serving:
            everything = await until_it_holds(serving, journal)
            with another_process(build, folder, server.url, engine) as process:
                beside = open_beside(engine, ["applied"])
                await asyncio.to_thread(eventually, lambda: len(applied.seqs(beside)) >= 1_000)
                process.kill()
                process.join()
            assert process.exitcode == -signal.SIGKILL
            there = len(applied.seqs(beside))
            beside.dispose()
            assert 1_000 <= there < 9_000
            assert begun(engine) == [["applied"]]
            assert applied.seqs(engine) == everything
            begun_at: list[int] = []

            def noting(journal: Journal, after: int) -> AsyncIterator[list[Stored]]:
                begun_at.append(after)
                return read(journal, after)

            monkeypatch.setattr("projections.runner.read", noting)
            await rebuild(journal, engine, serving, [applied], Progress())
            assert begun_at == [there]
            assert nothing_is_beside(engine)
            assert applied.seqs(engine) == everything

    async def test_nothing_to_read_is_soon_built(self, engine: sa.Engine, journal: Journal, commits: GroupCommit) -> None:
        async with running(journal, engine, applied := Applied()) as serving, asyncio.timeout(5):
            await rebuild(journal, engine, serving, [applied], progress := Progress())
            assert progress.done
            await append(commits, made_up(Random(1), 10))
            assert await until_it_holds(serving, journal) == applied.seqs(engine)

    async def test_damage_stops_the_build_and_what_serves_stays(
        self, engine: sa.Engine, server: NatsServer, journal: Journal, commits: GroupCommit
    ) -> None:
        await append(commits, made_up(Random(1), 1_500))
        async with running(journal, engine, applied := Applied()) as serving:
            everything = await until_it_holds(serving, journal)
        async with damaged(server, 1_200) as broken, running(broken, engine, applied) as serving:
            with pytest.raises(JournalDamaged, match="The history of event 1200 is damaged"):
                await rebuild(broken, engine, serving, [applied], progress := Progress())
            assert not progress.done
        assert applied.seqs(engine) == everything


class TestRunnerOnSqlite(OnSqlite, RunnerCases):
    pass


class TestRunnerOnPostgres(OnPostgres, RunnerCases):
    async def test_connections_that_the_server_ends_are_made_anew(
        self, engine: sa.Engine, journal: Journal, commits: GroupCommit
    ) -> None:
        others = "select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid()"
        async with running(journal, engine, status, applied := Applied()) as runner:
            for seed in range(2):
                await append(commits, made_up(Random(seed), 1_000))
                with engine.connect() as db:
                    assert db.exec_driver_sql(others).scalar_one()
                await until_it_holds(runner, journal)
        assert applied.seqs(engine) == list(range(1, 2_001))
        assert told(engine) == by_hand(await events(journal))


class TestRebuildOnSqlite(OnSqlite, RebuildCases):
    pass


class TestRebuildOnPostgres(OnPostgres, RebuildCases):
    pass
