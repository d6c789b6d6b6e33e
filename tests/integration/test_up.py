"""`ektp up`: it comes, stays, goes and comes back, whoever is killed; one for each folder."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from infra.data_folder import FORMAT, open_folder
from services.desk import Desk
from tests.command import (
    STOP_S_MAX,
    Up,
    begin_up,
    ektp,
    eventually,
    has_clean_stop,
    head,
    running,
    running_on,
    start_up,
    submission,
)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("up") / "data", "--http", 0) as up:
        yield up


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def test_it_serves_on_a_fresh_folder_and_again_while_the_one_before_is_still_stopping(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    up = start_up(data, "--nats", port, "--http", 0, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert up.ready.startswith(f"ready  nats://127.0.0.1:{port}  http://127.0.0.1:")
    assert "\x1b" not in up.ready
    receipt = ektp(data, *submission()).document["receipt"]
    up.process.send_signal(signal.SIGINT)

    again = start_up(data, lang="id")
    assert up.process.wait() == 0
    assert again.ready.startswith("ready  nats://127.0.0.1:")
    assert not has_clean_stop(data)
    assert ektp(data, "status", receipt).document["stage"] == "submitted"
    again.stop(signal.SIGTERM)


def test_ctrl_c_reaches_the_whole_process_group_and_still_stops_in_good_order(tmp_path: Path) -> None:
    up = start_up(tmp_path / "data")
    os.killpg(up.process.pid, signal.SIGINT)
    assert up.process.wait(STOP_S_MAX) == 0
    assert running_on(up.data) == []
    assert has_clean_stop(up.data)


def test_a_stop_before_it_is_ready_leaves_nothing_running(tmp_path: Path) -> None:
    process = begin_up(tmp_path / "data")
    eventually(lambda: psutil.Process(process.pid).children())
    process.send_signal(signal.SIGINT)
    assert process.wait(STOP_S_MAX) == 0
    assert running_on(tmp_path / "data") == []


def test_kill_9_takes_server_writer_and_reader_with_it_and_the_next_start_works(tmp_path: Path) -> None:
    up = start_up(tmp_path / "data")
    receipt = ektp(up.data, *submission()).document["receipt"]
    parts = [up.part(name) for name in ("nats-server", "writer", "reader")]
    up.kill()
    _, alive = psutil.wait_procs(parts, timeout=5)
    assert alive == []
    assert not has_clean_stop(up.data)
    with running(up.data):
        assert ektp(up.data, "status", receipt).document["stage"] == "submitted"


def test_a_killed_server_comes_back_on_its_port_and_commands_go_on(up: Up) -> None:
    first = up.part("nats-server")
    (listening,) = (connection.laddr for connection in first.net_connections("tcp") if connection.status == "LISTEN")
    first.kill()
    assert ektp(up.data, *submission()).code == 0
    (again,) = (c.laddr for c in up.part("nats-server").net_connections("tcp") if c.status == "LISTEN")
    assert again == listening
    assert up.part("nats-server").pid != first.pid


@pytest.mark.parametrize("part", ["writer", "reader"])
def test_a_killed_part_is_started_again_and_what_was_asked_meanwhile_is_done_once(up: Up, part: str) -> None:
    before, first = head(up.data), up.part(part)
    first.kill()
    receipt = ektp(up.data, *submission()).document["receipt"]
    assert ektp(up.data, "status", receipt).document["stage"] == "submitted"
    assert head(up.data) == before + 2  # the case and its claim
    assert up.part(part).pid != first.pid
    assert eventually(lambda: httpx.get(f"{up.http}/readyz").status_code == 200)


async def test_a_desk_whose_link_broke_asks_over_a_new_one_at_once(up: Up) -> None:
    desk = Desk(open_folder(up.data))
    await desk.ask("lag")
    connection = await desk.connection()
    link: Any = connection._transport
    link._io_writer.transport.abort()
    async with asyncio.timeout(5):
        while connection.is_connected or not connection.is_reconnecting:  # it notices, and reconnects by itself
            await asyncio.sleep(0.01)
        while not connection.is_connected:
            await asyncio.sleep(0.01)
        assert (await desk.ask("lag"))["stopped_by"] is None
    await desk.close()


def test_a_second_backbone_on_the_folder_is_refused_by_the_name_of_the_first(up: Up) -> None:
    started = time.monotonic()
    second = ektp(up.data, "up")
    assert second.error == "second_backbone"
    assert second.document["error"]["pid"] == up.process.pid
    assert f"Process {up.process.pid} " in second.document["error"]["message_en"]
    assert 10 <= time.monotonic() - started < 15  # so long it waits for a holder that is going


@pytest.mark.parametrize("option", ["--nats", "--http"])
def test_a_port_that_cannot_be_had_is_refused(tmp_path: Path, option: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = ektp(tmp_path / "data", "up", option, port)
    assert refused.error == "port_taken"
    assert refused.document["error"]["port"] == port
    assert option in refused.document["error"]["message_en"]
    assert ektp(tmp_path / "data", "up", option, 70000).error == "port_taken"
    assert running_on(tmp_path) == []


def test_a_folder_of_a_newer_version_and_one_that_is_not_ours_are_left_alone(tmp_path: Path) -> None:
    open_folder(tmp_path / "newer")
    identity = json.loads((tmp_path / "newer" / "backbone.json").read_text()) | {"format": FORMAT + 1}
    (tmp_path / "newer" / "backbone.json").write_text(json.dumps(identity))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("")
    for folder, code in (("newer", "newer_folder"), ("other", "not_a_data_folder"), ("other/letter.txt", "not_a_folder")):
        assert ektp(tmp_path / folder, "up").error == ektp(tmp_path / folder, *submission()).error == code
    assert [entry.name for entry in (tmp_path / "other").iterdir()] == ["letter.txt"]


def test_doctor_finds_nothing_wrong_and_then_what_is(up: Up) -> None:
    sound = ektp(up.data, "doctor")
    assert (sound.code, sound.document["ok"], sound.document["differences"]) == (0, True, [])
    assert all(set(check) == {"name", "ok", "says"} and check["ok"] for check in sound.document["checks"])
    (up.data / "keys" / "secret").chmod(0o644)
    try:
        found = ektp(up.data, "doctor")
    finally:
        (up.data / "keys" / "secret").chmod(0o600)
    assert (found.code, found.document["ok"]) == (1, False)
    assert [check["name"] for check in found.document["checks"] if not check["ok"]] == ["keys"]
