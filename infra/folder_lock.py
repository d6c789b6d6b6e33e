"""Who runs the backbone of a data folder, who uses it, and where it answers: two locks and one address.

The locks are flock(2): the kernel lets go of them when a process ends, kill -9 included, and programs that we start do
not inherit them (Python opens files close-on-exec). A process that merely forks would share them: do not.
"""

import asyncio
import fcntl
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Self

from events.problem import Problem
from infra.data_folder import DataFolder, write_durably
from infra.folder_errors import writing

WAIT_S = 10.0  # a start waits this long for a holder that is going
_POLL_S = 0.05


@dataclass(eq=False)
class SecondBackbone(Problem):
    """Another process runs the backbone of this folder, or has not finished stopping it; nothing was started."""

    folder: str
    pid: int  # 0 where the holder has not yet said
    code: ClassVar[str] = "second_backbone"
    status: ClassVar[int] = 409
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Proses {pid} sedang menjalankan layanan dengan folder {folder}. Tidak ada yang dijalankan. "
        "Hentikan proses itu dahulu, atau pilih folder lain dengan --data."
    )
    sentence_en: ClassVar[str] = (
        "Process {pid} runs the backbone of {folder}. Nothing was started. "
        "Stop it first, or choose another folder with --data."
    )


@dataclass(frozen=True)
class Lock:
    """A lock that is held until release, the end of its `with` block, or the end of the process."""

    fd: int

    def release(self) -> None:
        os.close(self.fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


OwnerLock = Lock


@dataclass(frozen=True)
class Endpoint:
    """Where a running backbone answers."""

    url: str  # nats://127.0.0.1:PORT
    pid: int  # of the process that holds the owner's lock


def try_owner(folder: DataFolder) -> OwnerLock | None:
    """The right to run the backbone, or None while someone else has it. Removes the address that a killed owner left."""
    lock = _try(folder.owner_lock, fcntl.LOCK_EX)
    if lock is not None:
        os.ftruncate(lock.fd, 0)
        os.pwrite(lock.fd, str(os.getpid()).encode(), 0)
        withdraw(folder)
    return lock


def is_owned(folder: DataFolder) -> bool:
    """Whether somebody runs the backbone, or is about to. Writes nothing."""
    try:
        fd = os.open(folder.owner_lock, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


async def take_owner(folder: DataFolder, wait_s: float = WAIT_S) -> OwnerLock:
    """The right to run the backbone; waits for a holder that is going. Raises SecondBackbone after `wait_s` seconds."""
    return await _take(folder, lambda: try_owner(folder), wait_s)


@asynccontextmanager
async def users_shared(folder: DataFolder, wait_s: float = WAIT_S) -> AsyncIterator[None]:
    """Held while a command uses the backbone: whoever started it for a single command waits for this one too.

    Take it first, then look for the endpoint. Raises SecondBackbone when the backbone takes longer than `wait_s` to stop.
    """
    with await _take(folder, lambda: _try(folder.users_lock, fcntl.LOCK_SH), wait_s):
        yield


@asynccontextmanager
async def users_exclusive(folder: DataFolder) -> AsyncIterator[None]:
    """Waits, as long as it takes, until no command uses the backbone; held while it is stopped."""
    with await _take(folder, lambda: _try(folder.users_lock, fcntl.LOCK_EX), float("inf")):
        yield


def announce(folder: DataFolder, url: str) -> None:
    """Tell commands where to go. Only the owner does, when everything serves. Raises FolderNotWritable."""
    with writing(folder.path):
        write_durably(folder.endpoint, json.dumps(asdict(Endpoint(url, os.getpid()))).encode())


def withdraw(folder: DataFolder) -> None:
    """Take the address back; only the owner does, before it stops."""
    folder.endpoint.unlink(missing_ok=True)


def endpoint(folder: DataFolder) -> Endpoint | None:
    """Where the backbone answers; None while none serves. True only while the owner's lock is held by someone."""
    try:
        said = json.loads(folder.endpoint.read_bytes())
    except FileNotFoundError:
        return None
    return Endpoint(said["url"], said["pid"])


def _try(file: Path, kind: int) -> Lock | None:
    fd = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return Lock(fd)


async def _take(folder: DataFolder, attempt: Callable[[], Lock | None], wait_s: float) -> Lock:
    deadline = time.monotonic() + wait_s
    while (lock := attempt()) is None:
        if time.monotonic() >= deadline:
            raise SecondBackbone(str(folder.path), _owner_pid(folder))
        await asyncio.sleep(_POLL_S)
    return lock


def _owner_pid(folder: DataFolder) -> int:
    with suppress(ValueError):
        return int(folder.owner_lock.read_text())
    return 0
