"""The log follows the journal, is signed while events come, mends itself from the journal, and never contradicts itself."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from infra.data_folder import DataFolder
from infra.group_commit import GroupCommit
from infra.guard.halt import Halted, require_recordable
from infra.journal import Journal
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.identity import log_signer
from infra.tlog.tiles import Tiles, read_head, tile_path
from projections.audit_log import AuditLog
from tests.support import change, stored


@asynccontextmanager
async def running(journal: Journal, folder: DataFolder) -> AsyncIterator[AuditLog]:
    audit_log = AuditLog(journal, folder)
    following = asyncio.create_task(audit_log.run())
    yield audit_log
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def append(commits: GroupCommit, first: int, count: int) -> None:
    await asyncio.gather(*(commits.append(change(f"c{number}")) for number in range(first, first + count)))


async def assert_log_is_journal(journal: Journal, folder: DataFolder) -> None:
    head = read_head(folder.log)
    assert head
    assert head[1].signed_by([log_signer(folder).verifier])
    tiles, bodies = Tiles(folder.log, head[0]), [one.body for one in await stored(journal)]
    assert [entry for number in range((tiles.size + 255) // 256) for entry in tiles.entries(number)] == bodies


async def test_what_comes_is_archived_and_signed_by_itself(
    journal: Journal, commits: GroupCommit, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("projections.audit_log.SIGN_S", 0.1)
    async with running(journal, folder) as audit_log:
        for first, count in ((0, 1), (1, 300), (301, 700)):
            await append(commits, first, count)
            async with asyncio.timeout(10):
                while audit_log.signed_size < first + count:
                    await asyncio.sleep(0.02)
            await assert_log_is_journal(journal, folder)


async def test_a_stop_in_good_order_leaves_nothing_unsigned_and_the_next_life_goes_on(
    journal: Journal, commits: GroupCommit, folder: DataFolder
) -> None:
    for first in (0, 500):
        await append(commits, first, 500)
        async with running(journal, folder) as audit_log:
            assert await audit_log.finish(10)
        await assert_log_is_journal(journal, folder)


@pytest.mark.parametrize("damage", ["a tile", "the archive", "the checkpoint", "all of it", "an older copy"])
async def test_a_damaged_log_is_made_anew_from_the_journal_and_is_the_same_tree(
    journal: Journal, commits: GroupCommit, folder: DataFolder, damage: str
) -> None:
    await append(commits, 0, 400)
    async with running(journal, folder) as audit_log:
        assert await audit_log.finish(10)
    shutil.copytree(folder.log, folder.path / "older")
    await append(commits, 400, 300)
    async with running(journal, folder) as audit_log:
        assert await audit_log.finish(10)
    before = read_head(folder.log)
    assert before
    match damage:
        case "a tile":
            (folder.log / tile_path(1, 0, 2)).write_bytes(bytes(64))
        case "the archive":
            (folder.log / "tile" / "entries" / "002.p" / "188.zst").write_bytes(b"not a bundle")
        case "the checkpoint":
            (folder.log / "checkpoint").write_text("ektp/3672/1\n999\n")
        case _:
            shutil.rmtree(folder.log)
            shutil.copytree(folder.path / "older", folder.log) if damage == "an older copy" else folder.log.mkdir()
    async with running(journal, folder) as audit_log:
        assert await audit_log.finish(10)
    await assert_log_is_journal(journal, folder)
    after = read_head(folder.log)
    assert after
    assert after[0] == before[0]


async def test_a_disk_that_does_not_take_a_file_delays_the_log_and_harms_it_not(
    journal: Journal, commits: GroupCommit, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = 3
    monkeypatch.setattr("projections.audit_log._AGAIN_S", 0.01)

    def failing(*_: object) -> None:
        nonlocal failures
        failures -= 1
        if not failures:
            monkeypatch.undo()
        raise OSError(28, "No space left on device")

    await append(commits, 0, 600)
    async with running(journal, folder) as audit_log:
        monkeypatch.setattr("infra.tlog.writer.write_durably", failing)
        assert await audit_log.finish(10)
    assert failures == 0
    await assert_log_is_journal(journal, folder)


@pytest.mark.parametrize(("size", "first_wrong"), [(100, 1), (900, 601)])  # another tree, a shorter journal
async def test_a_journal_that_is_not_what_was_signed_stops_the_log_before_it_signs_and_halts_the_backbone(
    journal: Journal, commits: GroupCommit, folder: DataFolder, size: int, first_wrong: int
) -> None:
    known = Checkpoint("ektp/3672/1", size, bytes(32))
    (folder.keys / "checkpoint").write_text(str(known.signed(log_signer(folder))))
    await append(commits, 0, 600)
    async with running(journal, folder) as audit_log, asyncio.timeout(10):
        while audit_log.stopped_by is None:
            await asyncio.sleep(0.02)
        assert audit_log.stopped_by.code == "journal_damaged"
    assert read_head(folder.log) is None
    with pytest.raises(Halted) as why:
        require_recordable(folder)
    assert (why.value.seq, why.value.known) == (first_wrong, size)
