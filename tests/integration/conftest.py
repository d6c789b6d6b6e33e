"""A server of its own for each test, on a folder and a port of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.data_folder import DataFolder, open_folder
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_client import QuickClient
from infra.nats_server import NatsServer, start
from tests.support import connected_writer


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return open_folder(tmp_path / "data")


@pytest.fixture
async def server(folder: DataFolder) -> AsyncIterator[NatsServer]:
    server = await start(folder)
    yield server
    await server.stop()


@pytest.fixture
async def connection(server: NatsServer) -> AsyncIterator[QuickClient]:
    async with connected_writer(server) as connection:
        yield connection


@pytest.fixture
async def journal(connection: QuickClient) -> Journal:
    """A journal with nothing in it."""
    journal = Journal(connection)
    await journal.create()
    return journal


@pytest.fixture
async def commits(journal: Journal) -> AsyncIterator[GroupCommit]:
    async with GroupCommit(journal) as commits:
        yield commits
