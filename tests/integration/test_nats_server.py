"""The embedded server: who may say what on it, and that it comes and goes with its owner, whatever happens to either."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import nats
import psutil
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra import nats_leftover, nats_server
from infra.data_folder import DataFolder, open_folder
from infra.folder_errors import FolderDamaged, TooLittleSpace
from infra.nats_configuration import batch_directories, log_file, pid_file, write_configuration
from infra.nats_server import NatsServer, PortTaken, ServerDidNotStart, credentials, start

EVENT = "ektp.367203.application.c1"
STREAM = {"name": "EKTP", "subjects": ["ektp.*.*.*"], "deny_delete": True, "deny_purge": True}
STREAM |= {"allow_atomic": True, "allow_direct": True}
# as `ektp up` does: stops the server in good order on Ctrl-C
OWNER = """
import asyncio, signal, sys
from pathlib import Path
from infra.data_folder import open_folder
from infra.nats_server import start
async def main():
    interrupted = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupted.set)
    server = await start(open_folder(Path(sys.argv[1])))
    print(server.pid, flush=True)
    await interrupted.wait()
    print("interrupted", flush=True)
    await server.stop()
asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return open_folder(tmp_path / "data")


@pytest.fixture
async def server(folder: DataFolder) -> AsyncIterator[NatsServer]:
    server = await start(folder)
    yield server
    await server.stop()


@asynccontextmanager
async def connected(server: NatsServer, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client of `user`, and what the server refused it."""
    refused: list[str] = []

    async def told(error: Exception) -> None:
        refused.append(str(error))

    name, password, inbox_prefix = credentials(server.folder, user)
    client = await nats.connect(server.url, user=name, password=password, inbox_prefix=inbox_prefix, error_cb=told)
    try:
        yield client, refused
    finally:
        await client.close()


async def ask(client: Client, subject: str, question: dict[str, Any] | None = None) -> Msg:
    return await client.request(subject, json.dumps(question).encode() if question else b"", timeout=2)


async def journal(client: Client) -> dict[str, Any]:
    """State of the journal, as the server tells it."""
    state: dict[str, Any] = json.loads((await ask(client, "$JS.API.STREAM.INFO.EKTP")).data)["state"]
    return state


async def in_order(client: Client) -> None:
    """Returns when the server has judged all that `client` sent before; nats-py's flush overtakes what is pending."""
    await ask(client, "$JS.API.INFO")


async def make_journal(writer: Client) -> None:
    """The journal with one event in it."""
    assert "error" not in json.loads((await ask(writer, "$JS.API.STREAM.CREATE.EKTP", STREAM)).data)
    assert json.loads((await writer.request(EVENT, b"{}")).data) == {"stream": "EKTP", "seq": 1}


async def has_ended(process: psutil.Process) -> None:
    async with asyncio.timeout(5):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.01)


