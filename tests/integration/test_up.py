"""`ektp up` and the backbones that commands start for themselves: they come, stay, go and come back, whoever is killed."""

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from events.nik import Nik
from infra.data_folder import FORMAT, open_folder
from infra.folder_lock import endpoint
from services.cli.desk import Desk
from services.importer import ROWS_MAX
from services.register_row import COLUMNS
from tests.command import (
    STOP_S_MAX,
    Answer,
    Up,
    answered,
    begin,
    begin_up,
    ektp,
    eventually,
    head,
    running,
    running_on,
    start_up,
)

GONE_S = 30  # contract: so long a command waits for a backbone that is gone
_serials = count(1)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("up") / "data", "--http", 0) as up:
        yield up


def submission(*more: object) -> tuple[object, ...]:
    """The words of a submit command for somebody who never came before."""
    nik = Nik.of("367203", date(1990, 5, 1), "M", next(_serials))
    return ("submit", "--office", "367203", "--nik", nik, "--name", "Ratna Kusumawardhani", "--kind", "new", *more)


def has_clean_stop(data: Path) -> bool:
    return (data / "run" / "clean-stop").exists()


def has_come_so_far(data: Path, position: int) -> bool:
    return head(data) >= position


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def rows(number: int) -> str:
    """So many rows of a register book, each a submission of somebody else."""
    cells = ((case, Nik.of("367204", date(1980, 2, 3), "F", case)) for case in range(1, number + 1))
    return "".join(f"B/{case},367204,new,{nik},Ratna,F,,submitted,2014-03-03 09:00,,,\n" for case, nik in cells)


def pipe(folder: Path, name: str) -> Path:
    """A book that the test writes while it is read."""
    os.mkfifo(folder / name)
    return folder / name


def test_it_serves_on_a_fresh_folder_and_again_after_each_clean_stop(tmp_path: Path) -> None:
    data, port = tmp_path / "data", free_port()
    up = start_up(data, "--nats", port, "--http", 0, FORCE_COLOR="1", TTY_COMPATIBLE="1")
    assert up.ready.startswith(f"ready  nats://127.0.0.1:{port}  http://127.0.0.1:")
    assert "\x1b" not in up.ready
    assert not has_clean_stop(data)
    receipt = ektp(data, *submission()).document["receipt"]
    up.stop(signal.SIGINT)
    assert has_clean_stop(data)

    up = start_up(data, lang="id")
    assert up.ready.startswith("ready  nats://127.0.0.1:")
    assert not has_clean_stop(data)
    assert ektp(data, "status", receipt).document["stage"] == "submitted"
    up.stop(signal.SIGTERM)
    assert has_clean_stop(data)


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
    parts = [up.part(name) for name in ("nats-server", "services.writer", "services.reader")]
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


@pytest.mark.parametrize("part", ["services.writer", "services.reader"])
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


def test_http_tells_that_it_lives_that_it_is_ready_and_what_it_counts(up: Up) -> None:
    receipt = ektp(up.data, *submission()).document["receipt"]
    ektp(up.data, "status", receipt)
    live, ready = httpx.get(f"{up.http}/livez"), httpx.get(f"{up.http}/readyz")
    assert (live.status_code, live.json()) == (200, {"ok": True})
    assert (ready.status_code, ready.json()) == (200, {"ok": True, "reasons": []})

    metrics = httpx.get(f"{up.http}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(metrics.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert {(family.name, family.type) for family in families} >= {
        ("ektp_projection_position", "gauge"),
        ("ektp_projection_events", "counter"),
        ("ektp_events_appended", "counter"),
        ("ektp_append_conflicts", "counter"),
        ("ektp_append_group_events", "histogram"),
        ("ektp_append_duration_seconds", "histogram"),
        ("faststream_received_messages", "counter"),
    }
    values = {sample.name: sample.value for family in families for sample in family.samples}
    assert values["ektp_projection_position"] == head(up.data)
    assert values["ektp_events_appended_total"] >= 2
    assert receipt not in metrics.text


