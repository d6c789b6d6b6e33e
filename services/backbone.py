"""A running backbone: nats-server, writer and reader, started together, watched, and stopped together.

Whoever holds the owner's lock of a data folder runs it: `ektp up`, or a single command for as long as it lasts. The
children die with it (kill -9 included); a child that dies is started again, the server on the same port.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar

import nats.errors
import structlog

from events.offices import BACKBONE_ID
from events.problem import Problem
from infra import nats_server, tracing
from infra.data_folder import DataFolder, require_room
from infra.folder_errors import DiskNearlyFull
from infra.folder_lock import announce, withdraw
from infra.guard.halt import halted
from infra.guard.inspection import record_good_blocks
from infra.guard.start import guard, start_guarded
from infra.journal import Journal
from infra.nats_client import QuickClient
from infra.nats_connection import connect, end
from infra.nats_leftover import die_with_parent

log = structlog.get_logger()

_START_S_MAX = 30.0
_STOP_S_MAX = {"writer": 4.0, "reader": 8.0}  # what a command had under way is found by its key; the reader archives
_RECORD_S_MAX = 3.0  # for the guard to look at what was written; the block it is at then takes up to 3 s more
_AGAIN_S = (0.2, 5.0)  # pause before a dead child is started again: at first, at most
_LOOK_S = 1.0  # how often it is looked whether the server failed to write
_LOG_BYTES_MAX = 10 << 20


@dataclass(eq=False)
class PartDidNotStart(Problem):
    """The writer or the reader ended, or did not answer in time; everything was stopped again."""

    part: str
    log: str
    code: ClassVar[str] = "part_did_not_start"
    status: ClassVar[int] = 503
    sentence_id: ClassVar[str] = "Bagian {part} tidak dapat dijalankan. Sebabnya ada di {log}."
    sentence_en: ClassVar[str] = "The {part} did not start. Why is told in {log}."


class Backbone:
    """Start with `async with`, as holder of the owner's lock. Raises the typed problems of infra.nats_server.start."""

    def __init__(
        self,
        folder: DataFolder,
        nats_port: int | None = None,
        http: socket.socket | None = None,
        sla_clock: bool = False,
    ) -> None:
        """`http`: a bound, listening socket for the reader. `sla_clock`: warnings and breaches are told."""
        self.folder, self._http, self._sla_clock = folder, http, sla_clock
        self._nats_port = nats_port
        self.server: nats_server.NatsServer
        self._parts: dict[str, Process] = {}
        self._watches: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "Backbone":
        tracing.require_installed()
        try:
            self.server = await start_guarded(self.folder, self._nats_port)
            connection = await connect(self.folder, "writer", self.server.url)
            await Journal(connection).create()
            await connection.close()
            for part in ("writer", "reader"):
                await self._start(part)
            await self._until_they_answer()
        except BaseException:
            await self._stop_all()
            raise
        announce(self.folder, self.server.url)
        self._watches = [asyncio.create_task(self._watch_server()), asyncio.create_task(self._watch_writes())]
        self._watches += [asyncio.create_task(self._watch(part)) for part in self._parts]
        return self

    async def __aexit__(self, *_: object) -> None:
        withdraw(self.folder)
        await end(*self._watches)
        await self._stop_all()

    async def _start(self, part: str) -> None:
        arguments = [str(self.folder.path), self.server.url]
        inherited: list[int] = []
        if part == "reader" and self._http:
            inherited = [self._http.fileno()]
            arguments.append(str(self._http.fileno()))
        if part == "writer" and self._sla_clock:
            arguments.append("--sla-clock")
        with _log_file(self.folder, part) as output:
            self._parts[part] = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a `json.py` in the user's folder is not ours
                "-m",
                "services.part",
                part,
                *arguments,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                umask=0o077,
                start_new_session=True,  # Ctrl-C in the terminal is for us, who stop them in order
                preexec_fn=die_with_parent(),
            )

    async def _until_they_answer(self) -> None:
        connection = await connect(self.folder, "desk", self.server.url)
        try:
            for part, subject in (("writer", f"cmd.ektp.{BACKBONE_ID}.ping"), ("reader", f"ask.ektp.{BACKBONE_ID}.lag")):
                deadline = asyncio.get_running_loop().time() + _START_S_MAX
                while not await _answers(connection, subject):
                    late = asyncio.get_running_loop().time() > deadline
                    if late or self._parts[part].returncode is not None:
                        raise PartDidNotStart(part, str(_log_path(self.folder, part)))
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()

    async def _watch(self, part: str) -> None:
        """Start a dead part again, more slowly each time it dies at once."""
        pause_s = _AGAIN_S[0]
        while True:
            started = asyncio.get_running_loop().time()
            code = await self._parts[part].wait()
            log.warning("restarting", part=part, exit_code=code)
            pause_s = _AGAIN_S[0] if asyncio.get_running_loop().time() - started > 30 else min(pause_s * 2, _AGAIN_S[1])
            await asyncio.sleep(pause_s)
            await self._start(part)

    async def _watch_server(self) -> None:
        while True:
            code = await self.server.wait()
            log.warning("restarting", part="nats-server", exit_code=code)
            pause_s = _AGAIN_S[0]
            while True:
                try:
                    await guard(self.folder)
                    if halted(self.folder):  # what the writer has under way must not be sent on top
                        await self._end("writer")
                    self.server = await nats_server.start(self.folder, self.server.port)
                    break
                except Problem as problem:  # a full disk, a port that someone took meanwhile: may pass
                    log.error("nats-server does not start", says=str(problem))  # noqa: TRY400
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, _AGAIN_S[1])

    async def _watch_writes(self) -> None:
        """Stop a server that failed to write, for _watch_server to start it, once there is room; till then it is read."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if nats_server.failed_to_write(self.folder):
                with contextlib.suppress(DiskNearlyFull):
                    require_room(self.folder)
                    log.warning("stopping, as it failed to write", part="nats-server")
                    await self.server.stop()

    async def _stop_all(self) -> None:
        """The writer first, then the reader, which archives what is left, then the server, in good order."""
        for part, within_s in _STOP_S_MAX.items():
            if process := self._parts.get(part):
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), within_s)
                await self._end(part)
        if hasattr(self, "server"):
            await self.server.stop()
            if self.folder.clean_stop.exists():
                with contextlib.suppress(OSError):  # a full disk: the next start looks at more
                    await asyncio.to_thread(record_good_blocks, self.folder, _RECORD_S_MAX)

    async def _end(self, part: str) -> None:
        """kill -9, unless it has ended."""
        process = self._parts[part]
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _answers(connection: QuickClient, subject: str) -> bool:
    try:
        await connection.request(subject, timeout=1)
    except (nats.errors.Error, TimeoutError):
        return False
    return True


def _log_path(folder: DataFolder, part: str) -> Path:
    return folder.endpoint.parent / f"{part}.log"


def _log_file(folder: DataFolder, part: str) -> BinaryIO:
    path = _log_path(folder, part)
    begin_anew = path.exists() and path.stat().st_size > _LOG_BYTES_MAX
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if begin_anew else os.O_APPEND), 0o600)
    return open(fd, "ab")
