"""Which log this backbone's journal is, and its signing key: made once, kept with the other keys."""

import os
from collections.abc import Iterable
from pathlib import Path

from infra.data_folder import DataFolder, write_durably
from infra.folder_errors import FolderDamaged
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.note import LOG, BadNote, Signer, Verifier

EPOCH = 1  # a new stream would be a new log
_SEED_BYTES = 32


def origin(backbone: str) -> str:
    """The log's name: backbone and epoch."""
    return f"ektp/{backbone}/{EPOCH}"


def log_signer(folder: DataFolder) -> Signer:
    """The log's private key, made where there is neither key nor log yet; its public key lies in `log/key`.

    Raises FolderDamaged where it is missing beside a log that it signed, OSError.
    """
    used = (folder.log / "checkpoint").exists()
    return kept_signer(folder, "log-seed", folder.log / "key", used, origin(folder.backbone), LOG)


def kept_signer(folder: DataFolder, seed_name: str, public: Path, used: bool, name: str, kind: int) -> Signer:
    """A private key that is kept below `keys/`, made where it was never `used`; its public key is written to `public`.

    Raises FolderDamaged where it is missing or broken, OSError.
    """
    file = folder.keys / seed_name
    if not file.exists() and not used:
        write_durably(file, os.urandom(_SEED_BYTES))
    seed = file.read_bytes() if file.exists() else b""
    if len(seed) != _SEED_BYTES:
        raise FolderDamaged(str(folder.path), f"keys/{seed_name}")
    signer = Signer(name, seed, kind)
    if not public.exists():
        write_durably(public, f"{signer.verifier.vkey}\n".encode())
    return signer


def last_signed(file: Path, keys: Iterable[Verifier]) -> Checkpoint | None:
    """The checkpoint in a file; None where there is none, or it cannot be read, or none of these keys signed it."""
    try:
        checkpoint, note = read_checkpoint(file.read_text())
        return checkpoint if note.signed_by(keys) else None
    except (OSError, BadNote, UnicodeDecodeError):
        return None
