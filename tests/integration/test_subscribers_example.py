"""The programs in docs/subscribers.md run as they stand there: all events, once, also after kill -9; and they see a hole."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from infra.data_folder import DataFolder
from infra.nats_server import NatsServer, start
from tests.command import eventually
from tests.subscriber import Bank, bank_of
from tests.support import flip_bit

DOCUMENT = Path(__file__).parents[2] / "docs" / "subscribers.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)


@pytest.fixture
async def bank(server: NatsServer, tmp_path: Path) -> AsyncIterator[Bank]:
    async with bank_of(server, tmp_path) as bank:
        yield bank


def runs(bank: Bank, program: str) -> AbstractContextManager["subprocess.Popen[str]"]:
    return bank.runs(sys.executable, "-W", "error", "-c", program)


def knows(bank: Bank) -> list[tuple[int, str]]:
    with sqlite3.connect(bank.folder / "bank.sqlite") as db:
        return db.execute("select sequence, case_id from cards order by rowid").fetchall()


def cases(*seqs: int) -> list[tuple[int, str]]:
    return [(seq, f"case {seq}") for seq in seqs]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: program.split()[1])
async def test_it_hears_history_and_what_comes_and_goes_on_after_a_kill(bank: Bank, program: str) -> None:
    await bank.is_told_again_after(ack_wait_s=1)  # the server may send an event to one that was killed just now
    await bank.is_told(3, 5)
    with runs(bank, program):
        eventually(lambda: knows(bank) == cases(3, 5))
        await bank.is_told(6)
        eventually(lambda: knows(bank) == cases(3, 5, 6))
    await bank.is_told(9)
    with runs(bank, program):
        eventually(lambda: knows(bank) == cases(3, 5, 6, 9))


async def test_it_ends_where_the_server_counts_what_it_does_not_send(
    bank: Bank, server: NatsServer, folder: DataFolder
) -> None:
    await bank.is_told(3, 5, 6)
    await server.stop()
    flip_bit(folder, 2, "EKTP_FEED")
    again = await start(folder, server.port)
    with runs(bank, PROGRAMS[0].replace("SILENCE_S = 5", "SILENCE_S = 1")) as process:
        assert process.wait(20) == 1
        assert process.stderr is not None
        assert process.stderr.read().startswith("1 events are counted and do not come")
    assert knows(bank) == cases(3, 6)
    await again.stop()
