"""A disk that fills up while the backbone runs: it refuses in time and in clear words, and goes on when there is room.

Each test marked `on_a_small_disk` runs in a mount namespace of its own, where the data folder lies on a tmpfs that is made
larger and smaller: for us and for nats-server that is what it is when others fill the disk and free it.
"""

import asyncio
import csv
import functools
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from events.calendar import CALENDAR_V1
from events.stages import Kind
from infra import data_folder
from infra.data_folder import RECORD_MIB_MIN, DataFolder, open_folder, require_room
from infra.folder_errors import DiskNearlyFull
from infra.folder_lock import endpoint
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.journal_errors import JournalBusy
from infra.nats_server import NatsServer
from services.commands import Advance, Submit
from services.register.sample import cilegon
from tests.command import Up, ektp, eventually, head, history, running, somebody, submission
from tests.support import change
from tests.writing import writing

INSIDE = "EKTP_TEST_ON_A_SMALL_DISK"
WAYS = ("unshare -rm", "unshare -m")  # the first needs no root
PROBE = "mount -t tmpfs none /tmp"
ALONE = next((way for way in WAYS if subprocess.run(["sh", "-c", f"{way} {PROBE}"], check=False).returncode == 0), None)


def on_a_small_disk(test: Callable[[Path], None]) -> Callable[[Path], None]:
    """Runs the test once more by itself, there with a small disk at the path that it is given."""

    def alone(tmp_path: Path) -> None:
        if INSIDE in os.environ:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "none", tmp_path], check=True)
            test(tmp_path)
        else:
            pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "inside")]
            command = [*str(ALONE).split(), *pytest_, f"{__file__}::{test.__name__}"]
            run = subprocess.run(command, check=False, env=os.environ | {INSIDE: "1"}, capture_output=True, text=True)
            assert run.returncode == 0, run.stdout

    functools.update_wrapper(alone, test)
    del alone.__wrapped__  # type: ignore[attr-defined] # pytest would go by its arguments
    return pytest.mark.skipif(not ALONE, reason="a small disk needs `unshare -rm` and mount, refused here")(alone)


def leave(disk: Path, free_kib: int) -> None:
    """From now on the disk has this much room."""

    def resized() -> bool:
        now = os.statvfs(disk)
        used_kib = (now.f_blocks - now.f_bfree) * now.f_frsize >> 10
        command = ["mount", "-o", f"remount,size={used_kib + free_kib}k", "none", str(disk)]  # none: no old options again
        return subprocess.run(command, check=False, capture_output=True).returncode == 0

    eventually(resized)  # not where something was written in between and no longer fits


def disk_check(up: Up) -> tuple[bool, str]:
    """What the doctor says of the disk."""
    (check,) = (check for check in ektp(up.data, "doctor").document["checks"] if check["name"] == "disk")
    return check["ok"], check["says"]


@on_a_small_disk
def test_commands_are_refused_before_the_disk_is_full_and_taken_again_when_there_is_room(disk: Path) -> None:
    with running(disk / "data", "--http", 0) as up:
        first = submission("--idempotency-key", "first")
        receipt = ektp(up.data, *first).document["receipt"]
        assert disk_check(up)[0]

        leave(disk, 500 << 10)
        for words in (("record", receipt), submission()):
            refused = ektp(up.data, *words)
            assert refused.error == "disk_nearly_full"
            told = refused.document["error"]
            assert (told["status"], told["retryable"], told["needed_mib"], told["folder"]) == (507, True, 512, str(up.data))
            assert 495 <= told["free_mib"] <= 500
        english, indonesian = (ektp(up.data, "record", receipt, json=False, lang=lang).stderr for lang in ("en", "id"))
        assert "512 MiB are needed to record. Nothing was recorded. Free some disk, then send the same again" in english
        assert "untuk mencatat perlu 512 MiB. Belum ada yang dicatat. Kosongkan disk, lalu ulangi yang sama" in indonesian
        ok, says = disk_check(up)
        assert not ok
        assert "512 MiB are needed to record." in says
        (reason,) = httpx.get(f"{up.http}/readyz").json()["reasons"]
        assert "512 MiB are needed to record." in reason
        assert head(up.data) == 2
        assert ektp(up.data, *first).document["receipt"] == receipt  # it was done before, and needs no room
        assert ektp(up.data, "status", receipt).document["stage"] == "submitted"

        leave(disk, 600 << 10)
        assert ektp(up.data, "record", receipt).document["seq"] == 3
        assert ektp(up.data, *submission()).document["seq"] == 4
        assert disk_check(up)[0]
        assert httpx.get(f"{up.http}/readyz").json() == {"ok": True, "reasons": []}


