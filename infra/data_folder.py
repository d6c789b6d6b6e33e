"""The data folder: everything that one backbone keeps, and nothing outside it.

    backbone.json   format, backbone id, when it was made; written last when the folder is made, never again
    owner.lock      held by the process that runs the backbone; users.lock by everyone who uses it (folder_lock)
    run/            endpoint.json while it serves; clean-stop after a stop in good order; what is to become an audit fact
    nats/           the server's store, log and pid
    keys/           secret, the server's users, later the keystore; left out of export and backup
    views/          the projections' databases
    log/            the journal's transparency log: checkpoint, public key, tiles, archived events (tlog/tiles.py)
    aside/          copies of the server's blocks that were found damaged

Every directory is for its owner alone (0700), every file of ours too (0600).
"""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from events.offices import BACKBONE_ID
from infra.folder_errors import DiskNearlyFull, FolderDamaged, NewerFolder, NotAFolder, NotOurs, TooLittleSpace, writing

FORMAT = 1
SECRET_SIZE = 32  # bytes
START_MIB_MIN = 256  # free disk below which no server is started: it takes no writes after a full disk until restarted
RECORD_MIB_MIN = 512  # free disk below which nothing more is recorded


@dataclass(frozen=True)
class DataFolder:
    """One backbone's folder, as open_folder found or made it."""

    path: Path  # absolute
    backbone: str  # id of the backbone, fixed when the folder was made

    @property
    def owner_lock(self) -> Path:
        return self.path / "owner.lock"

    @property
    def users_lock(self) -> Path:
        return self.path / "users.lock"

    @property
    def endpoint(self) -> Path:
        return self.path / "run" / "endpoint.json"

    @property
    def clean_stop(self) -> Path:
        """Present only after a stop in good order; the server's start removes it."""
        return self.path / "run" / "clean-stop"

    @property
    def nats(self) -> Path:
        return self.path / "nats"

    @property
    def keys(self) -> Path:
        return self.path / "keys"

    @property
    def views(self) -> Path:
        return self.path / "views"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def aside(self) -> Path:
        return self.path / "aside"

    def secret(self) -> bytes:
        """32 random bytes from which receipts and keyed hashes follow. Raises FolderDamaged."""
        file = self.keys / "secret"
        secret = file.read_bytes() if file.exists() else b""
        if len(secret) != SECRET_SIZE:
            raise FolderDamaged(str(self.path), "keys/secret")
        return secret


def open_folder(path: Path) -> DataFolder:
    """Open the data folder, or make it where nothing is yet; two processes may do so at once.

    Raises NotAFolder, NotOurs, NewerFolder, FolderDamaged or FolderNotWritable.
    """
    with writing(path):
        path = path.resolve()
        if path.is_file():
            raise NotAFolder(str(path))
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with locked(path):
            if not (path / "backbone.json").exists():
                _make(path)
            folder = DataFolder(path, _backbone(path))
            folder.secret()
            for directory in (folder.keys, folder.nats, folder.views, folder.log, folder.aside, folder.endpoint.parent):
                directory.mkdir(mode=0o700, exist_ok=True)
            folder.keys.chmod(0o700)  # a copy may have come back with wider rights
            for lock in (folder.owner_lock, folder.users_lock):
                os.close(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600))  # fails where the folder is read-only
    return folder


def free_bytes(folder: DataFolder) -> int:
    """Bytes of disk that an ordinary user may still fill."""
    return shutil.disk_usage(folder.path).free


def require_space(folder: DataFolder) -> None:
    """Raises TooLittleSpace where a server should not be started."""
    free_mib = free_bytes(folder) >> 20
    if free_mib < START_MIB_MIN:
        raise TooLittleSpace(str(folder.path), free_mib, START_MIB_MIN)


def require_room(folder: DataFolder) -> None:
    """Raises DiskNearlyFull where nothing more should be recorded. Asked before every append; it takes 4 µs.

    A fixed size and no share of the disk: what we write next does not grow with the disk, and an old PC has a small one.
    What may be under way, 2,000 commands and a chunk of a register book, comes to 20 MiB in journal, batch and views; the
    rest is for logs, for the server's index, and so that a stopped backbone can still be started to be asked.
    """
    free_mib = free_bytes(folder) >> 20
    if free_mib < RECORD_MIB_MIN:
        raise DiskNearlyFull(str(folder.path), free_mib, RECORD_MIB_MIN)


def write_durably(file: Path, content: bytes) -> None:
    """Replace `file` whole or not at all (0600), on disk when this returns. One process at a time. Raises OSError."""
    new = file.with_name(file.name + ".new")
    _write(new, content)
    new.replace(file)
    sync_names(file.parent)


def remove_durably(file: Path) -> None:
    """Remove `file` if it is there; gone from disk when this returns. Raises OSError."""
    file.unlink(missing_ok=True)
    sync_names(file.parent)


def _make(path: Path) -> None:
    making = path / "backbone.json.making"
    if not making.exists() and {entry.name for entry in path.iterdir()} - {"lost+found"}:  # every new ext4 volume has that
        raise NotOurs(str(path))
    identity = {"format": FORMAT, "backbone": BACKBONE_ID, "made": datetime.now(UTC).isoformat(timespec="seconds")}
    _write(making, json.dumps(identity).encode())  # from here on the folder is ours, though unfinished
    (path / "keys").mkdir(mode=0o700, exist_ok=True)
    write_durably(path / "keys" / "secret", os.urandom(SECRET_SIZE))
    making.rename(path / "backbone.json")
    sync_names(path)


def _backbone(path: Path) -> str:
    try:
        identity = json.loads((path / "backbone.json").read_bytes())
        written_format, backbone = int(identity["format"]), str(identity["backbone"])
    except (ValueError, KeyError, TypeError):
        raise FolderDamaged(str(path), "backbone.json") from None
    if written_format > FORMAT:
        raise NewerFolder(str(path), written_format, FORMAT)
    return backbone


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a directory itself, so that no lock file lands in a folder that is not ours. Held for milliseconds."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def sync_names(directory: Path) -> None:
    """What was made, renamed or removed in this directory is on disk when it returns. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(file: Path, content: bytes) -> None:
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(fd, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(fd)
