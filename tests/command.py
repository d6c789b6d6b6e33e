"""Running `ektp` as people do: as a program of its own, on a data folder of its own."""

import asyncio
import json as json_
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count, pairwise
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from events.envelope import Event, decode
from events.nik import Nik
from infra.data_folder import open_folder
from infra.folder_lock import endpoint
from infra.journal import Journal
from infra.journal_reader import read
from infra.nats_connection import connect
from infra.nats_leftover import die_with_parent
from tests.zygote import Call

T = TypeVar("T")
EKTP = Path(sys.executable).with_name("ektp")
STOP_S_MAX = 20  # contract: a SIGINT or SIGTERM stops everything within that
_serials = count(1)
_SEALED = re.compile(rb'"sealed":"[A-Za-z0-9+/]*={0,2}"')
PERSONAL: set[str] = set()  # names and NIKs that any command was given: no output may ever show one


def somebody() -> Nik:
    """A resident of age who never came before."""
    return Nik.of("367203", date(1990, 5, 1), "M", next(_serials))


def submission(*more: object) -> tuple[object, ...]:
    """The words of a submit command for somebody who never came before."""
    return ("submit", "--office", "367203", "--nik", somebody(), "--name", "Ratna Kusumawardhani", "--kind", "new", *more)


class Answer(NamedTuple):
    """What one call of `ektp` came to."""

    code: int
    document: dict[str, Any]  # of stdout, where --json was asked for
    stdout: str
    stderr: str

    @property
    def error(self) -> str:
        """The code of the refusal."""
        assert self.code == 1, self
        return str(self.document["error"]["code"])


def ektp(data: Path, *words: object, json: bool = True, lang: str = "en", **environment: str) -> Answer:
    """Call `ektp` and wait for it. Whatever it answers, it shows no traceback, no name and no NIK."""
    return answered(begin(data, *words, json=json, lang=lang, **environment), json=json)


def begin(data: Path, *words: object, json: bool = True, lang: str = "en", **environment: str) -> Call:
    """Call `ektp` and go on; `answered` waits for it."""
    typed = [str(word) for word in words]
    PERSONAL.update(value for option, value in pairwise(typed) if option in {"--nik", "--name"} and value.strip())
    command = [str(EKTP), *typed, "--data", str(data), "--lang", lang, *(["--json"] if json else [])]
    return Call(command, os.environ | environment)


def answered(call: Call, json: bool = True, timeout_s: float = 90) -> Answer:
    """The answer of a call that was begun."""
    stdout, stderr = call.communicate(timeout_s)
    assert "Traceback" not in stdout + stderr, stderr
    shown = [word for word in PERSONAL if word in stdout + stderr]
    assert not shown, f"{call.args!r} shows {shown}"
    return Answer(call.returncode, _document(stdout) if json else {}, stdout, stderr)


def _document(stdout: str) -> dict[str, Any]:
    """The one JSON document that stdout must be, and nothing beside it."""
    try:
        document: dict[str, Any] = json_.loads(stdout)
    except ValueError:
        raise AssertionError(f"not one JSON document: {stdout!r}") from None
    return document


@dataclass
class Up:
    """A running `ektp up`."""

    data: Path
    process: subprocess.Popen[str]
    ready: str  # the line

    @property
    def http(self) -> str:
        """Where HTTP is served."""
        return next(word for word in self.ready.split() if word.startswith("http://"))

    def part(self, name: str) -> psutil.Process:
        """The living descendant that is `nats-server`, `writer` or `reader`."""
        parts = psutil.Process(self.process.pid).children(recursive=True)
        return next(part for part in parts if any(Path(word).name == name for word in part.cmdline()))

    def stop(self, kind: signal.Signals = signal.SIGINT) -> None:
        """Ask it alone to stop; it does, in good order, in time, and leaves nothing running."""
        self.process.send_signal(kind)
        assert self.process.wait(STOP_S_MAX) == 0
        assert running_on(self.data) == []
        assert has_clean_stop(self.data)

    def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        self.process.wait()


def begin_up(data: Path, *words: object, lang: str = "en", **environment: str) -> subprocess.Popen[str]:
    """`ektp up` in a process group of its own, not yet ready."""
    return subprocess.Popen(
        [str(EKTP), "up", "--data", str(data), "--lang", lang, *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | environment,
        preexec_fn=die_with_parent(),  # noqa: PLW1509
    )


def start_up(data: Path, *words: object, lang: str = "en", **environment: str) -> Up:
    """Start `ektp up` and wait until it says that it is ready."""
    process = begin_up(data, *words, lang=lang, **environment)
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("ready"):
            return Up(data, process, line)
    raise AssertionError(f"it never was ready, exit code {process.wait()}")


@contextmanager
def running(data: Path, *words: object) -> Iterator[Up]:
    """`ektp up` for as long as the block lasts; stopped in good order at its end, unless it was killed."""
    up = start_up(data, *words)
    try:
        yield up
        if up.process.poll() is None:
            up.stop()
    finally:
        if up.process.poll() is None:
            up.kill()


def has_clean_stop(data: Path) -> bool:
    """Whether the marker of a stop in good order is there."""
    return (data / "run" / "clean-stop").exists()


def running_on(data: Path) -> list[str]:
    """Command lines of all processes that work on this data folder."""
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    return [line for line in lines if str(data) in line]


def files_that_show(data: Path) -> list[Path]:
    """Files below the data folder, logs and views included, with a name or a NIK that a command was given.

    What is sealed is left out: among so many letters of base 64 a name as short as Siti is found by chance.
    """
    words = [word.encode() for word in PERSONAL]
    contents = ((file, _SEALED.sub(b"", file.read_bytes())) for file in data.rglob("*") if file.is_file())
    return [file for file, content in contents if any(word in content for word in words)]


def eventually(what: Callable[[], T], timeout_s: float = 20) -> T:
    """Ask until the answer is true; an exception counts as no."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if answer := what():
                return answer
        except Exception:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.02)


def head(data: Path) -> int:
    """Position of the journal's last event, of a backbone that runs."""
    return asyncio.run(_with_journal(data, Journal.last_seq))


def history(data: Path) -> list[Event]:
    """Every event of a backbone that runs, in order."""

    async def everything(journal: Journal) -> list[Event]:
        last = await journal.last_seq()
        return [decode(stored.body, stored.seq) async for batch in read(journal, 0, last) for stored in batch]

    return asyncio.run(_with_journal(data, everything))


async def _with_journal(data: Path, ask: Callable[[Journal], Awaitable[T]]) -> T:
    folder = open_folder(data)
    there = endpoint(folder)
    assert there is not None, "no backbone runs there"
    connection = await connect(folder, "desk", there.url, timeout_s=2)
    try:
        return await ask(Journal(connection))
    finally:
        await connection.close()