@on_a_small_disk
def test_an_import_that_fills_the_disk_stops_in_time_and_is_taken_up_when_there_is_room(disk: Path) -> None:
    book = disk / "book.csv"
    book.write_text("".join(cilegon(0.006, 1)))
    rows = list(csv.DictReader(book.read_text().splitlines()))
    with running(disk / "data") as up:
        leave(disk, (RECORD_MIB_MIN << 10) + 3_000)
        stopped = ektp(up.data, "import", book)
        assert stopped.error == "disk_nearly_full"
        assert RECORD_MIB_MIN - 20 <= stopped.document["error"]["free_mib"] < RECORD_MIB_MIN
        there = head(up.data)
        assert there > 1_000
        assert ektp(up.data, "import", book).error == "disk_nearly_full"
        assert head(up.data) == there

        leave(disk, 700 << 10)
        imported = ektp(up.data, "import", book).document
        assert imported["events_already_there"] > 0
        assert imported["events_added"] > 0
        assert imported["events_already_there"] + imported["events_added"] == len(rows)
        events = history(up.data)
        claims = sum(row["event"] == "submitted" for row in rows)
        assert len({event.id for event in events}) == len(events) == len(rows) + claims


@on_a_small_disk
def test_a_server_that_met_a_full_disk_is_started_again_when_there_is_room_and_the_views_go_on(disk: Path) -> None:
    with running(disk / "data") as up:
        server = up.part("nats-server")
        recorded, failed = asyncio.run(record_until_a_write_fails(open_folder(up.data), disk))
        for words in (("record", failed), submission()):
            assert ektp(up.data, *words).error == "disk_nearly_full"
        assert up.part("nats-server") == server

        leave(disk, 600 << 10)
        assert ektp(up.data, "record", failed).code == 0
        assert up.part("nats-server") != server
        assert ektp(up.data, "status", failed).document["stage"] == "recorded"
        events = history(up.data)
        assert len({event.id for event in events}) == len(events)
        there = {event.entity_id: event.seq for event in events if event.name == "recorded"}
        assert {case: there[case] for case in recorded} == recorded
        assert len(there) == len(recorded) + 1


async def record_until_a_write_fails(folder: DataFolder, disk: Path) -> tuple[dict[str, int], str]:
    """By a writer that does not look at the disk, on a full one. What was acknowledged: positions, by case; and the receipt
    of the case for which the server gave no answer any more."""
    there = endpoint(folder)
    assert there
    server, recorded = NatsServer(folder, int(there.url.rpartition(":")[2]), cast(Any, None)), dict[str, int]()
    async with writing(server, request_s=1, append_s=2, now=lambda: datetime.now(CALENDAR_V1.zone)) as writer:
        submit = [Submit(office="367203", nik=somebody(), name="Ratna Kusumawardhani", kind=Kind.NEW) for _ in range(40)]
        receipts = [(await writer.handler.handle(command, command.nik)).receipt for command in submit]
        leave(disk, 0)
        for receipt in receipts:
            try:
                done = await writer.handler.handle(Advance(command="record", receipt=receipt), receipt)
            except JournalBusy:
                return recorded, receipt
            recorded[done.case] = done.seq
    raise AssertionError("the disk never was full")


async def test_what_may_not_be_appended_is_refused_before_anything_of_it_is_sent(
    journal: Journal, folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with GroupCommit(journal, may_append=partial(require_room, folder)) as commits:
        with monkeypatch.context() as nearly_full:
            nearly_full.setattr(data_folder, "RECORD_MIB_MIN", 1 << 40)
            with pytest.raises(DiskNearlyFull, match=f"{1 << 40} MiB are needed to record. Nothing was recorded"):
                await commits.append(change("a"))
        assert await commits.append(change("a"), change("b")) == [1, 2]
