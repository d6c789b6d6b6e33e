"""Which log this backbone's journal is, and its signing key: made once, kept with the other keys."""

import os

from infra.data_folder import DataFolder, write_durably
from infra.folder_errors import FolderDamaged
from infra.tlog.note import Signer

EPOCH = 1  # a new stream would be a new log
_SEED_BYTES = 32


def origin(backbone: str) -> str:
    """The log's name: backbone and epoch."""
    return f"ektp/{backbone}/{EPOCH}"


def log_signer(folder: DataFolder) -> Signer:
    """The log's private key, made where there is neither key nor log yet; its public key lies in `log/key`.

    Raises FolderDamaged where it is missing beside a log that it signed, OSError.
    """
    file, public = folder.keys / "log-seed", folder.log / "key"
    if not file.exists():
        if (folder.log / "checkpoint").exists():
            raise FolderDamaged(str(folder.path), "keys/log-seed")
        write_durably(file, os.urandom(_SEED_BYTES))
    seed = file.read_bytes()
    if len(seed) != _SEED_BYTES:
        raise FolderDamaged(str(folder.path), "keys/log-seed")
    signer = Signer(origin(folder.backbone), seed)
    if not public.exists():
        write_durably(public, f"{signer.verifier.vkey}\n".encode())
    return signer
