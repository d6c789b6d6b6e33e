"""What of witnessing lies in the data folder: whom we trust, our own key as a witness, and what was cosigned.

keys/witnessed/*.vkey       public keys of the logs that we cosign for; the origin is the key's name
keys/witnessed/*.cosigned   the last checkpoint that we cosigned of each, by the SHA-256 of its origin
keys/witness-seed           our private key as a witness; its public key lies in log/witness-key
keys/witnesses.json         who cosigns our log: {"url", "key"} of each
log/cosigned/               our newest checkpoint with the cosignature of each, a signed note
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TypedDict

from events.calendar import CALENDAR_V1
from infra.data_folder import DataFolder, write_durably
from infra.folder_errors import FolderDamaged
from infra.tlog import merkle
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.identity import kept_signer
from infra.tlog.merkle import EMPTY_ROOT
from infra.tlog.note import WITNESS, BadNote, Note, Signer, Verifier, read_vkey
from infra.tlog.tiles import Tiles

LastCosigned = tuple[Checkpoint, Note, int]  # what a witness last cosigned, and when (POSIX seconds)


@dataclass(frozen=True)
class Witness:
    """Somebody who cosigns our log, at `<url>/add-checkpoint`."""

    url: str
    key: Verifier


class Cosigned(TypedDict):
    """One cosignature on a log: by whom, over how many entries, and when (ISO 8601, the office's zone)."""

    name: str
    size: int
    time: str


@contextmanager
def locked(folder: DataFolder) -> Iterator[Path]:
    """`keys/witnessed`, held against other threads and processes for as long as the block lasts."""
    directory = folder.keys / "witnessed"
    directory.mkdir(mode=0o700, exist_ok=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield directory
    finally:
        os.close(fd)


def trust(folder: DataFolder, key: Verifier) -> None:
    """Cosign for this log from now on. Raises OSError."""
    with locked(folder) as directory:
        write_durably(directory / f"{_plain(key)}+{key.id.hex()}.vkey", f"{key.vkey}\n".encode())


def trusted(folder: DataFolder) -> list[Verifier]:
    """Keys of the logs that we cosign for; several may be of one origin. Raises FolderDamaged."""
    found = []
    for file in sorted((folder.keys / "witnessed").glob("*.vkey")):
        try:
            found += [read_vkey(line) for line in file.read_text().splitlines()]
        except (BadNote, ValueError):
            raise FolderDamaged(str(folder.path), f"keys/witnessed/{file.name}") from None
    return found


def our_last(folder: DataFolder, origin: str) -> tuple[Checkpoint, Note | None]:
    """What we last cosigned of a log; the empty tree where we never did. Raises FolderDamaged: never begin anew then."""
    try:
        return read_checkpoint(our_last_file(folder, origin).read_text())
    except FileNotFoundError:
        return Checkpoint(origin, 0, EMPTY_ROOT), None
    except (BadNote, ValueError):
        raise FolderDamaged(str(folder.path), f"keys/witnessed/{our_last_file(folder, origin).name}") from None


def our_last_file(folder: DataFolder, origin: str) -> Path:
    return folder.keys / "witnessed" / f"{sha256(origin.encode()).hexdigest()}.cosigned"


def witness_signer(folder: DataFolder) -> Signer:
    """Our key as a witness, made on first use. Raises FolderDamaged where it is gone, since logs know it; OSError."""
    public = folder.log / "witness-key"
    return kept_signer(folder, "witness-seed", public, public.exists(), f"ektp/{folder.backbone}/witness", WITNESS)


def witnesses(folder: DataFolder) -> list[Witness]:
    """Who cosigns our log. Raises FolderDamaged."""
    try:
        written = json.loads((folder.keys / "witnesses.json").read_bytes())
        return [Witness(str(each["url"]), read_vkey(each["key"])) for each in written]
    except FileNotFoundError:
        return []
    except (BadNote, ValueError, KeyError, TypeError):
        raise FolderDamaged(str(folder.path), "keys/witnesses.json") from None


def ask_from_now_on(folder: DataFolder, witness: Witness) -> None:
    """Add this witness, or its new address. Raises FolderDamaged, OSError."""
    with locked(folder):
        others = [each for each in witnesses(folder) if each.key != witness.key]
        written = [{"url": each.url, "key": each.key.vkey} for each in [*others, witness]]
        write_durably(folder.keys / "witnesses.json", json.dumps(written, indent=1).encode())


def cosigned_file(directory: Path, key: Verifier) -> Path:
    """Where a log's directory keeps its newest checkpoint that this witness cosigned."""
    return directory / "cosigned" / _plain(key)


def cosigned(directory: Path, origin: str, key: Verifier) -> LastCosigned | None:
    """What that file holds; None where there is none by this key on this log."""
    try:
        checkpoint, note = read_checkpoint(cosigned_file(directory, key).read_text())
        signed_at = note.signed_by([key]).get(key.name)
    except (OSError, BadNote, ValueError):
        return None
    return (checkpoint, note, signed_at) if signed_at is not None and checkpoint.origin == origin else None


def cosigned_by(directory: Path, checkpoint: Checkpoint, witnesses: Iterable[Verifier]) -> list[Cosigned]:
    """Which of these witnesses cosigned the log in `directory`, each up to where; whether it still is so: `rolled_back`."""
    found = [(key, cosigned(directory, checkpoint.origin, key)) for key in witnesses]
    return [Cosigned(name=key.name, size=last[0].size, time=told(last[2])) for key, last in found if last]


def rolled_back(tiles: Tiles, origin: str, witnesses: Iterable[Verifier]) -> list[Cosigned]:
    """Those of them who saw more than this log has, or another beginning: proof that it was cut back or rewritten.

    Raises LogDamaged where a tile is missing or wrong.
    """
    found = []
    for key in witnesses:
        if last := cosigned(tiles.directory, origin, key):
            seen, _, signed_at = last
            if seen.size > tiles.size or merkle.root(seen.size, tiles.perfect) != seen.root:
                found.append(Cosigned(name=key.name, size=seen.size, time=told(signed_at)))
    return found


def told(posix_s: int) -> str:
    return datetime.fromtimestamp(posix_s, CALENDAR_V1.zone).isoformat()


def _plain(key: Verifier) -> str:
    return key.name.replace("/", "_")
