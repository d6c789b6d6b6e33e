"""The guard around a whole backbone: `ektp up`, `ektp audit restore`, `ektp doctor`, /readyz."""

import signal
import subprocess
from pathlib import Path

import httpx

from events.audit import PutBack
from infra.data_folder import DataFolder, open_folder
from infra.guard.blocks import block_files
from infra.journal import STREAM
from infra.nats_configuration import stream_directory
from infra.nats_leftover import die_with_parent
from infra.tlog.tiles import read_head
from tests.command import EKTP, Up, ektp, eventually, history, running, running_on, start_up, submission


def newest_block(folder: DataFolder) -> Path:
    return block_files(stream_directory(folder, STREAM) / "msgs")[-1][1]


def flip_in_the_body(folder: DataFolder, seq: int) -> None:
    file = newest_block(folder)
    content = bytearray(file.read_bytes())
    content[content.index(seq.to_bytes(8, "little")) + 300] ^= 1
    file.write_bytes(content)


def is_logged(folder: DataFolder, size: int) -> bool:
    known = read_head(folder.log)
    return known is not None and known[0].size == size


def submit(data: Path, count: int) -> list[str]:
    return [ektp(data, *submission()).document["receipt"] for _ in range(count)]


def test_after_a_clean_stop_all_is_on_record_and_a_flipped_bit_is_put_back_at_the_next_start(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        receipts = submit(up.data, 3)
        before = history(up.data)
    folder = open_folder(up.data)
    assert (up.data / "run" / "guard.json").read_bytes().count(b"[") == 1
    flip_in_the_body(folder, 4)
    with running(up.data):
        *events, told = history(up.data)
        assert events == before
        assert isinstance(told.fact, PutBack)
        assert ektp(up.data, "record", receipts[1]).document["seq"] == 8
        assert ektp(up.data, "doctor").document["ok"]


def test_a_server_that_died_is_looked_at_before_clients_find_it_again(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        submit(up.data, 3)
        folder, before = open_folder(up.data), history(up.data)
        eventually(lambda: is_logged(folder, 6))
        up.process.send_signal(signal.SIGSTOP)
        up.part("nats-server").kill()
        flip_in_the_body(folder, 4)
        up.process.send_signal(signal.SIGCONT)
        assert ektp(up.data, *submission()).document["seq"] in {7, 8}  # the writer tells it when it next looks
        assert history(up.data)[:6] == before
        assert list(folder.aside.glob("*.block"))


def test_what_cannot_be_put_back_halts_and_is_told_everywhere_until_it_is_restored(tmp_path: Path) -> None:
    data = tmp_path / "data"
    up = start_up(data)
    receipts, folder = submit(data, 2), open_folder(data)
    eventually(lambda: is_logged(folder, 4))
    up.part("reader").send_signal(signal.SIGSTOP)  # nothing is archived from here on
    submit(data, 2)
    up.kill()
    eventually(lambda: not running_on(data))
    flip_in_the_body(folder, 6)

    told = "event 6 (of 8) is lost and there is no copy of it here. Nothing is recorded. Stop the backbone, then run:"
    errors = tmp_path / "errors"
    command = [str(EKTP), "up", "--http", "0", "--data", str(data), "--lang", "en"]
    with errors.open("w") as out:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True, preexec_fn=die_with_parent())  # noqa: PLW1509
    assert process.stdout
    up = Up(data, process, next(line for line in process.stdout if line.startswith("ready")))
    eventually(lambda: any(line.startswith("The journal in") and told in line for line in errors.read_text().splitlines()))
    for words in (submission(), ("record", receipts[0])):
        assert ektp(data, *words).error == "journal_halted"
    assert ektp(data, "status", receipts[0]).document["stage"] == "submitted"
    (check,) = (check for check in ektp(data, "doctor").document["checks"] if check["name"] == "guard")
    assert not check["ok"]
    assert told in check["says"]
    assert any(told in reason for reason in httpx.get(f"{up.http}/readyz").json()["reasons"])
    assert ektp(data, "audit", "restore").error == "second_backbone"
    up.stop()

    done = ektp(data, "audit", "restore").document
    assert (done["restored"], done["lost"], done["first_lost"]) == (5, 3, 6)
    assert done["set_aside"]
    assert ektp(data, "record", receipts[0]).document["seq"] == 7  # behind what tells of the restore
    assert ektp(data, "doctor", "--compare").document["ok"]
    again = ektp(data, "audit", "restore").document
    assert (again["restored"], again["lost"], again["first_lost"], again["set_aside"]) == (0, 0, None, None)


def test_a_views_database_that_cannot_be_read_is_set_aside_and_built_anew(tmp_path: Path) -> None:
    with running(tmp_path / "data") as up:
        submit(up.data, 2)
    views = up.data / "views" / "views.sqlite"
    views.write_bytes(views.read_bytes()[:20_000])
    with running(up.data):
        assert ektp(up.data, "doctor", "--compare").document["ok"]
        ektp(up.data, *submission())
        assert ektp(up.data, "doctor", "--compare").document["ok"]
    assert list((up.data / "aside").glob("views-*/views.sqlite"))
