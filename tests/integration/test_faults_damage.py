"""Random damage to the files of a folder that lies still: found before a new event is accepted, or shown to harm nothing.

EKTP_DAMAGE_TRIALS: how many; EKTP_DAMAGE_SEED: which, to do again what failed. What became of them is printed (pytest -s).
"""

import asyncio
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from random import Random, SystemRandom

import pytest

from infra.data_folder import DataFolder, open_folder
from infra.database import open_sqlite
from infra.group_commit import GroupCommit
from infra.guard.halt import Halted, halted, require_recordable
from infra.guard.restore import restore
from infra.guard.start import start_guarded
from infra.journal import STREAM, Journal
from infra.journal_errors import JournalDamaged
from infra.nats_configuration import stream_directory
from infra.nats_connection import end
from projections.audit_log import AuditLog
from projections.compare import compare
from projections.runner import Runner
from projections.views import Views
from services.audit.trail import find_trail
from services.audit.verify import verify_stopped
from services.reader import VIEWS
from services.scrub import Scrub
from tests.damage import Prepared, harm, plan, prepare, signed
from tests.support import change, connected_writer, stored

TRIALS = int(os.environ.get("EKTP_DAMAGE_TRIALS", "12"))
SEED = os.environ.get("EKTP_DAMAGE_SEED") or str(SystemRandom().randrange(10**6))
PLANNED = plan(TRIALS, Random(SEED))


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    """By kind of stop."""
    return prepare(tmp_path_factory.mktemp("damage"))


@pytest.fixture(scope="module")
def outcomes() -> Iterator[Counter[tuple[str, str, str, str]]]:
    """Printed in the end: how often what became of which damage."""
    outcomes = Counter[tuple[str, str, str, str]]()
    yield outcomes
    print(f"\nEKTP_DAMAGE_SEED={SEED}")
    for (kind, what, stop, outcome), count in sorted(outcomes.items()):
        print(f"| {kind} | {what} | {stop} | {outcome} | {count} |")


@asynccontextmanager
async def served(folder: DataFolder) -> AsyncIterator[Journal]:
    """The journal behind the guard, as its writer; stopped in good order."""
    server = await start_guarded(folder)
    try:
        async with connected_writer(server) as connection:
            journal = Journal(connection)
            await journal.create()
            yield journal
    finally:
        await server.stop()


@pytest.mark.parametrize("trial", range(TRIALS))
async def test_damage_is_found_before_a_new_event_is_accepted_or_harms_nothing(
    trial: int,
    prepared: dict[str, Prepared],
    outcomes: Counter[tuple[str, str, str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stop, kind, what = PLANNED[trial]
    before = prepared[stop]
    monkeypatch.setattr("projections.audit_log.SIGN_S", 0.05)
    folder = open_folder(shutil.copytree(before.path, tmp_path / "data"))
    where = harm(folder, before.older, kind, what, Random(f"{SEED} {trial}"))
    print(f"EKTP_DAMAGE_SEED={SEED} trial {trial}: {kind} {what} after {stop}: {where}")
    outcome = await became_of(open_folder(folder.path), before) if where else "no such file"
    outcomes[kind, what, stop, outcome] += 1


async def became_of(folder: DataFolder, before: Prepared) -> str:
    """Start, and look at everything that anybody could rely on."""
    outcome, gone = "harmless", not (stream_directory(folder, STREAM) / "msgs" / "1.blk").exists()
    async with served(folder) as journal:
        if halted(folder):
            outcome = "halted"
            with pytest.raises((Halted, JournalDamaged)):  # the second where not even the newest event can be read
                async with GroupCommit(journal, may_append=partial(require_recordable, folder)) as commits:
                    await commits.append(change("new"))
        else:
            assert await stored(journal) == before.acknowledged
    if outcome == "halted":
        done = await restore(folder)
        assert done.restored >= before.signed
        assert done.restored + done.lost == len(before.acknowledged)
        outcome = f"halted; {'some unsigned' if done.lost else 'none'} lost, and named"
    elif gone or list(folder.aside.glob("EKTP*")):
        outcome = "journal rebuilt"
    elif list(folder.aside.glob("views-*")):
        outcome = "views built anew"
    async with served(folder) as journal:
        there = await stored(journal)
        assert there == before.acknowledged[: done.restored if "halted" in outcome else None]
        outcome += await views_mended(journal, folder) + await log_mended(journal, folder)
        async with GroupCommit(journal, may_append=partial(require_recordable, folder)) as commits:
            assert await commits.append(change("new")) == [len(there) + 1]
    verdict = verify_stopped(find_trail(folder.path), None, lambda _: None)
    assert (verdict.ok, verdict.size, verdict.unanchored) == (True, len(there), 1)
    return outcome


async def views_mended(journal: Journal, folder: DataFolder) -> str:
    """Bring the views to the head as the reader does, and compare. "" where nothing was wrong with them."""
    if not (found := await compared(journal, folder)):
        return ""
    for file in folder.views.iterdir():
        file.unlink()
    assert not await compared(journal, folder)
    return f"; views told by compare: {found}"


async def compared(journal: Journal, folder: DataFolder) -> str:
    engine = open_sqlite(folder.views / "views.sqlite")
    try:
        runner = Runner(journal, engine, Views(engine, VIEWS), told=False)
        following = asyncio.create_task(runner.run())
        arriving = asyncio.create_task(runner.wait_for(await journal.last_seq(), 10))
        try:
            await asyncio.wait({following, arriving}, return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
                return str(runner.stopped_by)
            assert arriving.result()
        finally:
            await end(following, arriving)
        found = await compare(journal, engine, VIEWS)
        return "rows differ" if found.count else ""
    finally:
        engine.dispose()


async def log_mended(journal: Journal, folder: DataFolder) -> str:
    """Bring the log to the head as the reader does, and scrub it. "" where nothing was wrong with it."""
    audit_log = AuditLog(journal, folder)
    following = asyncio.create_task(audit_log.run())
    try:
        async with asyncio.timeout(20):
            while audit_log.signed_size < await journal.last_seq():
                assert audit_log.stopped_by is None, audit_log.stopped_by
                await asyncio.sleep(0.02)
        mended = "; log mended" if list(folder.aside.glob("log-*")) else ""
        scrub = Scrub(journal, folder, audit_log)
        verdict = await scrub.scrub()
        if not verdict["ok"]:
            assert verdict["files"], verdict  # of the log, and nothing of the journal
            mended = "; log told by scrub, mended"
            async with asyncio.timeout(20):
                while not list(folder.aside.glob("log-*")) or signed(folder.path) < await journal.last_seq():
                    await asyncio.sleep(0.05)
            verdict = await scrub.scrub()
        assert verdict["ok"], verdict
        assert await audit_log.finish(20)
        return mended
    finally:
        await end(following)
