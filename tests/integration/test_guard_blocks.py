"""The server's block files: read as it wrote them, and what the guard relies on of how it treats them."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from infra.data_folder import DataFolder
from infra.group_commit import GroupCommit
from infra.guard.blocks import Damage, Record, block_files, records
from infra.journal import STREAM, Journal, Stored
from infra.nats_configuration import stream_directory
from infra.nats_server import NatsServer, start
from tests.support import change, connected_writer, kill, stored

LONG = "x" * 700
APPEND = 500


async def append(server: NatsServer, first: int, count: int) -> list[Stored]:
    """Events of cases that are new; the journal after that."""
    async with connected_writer(server) as connection:
        journal = Journal(connection)
        await journal.create()
        async with GroupCommit(journal) as commits:
            for start_at in range(first, first + count, APPEND):
                await commits.append(*(change(f"c{at}", serial=LONG) for at in range(start_at, start_at + APPEND)))
        return await stored(journal)


def blocks(folder: DataFolder) -> Path:
    return stream_directory(folder, STREAM) / "msgs"


def closed(folder: DataFolder) -> dict[str, str]:
    return {file.name: sha256(file.read_bytes()).hexdigest() for _, file in block_files(blocks(folder))[:-1]}


async def test_closed_blocks_never_change_whatever_becomes_of_the_server(folder: DataFolder) -> None:
    server = await start(folder)
    await append(server, 0, 20_000)
    was = closed(folder)
    assert len(was) >= 2
    await server.stop()
    server = await start(folder)
    await append(server, 20_000, 2_000)
    await kill(server)
    server = await start(folder)
    everything = await append(server, 22_000, 6_000)
    await kill(server)
    now = closed(folder)
    assert len(now) > len(was)
    assert was.items() <= now.items()
    found = list(records(blocks(folder), STREAM))
    assert [(each.seq, each.subject, each.body) for each in found if isinstance(each, Record)] == [
        (each.seq, each.subject, each.body) for each in everything
    ]
    assert all(each.is_sound(STREAM) for each in found[::97] if isinstance(each, Record))


def flip_length(content: bytearray, at: int) -> None:
    content[at] ^= 4


def lengthen(content: bytearray, at: int) -> None:
    content[at + 2] ^= 1


def flip_sequence(content: bytearray, at: int) -> None:
    content[at + 6] ^= 1


def overwrite(content: bytearray, at: int) -> None:
    content[at : at + 30] = b"\xff" * 30


def cut_out(content: bytearray, at: int) -> None:
    del content[at : at + 100]


@pytest.mark.parametrize("seq", [1, 250, APPEND])
@pytest.mark.parametrize(
    ("damage", "is_mended"),
    [(flip_length, True), (lengthen, True), (flip_sequence, True), (overwrite, False), (cut_out, False)],
)
async def test_after_damage_the_walk_finds_step_again_at_the_next_whole_record(
    server: NatsServer, folder: DataFolder, seq: int, damage: Callable[[bytearray, int], None], is_mended: bool
) -> None:
    before = await append(server, 0, APPEND)
    await server.stop()
    ((_, file),) = block_files(blocks(folder))
    content = bytearray(file.read_bytes())
    damage(content, content.index(seq.to_bytes(8, "little")) - 4)
    file.write_bytes(content)

    found = list(records(blocks(folder), STREAM))
    assert [each.seq for each in found] == list(range(1, APPEND + 1))
    (damaged,) = (each for each in found if isinstance(each, Damage))
    assert damaged.seq == seq
    assert (damaged.mended and damaged.mended.body) == (before[seq - 1].body if is_mended else None)
    if seq < APPEND or is_mended:
        assert damaged.why == "damaged"


async def test_a_file_that_ends_within_a_record_is_torn(server: NatsServer, folder: DataFolder) -> None:
    await append(server, 0, APPEND)
    await server.stop()
    ((_, file),) = block_files(blocks(folder))
    whole = file.read_bytes()
    last = whole.index(APPEND.to_bytes(8, "little")) - 4
    for end in (last + 1, last + 40, len(whole) - 1):
        file.write_bytes(whole[:end])
        assert list(records(blocks(folder), STREAM))[-1] == Damage(APPEND, 1, "torn", None)
    file.write_bytes(whole[:last] + bytes(500))
    assert list(records(blocks(folder), STREAM))[-1] == Damage(APPEND, 1, "torn", None)
