"""The programs in docs/subscribers.md run as they stand there: all events, once, also after kill -9; and they see a hole."""

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from events.envelope import Event
from events.feed import public
from infra.data_folder import DataFolder
from infra.journal import Journal
from infra.nats_leftover import die_with_parent
from infra.nats_server import NatsServer, start
from projections.feed import feed_stream
from services.subscribers import add
from tests.applications import COLLECTED, NOW, OFFICE
from tests.command import eventually
from tests.support import flip_bit
from tests.telling import reader_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "subscribers.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)


@pytest.fixture
async def bank(server: NatsServer, tmp_path: Path) -> AsyncIterator["Bank"]:
    async with reader_of(server) as reader:
        feed = feed_stream(reader.connection)
        given = await add(feed, server.folder, server.url, "bank", ["collected", "breached"], OFFICE)
        yield Bank(tmp_path, given, reader)


class Bank:
    """The folder of a subscriber that runs the program."""

    def __init__(self, folder: Path, given: dict[str, Any], reader: Journal) -> None:
        self.folder, self._reader = folder, reader
        (folder / "bank.json").write_text(json.dumps(given))

    async def is_told(self, *seqs: int) -> None:
        for seq in seqs:
            message = public(Event(f"{seq:032x}", OFFICE, f"case {seq}", 5, NOW, COLLECTED, recorded=NOW, seq=seq))
            assert message
            await self._reader.connection.request(*message)

    @contextmanager
    def runs(self, program: str) -> Iterator["subprocess.Popen[str]"]:
        """Until the end of the block; then kill -9."""
        with subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program],
            cwd=self.folder, stderr=subprocess.PIPE, text=True, preexec_fn=die_with_parent(),  # noqa: PLW1509
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    def knows(self) -> list[tuple[int, str]]:
        with sqlite3.connect(self.folder / "bank.sqlite") as db:
            return db.execute("select sequence, case_id from cards order by rowid").fetchall()


def cases(*seqs: int) -> list[tuple[int, str]]:
    return [(seq, f"case {seq}") for seq in seqs]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.split()[1])
async def test_it_hears_history_and_what_comes_and_goes_on_after_a_kill(bank: Bank, program: str) -> None:
    await bank.is_told(3, 5)
    with bank.runs(program):
        eventually(lambda: bank.knows() == cases(3, 5))
        await bank.is_told(6)
        eventually(lambda: bank.knows() == cases(3, 5, 6))
    await bank.is_told(9)
    with bank.runs(program):
        eventually(lambda: bank.knows() == cases(3, 5, 6, 9))


async def test_it_ends_where_the_server_counts_what_it_does_not_send(
    bank: Bank, server: NatsServer, folder: DataFolder
) -> None:
    await bank.is_told(3, 5, 6)
    await server.stop()
    flip_bit(folder, 2, "EKTP_FEED")
    again = await start(folder, server.port)
    with bank.runs(PROGRAMS[0].replace("SILENCE_S = 5", "SILENCE_S = 1")) as process:
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert process.stderr.read().startswith("1 events are counted and do not come")
    assert bank.knows() == cases(3, 6)
    await again.stop()
