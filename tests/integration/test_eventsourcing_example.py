"""The application in docs/eventsourcing.md runs as it stands there, on SQLite, PostgreSQL and JetStream."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorder_servers import Settings, jetstream, nats_server, postgres, sqlite

DOCUMENT = Path(__file__).parents[2] / "docs" / "eventsourcing.md"
APPLICATION, WORKING, RUNNER = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
SETTINGS = dict(re.findall(r"^export (\w+)=(\S+)", DOCUMENT.read_text(), re.M))
OF_VIEW = {name: value for name, value in SETTINGS.items() if name.startswith("OPENCOMPLAINTS_")}


@pytest.fixture(scope="module")
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Program"]:
    """The application, set up for one of the three; its data stay from test to test."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "complaints.py").write_text(APPLICATION)
    match request.param:
        case "sqlite":
            yield Program(folder, sqlite(folder / "complaints.sqlite") | OF_VIEW)
        case "postgres":
            with postgres() as settings:
                yield Program(folder, settings | OF_VIEW)
        case _:
            with nats_server(folder / "data") as server:
                given = jetstream(server)
                assert given.keys() | OF_VIEW.keys() == SETTINGS.keys()
                assert given["PERSISTENCE_MODULE"] == SETTINGS["PERSISTENCE_MODULE"]
                assert str(folder / SETTINGS["EKTP_NATS_CREDS"]) == given["EKTP_NATS_CREDS"]
                yield Program(folder, SETTINGS | {"EKTP_NATS_URL": server.url})


class Program:
    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder, self.environment = folder, os.environ | settings

    def prints(self, source: str) -> str:
        """What a program says, which must end well and have no complaint."""
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", source],
            cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout


@pytest.mark.parametrize("program", ["sqlite", "postgres", "jetstream"], indirect=True, scope="module")
def test_the_application_works_alike_on_each(program: Program) -> None:
    assert program.prints(WORKING) == "open: 2\nopen: 1\nanswers: 4 snapshots: 1\n"


@pytest.mark.parametrize("program", ["postgres", "jetstream"], indirect=True, scope="module")
def test_a_runner_counts_what_is_recorded_where_there_are_subscriptions(program: Program) -> None:
    assert program.prints(RUNNER) == "open: 1\n"
