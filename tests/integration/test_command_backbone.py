"""The backbone behind a command: started for it where none runs, shared with those who come, waited for when it is gone."""

import os
import signal
import subprocess
import time
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from events.nik import Nik
from infra.data_folder import open_folder
from infra.folder_lock import endpoint
from services.register.row import COLUMNS, ROWS_MAX
from tests.command import (
    EKTP,
    STOP_S_MAX,
    answered,
    begin,
    ektp,
    eventually,
    has_clean_stop,
    head,
    running,
    running_on,
    start_up,
    submission,
)

GONE_S = 30  # contract: so long a command waits for a backbone that is gone


def has_come_so_far(data: Path, position: int) -> bool:
    return head(data) >= position


def rows(first: int, last: int) -> str:
    """Rows of a register book, each a submission of somebody else."""
    cells = ((case, Nik.of("367204", date(1980, 2, 3), "F", case)) for case in range(first, last + 1))
    return "".join(f"B/{case},367204,new,{nik},Ratna,F,,submitted,2014-03-03 09:00,,,\n" for case, nik in cells)


def pipe(folder: Path, name: str) -> Path:
    """A book that the test writes while it is read."""
    os.mkfifo(folder / name)
    return folder / name


def test_two_commands_at_once_on_a_stopped_folder_both_succeed(tmp_path: Path) -> None:
    both = [begin(tmp_path / "data", *submission()) for _ in range(2)]
    assert sorted(answered(process).document["seq"] for process in both) == [1, 3]
    assert running_on(tmp_path) == []
    assert has_clean_stop(tmp_path / "data")


def test_who_started_the_backbone_waits_for_those_who_use_it(tmp_path: Path) -> None:
    data, first, second = tmp_path / "data", pipe(tmp_path, "first"), pipe(tmp_path, "second")
    starter = begin(data, "import", first)
    with first.open("w") as book:  # opened by the starter: its backbone serves
        there = endpoint(open_folder(data))
        assert there is not None
        assert there.pid == starter.pid
        user = begin(data, "import", second)
        with second.open("w") as other:
            book.write(",".join(COLUMNS) + "\n" + rows(1, 1))
            book.close()
            assert ektp(data, "find", "--case", "B/1").document["receipts"]
            assert ektp(data, *submission()).code == 0
            assert starter.poll() is None
            other.write(",".join(COLUMNS) + "\n" + rows(1, 2))
    assert answered(user).document["events_added"] == 1
    assert answered(starter).document["events_added"] == 1
    assert running_on(tmp_path) == []


def test_what_lies_in_the_users_own_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    installed = [str(word) for word in (EKTP, *submission(), "--data", "data")]
    assert subprocess.run(installed, check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_a_command_waits_half_a_minute_for_a_backbone_that_is_gone(tmp_path: Path) -> None:
    """Three at once, as each takes its time: gone for good, gone and back, and gone while its holder only hangs."""
    gone, back, hung = (start_up(tmp_path / name) for name in ("gone", "back", "hung"))
    imports = []
    for up in (gone, back):
        book = pipe(tmp_path, f"{up.data.name}.csv")
        process = begin(up.data, "import", book)
        with book.open("w") as writing:
            writing.write(",".join(COLUMNS) + "\n" + rows(1, 3 * ROWS_MAX))
            writing.flush()
            eventually(partial(has_come_so_far, up.data, 6 * ROWS_MAX))  # rows and claims of three chunks
            up.kill()
            writing.write(rows(3 * ROWS_MAX + 1, 4 * ROWS_MAX))
        imports.append(process)
    hung.process.send_signal(signal.SIGSTOP)
    hung.part("nats-server").kill()
    started = time.monotonic()
    others = [begin(hung.data, *words) for words in (("replay",), ("status", "PM-0000-0000-00000"), submission())]

    with running(back.data):
        imported = answered(imports[1]).document
        assert imported["events_added"] + imported["events_already_there"] == 4 * ROWS_MAX
        assert head(back.data) == 8 * ROWS_MAX
    refused = answered(imports[0])
    assert GONE_S - 5 < time.monotonic() - started < GONE_S + 10
    assert refused.error == "backbone_gone"
    told = refused.document["error"]["imported"]["events_added"]
    assert told in {2 * ROWS_MAX, 3 * ROWS_MAX}  # was the answer to the third chunk quicker than the kill?
    assert f"{told} were added" in refused.document["error"]["message_en"]
    assert [answered(process).error for process in others] == ["backbone_gone"] * 3
    for kind in (signal.SIGCONT, signal.SIGINT):
        hung.process.send_signal(kind)
    assert hung.process.wait(STOP_S_MAX) == 0