@asynccontextmanager
async def owner(folder: DataFolder) -> AsyncIterator[tuple[asyncio.subprocess.Process, psutil.Process]]:
    """Another process in a group of its own, and the server that it started."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(folder.path), stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    server = psutil.Process(int(await process.stdout.readline()))
    try:
        yield process, server
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(psutil.NoSuchProcess):
            server.kill()


@asynccontextmanager
async def left_over(folder: DataFolder, *options: str) -> AsyncIterator[tuple[subprocess.Popen[bytes], int]]:
    """A server of this folder that no owner takes along when it goes, and its port."""
    port = nats_server._free_port()
    command = [*nats_server._command(write_configuration(folder, port)), *options]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            await nats_server._answers(NatsServer(folder, port, None))  # type: ignore[arg-type]  # only its place matters
            yield process, port
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("reader", EVENT),
        ("desk", EVENT),
        ("reader", "ektp.feed.application.c1"),
        ("writer", "ektp.feed.367203.application.collected"),
        ("desk", "ektp.feed.367203.application.collected"),
        ("desk", "$JS.API.CONSUMER.CREATE.EKTP_FEED.c"),
        ("reader", "$JS.API.STREAM.CREATE.EKTP"),
        ("reader", "$JS.API.STREAM.CREATE.MINE"),
        *(
            (user, f"$JS.API.{call}.EKTP")
            for user in ("writer", "reader", "desk")
            for call in ("STREAM.UPDATE", "STREAM.PURGE", "STREAM.DELETE", "STREAM.RESTORE", "STREAM.MSG.DELETE")
        ),
        ("desk", "_INBOX_reader.forged"),
    ],
)
async def test_a_user_may_not_publish(server: NatsServer, user: str, subject: str) -> None:
    async with connected(server, "writer") as (writer, _), connected(server, user) as (client, refused):
        await make_journal(writer)
        before = await journal(writer)
        destroy = json.dumps(STREAM | {"max_msgs": 1, "discard": "old", "seq": 1}).encode()
        await client.publish(subject, destroy, reply=client.new_inbox())
        await in_order(client)
        assert refused == [f'nats: permissions violation for publish to "{subject.lower()}"']
        assert await journal(writer) == before


@pytest.mark.parametrize("user", ["writer", "reader", "desk"])
async def test_nobody_hears_the_replies_to_another(server: NatsServer, user: str) -> None:
    async with connected(server, user) as (client, refused):
        for other in ("writer", "reader", "desk"):
            await client.subscribe(f"_INBOX_{other}.>")
        await client.subscribe("ektp.>")
        await client.subscribe(">")
        await in_order(client)
        allowed = [other for other in ("writer", "reader", "desk") if not any(other in no for no in refused)]
        assert (allowed, len(refused)) == ([user], 4)


@pytest.mark.parametrize("user", ["writer", "reader", "desk"])
async def test_the_backbone_s_own_read_the_journal_in_every_way(server: NatsServer, user: str) -> None:
    async with connected(server, "writer") as (writer, _), connected(server, user) as (client, refused):
        await make_journal(writer)
        assert (await ask(client, "$JS.API.DIRECT.GET.EKTP", {"seq": 1})).data == b"{}"
        assert (await ask(client, f"$JS.API.DIRECT.GET.EKTP.{EVENT}")).data == b"{}"
        assert json.loads((await ask(client, "$JS.API.STREAM.MSG.GET.EKTP", {"seq": 1})).data)["message"]["seq"] == 1
        consumer = {"stream_name": "EKTP", "config": {"name": "c", "ack_policy": "none"}}
        await ask(client, "$JS.API.CONSUMER.CREATE.EKTP.c", consumer)
        events = await client.subscribe(client.new_inbox())
        await client.publish("$JS.API.CONSUMER.MSG.NEXT.EKTP.c", b"1", reply=events.subject)
        assert (await events.next_msg(2)).subject == EVENT
        assert json.loads((await ask(client, "$JS.API.CONSUMER.DELETE.EKTP.c")).data)["success"]
        assert refused == []


@pytest.mark.parametrize(
    ("asks", "answers", "subject"),
    [
        ("desk", "writer", "cmd.ektp.367203.submit"),
        ("reader", "writer", "cmd.ektp.3672.metrics"),
        ("desk", "reader", "ask.ektp.status"),
    ],
)
async def test_commands_and_questions_are_answered(server: NatsServer, asks: str, answers: str, subject: str) -> None:
    async def answer(message: Msg) -> None:
        await message.respond(b"answer")

    async with connected(server, answers) as (service, _), connected(server, asks) as (client, _):
        await service.subscribe(f"{subject[:3]}.ektp.>", cb=answer)
        await in_order(service)
        assert (await ask(client, subject)).data == b"answer"


async def test_in_one_account_an_answer_comes_into_the_journal_without_a_right_to_publish(server: NatsServer) -> None:
    """Hence accounts of their own for subscribers and recorders."""
    async with connected(server, "writer") as (writer, _), connected(server, "desk") as (desk, _):
        await make_journal(writer)
        await desk.publish("$JS.API.INFO", b"", reply=EVENT)
        await ask(desk, "$JS.API.INFO")
        assert (await journal(writer))["messages"] == 2


async def test_it_listens_on_this_machine_alone_with_bounded_memory(server: NatsServer) -> None:
    process = psutil.Process(server.pid)
    listening = [c.laddr for c in process.net_connections() if c.status == psutil.CONN_LISTEN]
    assert listening == [("127.0.0.1", server.port)]
    assert process.environ()["GOMEMLIMIT"] == "400MiB"
    rights = [(server.folder.keys / name).stat().st_mode & 0o777 for name in ("nats.conf", "nats.json")]
    assert rights == [0o600, 0o600]


async def test_it_syncs_every_message(folder: DataFolder) -> None:
    monitor = nats_server._free_port()
    async with left_over(folder, "-a", "127.0.0.1", "-m", str(monitor)):
        with await asyncio.to_thread(urllib.request.urlopen, f"http://127.0.0.1:{monitor}/varz") as answer:
            assert json.load(answer)["jetstream"]["config"]["sync_always"] is True


async def test_a_killed_owner_takes_the_server_along(folder: DataFolder) -> None:
    async with owner(folder) as (process, server):
        assert server.is_running()
        process.kill()
        assert await process.wait() == -signal.SIGKILL
        await has_ended(server)
    assert not folder.clean_stop.exists()
    await (await start(folder)).stop()


async def test_ctrl_c_reaches_the_owner_and_not_the_server(folder: DataFolder) -> None:
    async with owner(folder) as (process, server):
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"interrupted\n"
        assert await process.wait() == 0
        assert not server.is_running()
    trapped = [line.split('"')[1] for line in log_file(folder).read_text().splitlines() if "Trapped" in line]
    assert trapped == ["terminated"]  # by its owner; Ctrl-C would be "interrupt"
    assert folder.clean_stop.exists()


async def test_a_left_over_server_is_stopped_by_the_next_start(folder: DataFolder) -> None:
    async with left_over(folder) as (old, port):
        assert psutil.Process(old.pid).status() != psutil.STATUS_ZOMBIE
        server = await start(folder, port)  # on its very port
        assert old.wait(timeout=1) == 0
        assert server.pid != old.pid
        await server.stop()


async def test_a_left_over_that_does_not_listen_is_killed(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_leftover, "STOP_S_MAX", 0.2)
    async with left_over(folder) as (old, _):
        old.send_signal(signal.SIGSTOP)
        server = await start(folder)
        assert old.wait(timeout=1) == -signal.SIGKILL
        await server.stop()


async def test_a_stranger_who_has_the_old_number_is_left_alone(folder: DataFolder) -> None:
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE) as stranger:
        pid_file(folder).write_text(str(stranger.pid))
        await (await start(folder)).stop()
        assert stranger.poll() is None


async def test_a_taken_port_is_told_before_the_store_is_touched(folder: DataFolder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(PortTaken, match="Address already in use"):
            await start(folder, other.getsockname()[1])
        assert list(folder.nats.iterdir()) == []


async def test_a_port_taken_in_the_last_moment_is_told_too(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_server, "_checked", lambda port: port)
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(PortTaken):
        await start(folder, other.getsockname()[1])
    assert "address already in use" in log_file(folder).read_text()


async def test_a_server_that_cannot_start_is_told_by_its_last_word(folder: DataFolder) -> None:
    (folder.nats / "jetstream").touch()  # where it wants a directory
    with pytest.raises(ServerDidNotStart, match=r"start: .*storage directory is not a directory"):
        await start(folder)


async def test_nothing_is_started_on_a_full_disk(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.data_folder.START_MIB_MIN", 1 << 40)
    with pytest.raises(TooLittleSpace):
        await start(folder)
    assert not pid_file(folder).exists()


async def test_nobody_has_a_password_before_the_first_start(folder: DataFolder) -> None:
    with pytest.raises(FolderDamaged):
        credentials(folder, "writer")


async def test_only_a_stop_in_good_order_leaves_the_marker(folder: DataFolder) -> None:
    server = await start(folder)
    assert not folder.clean_stop.exists()
    await server.stop()
    assert folder.clean_stop.exists()
    server = await start(folder)
    assert not folder.clean_stop.exists()
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    await server.stop()
    assert not folder.clean_stop.exists()


async def test_a_server_that_does_not_stop_is_killed(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_server, "STOP_S_MAX", 0.2)
    server = await start(folder)
    os.kill(server.pid, signal.SIGSTOP)
    await server.stop()
    assert await server.wait() == -signal.SIGKILL
    assert not folder.clean_stop.exists()


async def test_a_dead_server_comes_back_on_its_port_with_what_it_acknowledged(server: NatsServer) -> None:
    async with connected(server, "writer") as (writer, _):
        await make_journal(writer)
    os.kill(server.pid, signal.SIGKILL)
    assert await server.wait() == -signal.SIGKILL
    again = await start(server.folder, server.port)
    async with connected(again, "writer") as (writer, _):
        assert again.url == server.url
        assert (await journal(writer))["messages"] == 1
    await again.stop()


async def test_a_start_that_is_cancelled_leaves_no_server(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: asyncio.Queue[NatsServer] = asyncio.Queue()

    async def never(server: NatsServer) -> bool:
        asked.put_nowait(server)
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(nats_server, "_answers", never)
    starting = asyncio.create_task(start(folder))
    server = await asked.get()
    assert server.process.returncode is None
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.process.returncode == -signal.SIGKILL


async def test_open_batches_are_counted_in_the_store(server: NatsServer) -> None:
    async with connected(server, "writer") as (writer, _):
        await make_journal(writer)
        assert batch_directories(server.folder) == 0
        await writer.request(EVENT, b"{}", headers={"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1"})
        assert batch_directories(server.folder) == 1
        await writer.request(
            EVENT, b"{}", headers={"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"}
        )
        assert (await journal(writer))["messages"] == 3
        assert batch_directories(server.folder) == 0
