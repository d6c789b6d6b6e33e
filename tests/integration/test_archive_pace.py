"""An import does not run away from the archive, nor is it held up by one that stands still."""

import asyncio

import pytest

from infra.data_folder import DataFolder
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_connection import end
from projections.audit_log import AuditLog
from services.cli import archive_pace
from services.cli.archive_pace import wait_for_archive
from tests.support import change


async def test_who_is_far_ahead_of_the_archive_waits_for_its_next_checkpoint(
    journal: Journal, commits: GroupCommit, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_pace, "UNSIGNED_EVENTS_MAX", 50)
    await commits.append(*(change(f"c{number}") for number in range(50)))
    assert await wait_for_archive(folder, journal)  # though nothing is archived

    await commits.append(change("another"))
    waiting = asyncio.create_task(wait_for_archive(folder, journal))
    await asyncio.sleep(0.5)
    assert not waiting.done()
    audit_log = AuditLog(journal, folder)
    archiving = asyncio.create_task(audit_log.run())
    assert await waiting
    assert audit_log.signed_size == 51
    await end(archiving)


async def test_an_archive_that_stands_still_is_not_waited_for(
    journal: Journal, commits: GroupCommit, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_pace, "UNSIGNED_EVENTS_MAX", 50)
    monkeypatch.setattr(archive_pace, "_STANDSTILL_S_MAX", 0.3)
    await commits.append(*(change(f"c{number}") for number in range(51)))
    assert not await wait_for_archive(folder, journal)