def test_readyz_says_why_it_is_not_ready(up: Up) -> None:
    writer = up.part("services.writer")
    writer.suspend()
    try:
        ready = httpx.get(f"{up.http}/readyz", timeout=20)
    finally:
        writer.resume()
    assert ready.status_code == 503
    assert not ready.json()["ok"]
    (reason,) = ready.json()["reasons"]
    assert reason.startswith("writer: ")
    assert httpx.get(f"{up.http}/livez").status_code == 200
    assert eventually(lambda: httpx.get(f"{up.http}/readyz").status_code == 200)


def test_the_position_of_the_views_is_told_before_anything_new_comes(tmp_path: Path) -> None:
    receipt = ektp(tmp_path / "data", *submission()).document["receipt"]
    with running(tmp_path / "data", "--http", 0) as up:
        metrics = httpx.get(f"{up.http}/metrics").text
        assert 'ektp_projection_position{projection="status"} 2.0' in metrics.splitlines()
        assert ektp(up.data, "find", "--nik", "3672030105900001").code == 0
        assert ektp(up.data, "status", receipt).code == 0


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


def test_what_lies_in_the_users_own_folder_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('not ours')")
    monkeypatch.chdir(tmp_path)
    assert ektp(tmp_path / "data", *submission()).code == 0


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
            book.write(",".join(COLUMNS) + "\n" + rows(1))
            book.close()
            assert ektp(data, "find", "--case", "B/1").document["receipts"]
            assert ektp(data, *submission()).code == 0
            assert starter.poll() is None
            other.write(",".join(COLUMNS) + "\n" + rows(2))
    assert answered(user).document["events_added"] == 1
    assert answered(starter).document["events_added"] == 1
    assert running_on(tmp_path) == []


def test_a_command_waits_half_a_minute_for_a_backbone_that_is_gone(tmp_path: Path) -> None:
    """Three at once, as each takes its time: gone for good, gone and back, and gone while its holder only hangs."""
    gone, back, hung = (start_up(tmp_path / name) for name in ("gone", "back", "hung"))
    imports = []
    for up in (gone, back):
        book = pipe(tmp_path, f"{up.data.name}.csv")
        process = begin(up.data, "import", book)
        with book.open("w") as writing:
            writing.write(",".join(COLUMNS) + "\n" + rows(3 * ROWS_MAX))
            writing.flush()  # two chunks are sent when the third was read
            eventually(partial(has_come_so_far, up.data, 4 * ROWS_MAX))
            up.kill()
        imports.append(process)
    hung.process.send_signal(signal.SIGSTOP)
    hung.part("nats-server").kill()
    started = time.monotonic()
    others = [begin(hung.data, *words) for words in (("replay",), ("status", "PM-0000-0000-00000"), submission())]

    with running(back.data):
        assert answered(imports[1]).document["events_added"] == 3 * ROWS_MAX
        assert head(back.data) == 6 * ROWS_MAX
    refused = answered(imports[0])
    assert GONE_S - 5 < time.monotonic() - started < GONE_S + 10
    assert refused.error == "backbone_gone"
    assert refused.document["error"]["imported"]["events_added"] == 2 * ROWS_MAX
    assert f"{2 * ROWS_MAX} were added" in refused.document["error"]["message_en"]
    assert [answered(process).error for process in others] == ["backbone_gone"] * 3
    hung.process.send_signal(signal.SIGCONT)
    hung.stop()


def test_doctor_finds_nothing_wrong_and_then_what_is(up: Up) -> None:
    sound: Answer = ektp(up.data, "doctor")
    assert (sound.code, sound.document["ok"], sound.document["differences"]) == (0, True, [])
    assert all(set(check) == {"name", "ok", "says"} and check["ok"] for check in sound.document["checks"])
    (up.data / "keys" / "secret").chmod(0o644)
    try:
        found = ektp(up.data, "doctor")
    finally:
        (up.data / "keys" / "secret").chmod(0o600)
    assert (found.code, found.document["ok"]) == (1, False)
    assert [check["name"] for check in found.document["checks"] if not check["ok"]] == ["keys"]
