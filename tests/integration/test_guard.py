"""What the disk did to the journal's files while no server ran: put back before a new event is accepted, or halted."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from infra.data_folder import DataFolder
from infra.database import create_tables, open_sqlite
from infra.group_commit import GroupCommit
from infra.guard.aside import copy_aside, move_store_aside
from infra.guard.blocks import block_files
from infra.guard.halt import Halted, halted, require_recordable
from infra.guard.inspection import inspect, record_good_blocks
from infra.guard.restore import restore
from infra.guard.start import start_guarded
from infra.journal import Journal, Stored
from infra.nats_configuration import pid_file, stream_directory
from infra.nats_server import ServerDidNotStart, start
from infra.tlog.identity import log_signer
from infra.tlog.writer import LogWriter
from projections import coverage, positions, sla, status
from services.audit.trail import find_trail
from services.audit.verify import verify_stopped
from tests.support import change, connected_writer, kill, stored

COUNT = 1_200
LOGGED = 1_000


def store(folder: DataFolder) -> Path:
    return stream_directory(folder, "EKTP")


def newest_block(folder: DataFolder) -> Path:
    return block_files(store(folder) / "msgs")[-1][1]


def at(folder: DataFolder, seq: int) -> tuple[Path, int]:
    """The block that holds this record, and where the record begins."""
    for _, file in block_files(store(folder) / "msgs"):
        content = file.read_bytes()
        found = content.find(seq.to_bytes(8, "little"))
        if found >= 4:
            return file, found - 4
    raise AssertionError(f"no record {seq}")


def flip(file: Path, at: int, bit: int = 1) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= bit
    file.write_bytes(content)


@asynccontextmanager
async def opened(folder: DataFolder) -> AsyncIterator[tuple[Journal, GroupCommit]]:
    """The journal behind the guard, and its appender; stopped in good order."""
    server = await start_guarded(folder)
    try:
        async with connected_writer(server) as connection:
            journal = Journal(connection)
            await journal.create()
            async with GroupCommit(journal, may_append=lambda: require_recordable(folder)) as commits:
                yield journal, commits
    finally:
        await server.stop()


async def filled(folder: DataFolder, killed: bool, logged: int = LOGGED) -> list[Stored]:
    """A journal of COUNT events, the first `logged` of them in the log; stopped in good order, or killed."""
    server = await start_guarded(folder)
    async with connected_writer(server) as connection:
        journal = Journal(connection)
        await journal.create()
        async with GroupCommit(journal) as commits:
            for first in range(0, COUNT, 400):
                await commits.append(*(change(f"c{number}") for number in range(first, first + 400)))
        everything = await stored(journal)
    await (kill(server) if killed else server.stop())
    archive = LogWriter(folder.log, log_signer(folder))
    archive.add([event.body for event in everything[:logged]])
    archive.sign()
    return everything


def in_the_body(folder: DataFolder, seq: int) -> None:
    file, begins = at(folder, seq)
    flip(file, begins + 400)


def in_the_time(folder: DataFolder, seq: int) -> None:
    file, begins = at(folder, seq)
    flip(file, begins + 13)


def in_the_sequence(folder: DataFolder, seq: int) -> None:
    file, begins = at(folder, seq)
    flip(file, begins + 4, 64)


def in_the_length(folder: DataFolder, seq: int) -> None:
    file, begins = at(folder, seq)
    flip(file, begins + 1)


@pytest.mark.parametrize("damage", [in_the_body, in_the_time, in_the_sequence, in_the_length])
@pytest.mark.parametrize("killed", [True, False])
async def test_a_flipped_bit_under_the_log_is_put_back(
    folder: DataFolder, killed: bool, damage: Callable[[DataFolder, int], None]
) -> None:
    before = await filled(folder, killed)
    damage(folder, 700)
    async with opened(folder) as (journal, commits):
        assert await stored(journal) == before
        assert await commits.append(change("new")) == [COUNT + 1]
    assert not halted(folder)
    assert list(folder.aside.glob("EKTP-*.block"))
    async with opened(folder) as (journal, _):
        assert await journal.last_seq() == COUNT + 1


@pytest.mark.parametrize("damage", [in_the_sequence, in_the_length])
async def test_a_length_or_sequence_beyond_the_log_is_put_right_from_its_neighbours(
    folder: DataFolder, damage: Callable[[DataFolder, int], None]
) -> None:
    before = await filled(folder, killed=True)
    damage(folder, 1_100)
    damage(folder, COUNT)
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before
    assert not halted(folder)


def roll_back(folder: DataFolder) -> None:
    newest = newest_block(folder)
    newest.write_bytes(newest.read_bytes()[: at(folder, 500)[1]])
    (store(folder) / "msgs" / "index.db").unlink(missing_ok=True)


def delete(folder: DataFolder) -> None:
    shutil.rmtree(store(folder))


def empty(folder: DataFolder) -> None:
    for _, file in block_files(store(folder) / "msgs"):
        file.unlink()


def overwrite_with_zeros(folder: DataFolder) -> None:
    newest = newest_block(folder)
    newest.write_bytes(bytes(newest.stat().st_size))


@pytest.mark.parametrize("damage", [roll_back, delete, empty, overwrite_with_zeros])
@pytest.mark.parametrize("killed", [True, False])
async def test_a_store_that_is_shorter_than_the_log_or_gone_is_built_anew(
    folder: DataFolder, killed: bool, damage: Callable[[DataFolder], None]
) -> None:
    before = await filled(folder, killed, logged=COUNT)
    damage(folder)
    async with opened(folder) as (journal, commits):
        assert await stored(journal) == before
        assert await commits.append(change("new")) == [COUNT + 1]
    assert not halted(folder)


@pytest.mark.parametrize("name", ["meta.inf", "meta.sum", "msgs/index.db"])
@pytest.mark.parametrize("killed", [True, False])
async def test_damage_to_what_the_server_keeps_beside_the_events_loses_none(
    folder: DataFolder, killed: bool, name: str
) -> None:
    before = await filled(folder, killed)
    file = store(folder) / name
    if file.exists():
        flip(file, file.stat().st_size // 2, 16)
    else:
        file.write_bytes(b"nonsense")
    async with opened(folder) as (journal, commits):
        assert await stored(journal) == before
        assert await commits.append(change("new")) == [COUNT + 1]


@pytest.mark.parametrize("killed", [True, False])
async def test_a_stop_alone_needs_no_repair(folder: DataFolder, killed: bool) -> None:
    before = await filled(folder, killed)
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before
    assert list(folder.aside.iterdir()) == []


async def test_a_server_that_is_killed_while_it_is_compared_says_nothing_of_the_files(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await filled(folder, killed=True)

    async def killing(*_: object) -> str:
        os.kill(int(pid_file(folder).read_text()), signal.SIGKILL)
        await asyncio.sleep(60)
        return ""

    monkeypatch.setattr("infra.guard.start._compare", killing)
    with pytest.raises(ServerDidNotStart, match="killed while its journal was compared"):
        await start_guarded(folder)
    monkeypatch.undo()
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before
    assert list(folder.aside.iterdir()) == []


async def test_a_last_record_that_was_cut_by_a_power_failure_was_never_acknowledged(folder: DataFolder) -> None:
    before = await filled(folder, killed=True)
    file, begins = at(folder, COUNT)
    whole = file.read_bytes()
    next_seq = (COUNT + 1).to_bytes(8, "little")
    file.write_bytes(whole + (whole[begins : begins + 4] + next_seq + whole[begins + 12 :])[:300])
    async with opened(folder) as (journal, commits):
        assert await stored(journal) == before
        assert await commits.append(change("new")) == [COUNT + 1]
    assert list(folder.aside.iterdir()) == []


async def test_of_a_batch_without_its_end_nothing_stays(folder: DataFolder) -> None:
    before = await filled(folder, killed=True, logged=700)
    file, begins = at(folder, COUNT)
    file.write_bytes(file.read_bytes()[:begins])
    async with opened(folder) as (journal, commits):
        assert await stored(journal) == before[:800]
        assert await commits.append(change("new")) == [801]
    assert not halted(folder)


async def test_damage_beyond_the_log_halts_until_a_restore_names_what_is_lost(folder: DataFolder) -> None:
    before = await filled(folder, killed=True)
    in_the_body(folder, 1_150)
    for _ in range(2):  # a restart does not clear it
        async with opened(folder) as (journal, commits):
            assert await journal.last_seq() == 1_149
            with pytest.raises(Halted, match=r"event 1150 \(of 1200\) is lost"):
                await commits.append(change("new"))
    done = await restore(folder)
    assert (done.restored, done.lost, done.first_lost) == (1_149, 51, 1_150)
    assert done.set_aside
    async with opened(folder) as (journal, commits):
        assert await stored(journal) == before[:1_149]
        assert await commits.append(change("new")) == [1_150]
    assert (await restore(folder)).set_aside is None


async def test_what_is_missing_at_the_end_and_only_the_views_had_read_halts(folder: DataFolder) -> None:
    before = await filled(folder, killed=True)
    file, begins = at(folder, 1_150)
    file.write_bytes(file.read_bytes()[:begins])
    views = open_sqlite(folder.views / "views.sqlite")
    create_tables(views, [positions.TABLES])
    with views.begin() as db:
        for view, read in ((status, COUNT), (sla, COUNT), (coverage, 10**9)):  # one of them damaged, too
            positions.put(db, view, read, [])
    views.dispose()
    async with opened(folder) as (_, commits):
        with pytest.raises(Halted, match=r"event 1150 \(of 1200\) is lost"):
            await commits.append(change("new"))
    assert (await restore(folder)).restored == 1_149
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before[:1_149]


async def test_a_rebuild_that_was_cut_off_begins_again(folder: DataFolder) -> None:
    before = await filled(folder, killed=True)
    in_the_body(folder, 700)
    move_store_aside(folder)
    server = await start(folder)
    async with connected_writer(server) as connection:
        journal = Journal(connection)
        await journal.create()
        async with GroupCommit(journal) as commits:
            await commits.append(change("c0"))
    await kill(server)
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before


async def test_an_event_that_the_server_dropped_at_its_start_is_put_back_even_when_that_start_was_cut_off(
    folder: DataFolder,
) -> None:
    before = await filled(folder, killed=True)
    copy_aside(folder, [newest_block(folder)])
    file, begins = at(folder, 1_150)
    file.write_bytes(file.read_bytes()[:begins])
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before


async def test_a_damaged_log_beside_a_whole_journal_is_not_the_journals_damage(folder: DataFolder) -> None:
    before = await filled(folder, killed=False)
    for file in (folder.log / "tile").rglob("*"):
        if file.is_file():
            flip(file, file.stat().st_size // 2)
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before
    assert list(folder.aside.iterdir()) == []


async def test_damage_that_the_logs_hash_does_not_cover_never_goes_on_record_as_good(folder: DataFolder) -> None:
    before = await filled(folder, killed=False, logged=COUNT)
    in_the_time(folder, 700)
    record_good_blocks(folder, within_s=60)
    async with opened(folder) as (journal, _):
        assert await stored(journal) == before
    record_good_blocks(folder, within_s=60)
    assert inspect(folder).walked == []  # all is on record


async def test_a_flipped_bit_in_the_copy_of_the_last_checkpoint_halts_nobody(folder: DataFolder) -> None:
    before, copy = await filled(folder, killed=False, logged=COUNT), folder.keys / "checkpoint"
    origin, size, root, rest = (folder.log / "checkpoint").read_bytes().split(b"\n", 3)
    for damaged in ([origin, b"9" + size, root, rest], [origin, size, bytes([root[0] ^ 1]) + root[1:], rest]):
        copy.write_bytes(b"\n".join(damaged))
        async with opened(folder) as (journal, _):
            assert await stored(journal) == before
        assert not halted(folder)
        assert verify_stopped(find_trail(folder.path), None, lambda _: None).ok
