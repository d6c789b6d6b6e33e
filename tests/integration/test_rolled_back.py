"""A folder that was put back from a copy as a whole: nothing in it can know. Whoever cosigned its log does."""

import asyncio
import base64
import shutil
from pathlib import Path

from infra.data_folder import DataFolder, open_folder
from infra.group_commit import GroupCommit
from infra.guard.halt import halted
from infra.guard.start import start_guarded
from infra.journal import Journal
from infra.nats_connection import end
from infra.tlog import merkle
from infra.tlog.identity import log_signer
from infra.tlog.tiles import Tiles, read_head
from projections.audit_log import AuditLog
from services.audit.trail import find_trail
from services.audit.verify import verify_stopped
from services.witness import Answer, add_checkpoint
from services.witness_notes import trust
from tests.support import change, connected_writer

NOW = 1_800_000_000


async def live(folder: DataFolder, name: str, count: int) -> int:
    """One life, with so many new events, ended in good order; returns the position of the last."""
    server = await start_guarded(folder)
    async with connected_writer(server) as connection:
        journal = Journal(connection)
        await journal.create()
        audit_log = AuditLog(journal, folder)
        following = asyncio.create_task(audit_log.run())
        async with GroupCommit(journal) as commits:
            seqs = await commits.append(*(change(f"{name}{number}") for number in range(count)))
        assert await audit_log.finish(10)
        await end(following)
    await server.stop()
    return seqs[-1]


def ask(witness: DataFolder, folder: DataFolder, old: int) -> Answer:
    """To cosign the folder's newest checkpoint, as the continuation of `old` events."""
    head = read_head(folder.log)
    assert head
    checkpoint, note = head
    proof = merkle.consistency(old, checkpoint.size, Tiles(folder.log, checkpoint).perfect)
    lines = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
    return add_checkpoint(witness, f"old {old}\n{lines}\n{note}".encode(), NOW)


async def test_everything_rolled_back_at_once_is_found_by_the_witness_alone(folder: DataFolder, tmp_path: Path) -> None:
    witness = open_folder(tmp_path / "witness")
    trust(witness, log_signer(folder).verifier)
    assert await live(folder, "a", 40) == 40
    assert ask(witness, folder, 0).status == 200
    copy = shutil.copytree(folder.path, tmp_path / "copy")
    assert await live(folder, "b", 60) == 100
    assert ask(witness, folder, 40).status == 200

    shutil.rmtree(folder.path)
    shutil.move(copy, folder.path)
    assert await live(folder, "c", 60) == 100  # positions that other events had are given again, and nobody objects
    assert not halted(folder)
    assert not list(folder.aside.iterdir())
    verdict = verify_stopped(find_trail(folder.path), None, lambda _: None)
    assert (verdict.ok, verdict.size) == (True, 100)

    answer = ask(witness, folder, 40)
    assert (answer.status, answer.body) == (409, "100\n")
    assert ask(witness, folder, 100).status == 422
