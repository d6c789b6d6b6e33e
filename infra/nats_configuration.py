"""How the embedded server is set up, and where it keeps things in the data folder."""

import json
from pathlib import Path
from typing import Any

from infra.data_folder import DataFolder, locked, write_durably
from infra.nats_users import ACCOUNT, accounts, make_passwords
from infra.subscribers import subscribers

HOST = "127.0.0.1"  # nobody outside this machine
LOG_BYTES_MAX = 10 << 20  # then the server begins a new log; it keeps one old one


def configuration_file(folder: DataFolder) -> Path:
    """Holds passwords, so it lies with the keys."""
    return folder.keys / "nats.conf"


def pid_file(folder: DataFolder) -> Path:
    return folder.nats / "server.pid"


def log_file(folder: DataFolder) -> Path:
    return folder.nats / "server.log"


def stream_directory(folder: DataFolder, stream: str) -> Path:
    """Where the server keeps a stream: its blocks are in `msgs`."""
    return folder.nats / "jetstream" / ACCOUNT / "streams" / stream


def batch_directories(folder: DataFolder) -> int:
    """Directories of atomic batches in the journal's store: those in flight, and leftovers (nats-server#8472)."""
    batches = stream_directory(folder, "EKTP") / "batches"
    return sum(entry.is_dir() for entry in batches.iterdir()) if batches.exists() else 0


def write_configuration(folder: DataFolder, port: int) -> Path:
    """The server's configuration, passwords included (0600), as JSON, which it reads. Raises OSError, FolderDamaged."""
    file = configuration_file(folder)
    with locked(folder.keys):  # a subscriber may be added at this moment
        settings = _settings(folder, port)
        write_durably(file, json.dumps(settings, indent=1, ensure_ascii=False).encode())
    return file


def _settings(folder: DataFolder, port: int) -> dict[str, Any]:
    return {
        "server_name": f"ektp-{folder.backbone}",
        "listen": f"{HOST}:{port}",
        "pid_file": str(pid_file(folder)),
        "log_file": str(log_file(folder)),
        "logfile_size_limit": LOG_BYTES_MAX,
        "logfile_max_num": 2,
        "jetstream": {
            "store_dir": str(folder.nats),
            "sync_interval": "always",  # acknowledged means on disk
            "max_memory_store": 1 << 30,
            "max_file_store": 1 << 40,  # the default, 3/4 of the free disk, would keep a full one's streams from loading
        },
        "accounts": accounts(make_passwords(folder), subscribers(folder)),
    }
