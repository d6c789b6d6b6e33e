"""Faults under commands that come at load: each is done once, and nobody is told what is not so (tests.history).

`make test` kills 20 times and freezes the server for 3 s, `make faults` 50 times and for 30 s.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal

import orjson
import psutil
import pytest

from events.calendar import CALENDAR_V1
from events.envelope import decode
from events.stages import Kind
from infra import group_commit
from infra.data_folder import open_folder
from infra.journal import Journal
from infra.nats_server import NatsServer
from services.commands import Advance, AnyCommand, Submit
from services.desk import Desk, Told
from tests.command import Up, eventually, running
from tests.history import History, ids_of, unlawful
from tests.support import OFFICE, events, lossy_link, stored
from tests.writing import Writer, resident, writing

KILLS = int(os.environ.get("EKTP_FAULT_KILLS", "20"))
KILLS_OF_A_LIFE = 8  # the more often the writer dies, the longer `up` waits before it starts it again
PAUSE_S = float(os.environ.get("EKTP_FAULT_PAUSE_S", "3"))
DESKS = 24


def submit(serial: int, office: str = OFFICE) -> Submit:
    return Submit(office=office, nik=resident(serial), name="Siti Rahayu", kind=Kind.NEW)


def do(step: str, receipt: str) -> Advance:
    return Advance.model_validate({"command": step, "receipt": receipt})


@dataclass(frozen=True)
class Officer:
    """Somebody who has commands done, and logs what came of them."""

    history: History
    secret: bytes
    send: Callable[[AnyCommand, str], Awaitable[dict[str, Any]]]

    async def insist(self, command: AnyCommand, key: str) -> str:
        """The receipt; where the answer is to ask again, again with the same key. Raises what else was the answer."""
        while True:
            with self.history.asking(ids_of(self.secret, command, key)) as call:
                done = await self.send(command, key)
                call.seqs = [done["seq"]]
                return str(done["receipt"])
            assert call.refused
            if not call.refused.document()["retryable"]:
                raise call.refused

    async def whole_case(self, serial: int) -> None:
        receipt = await self.insist(submit(serial), f"{serial}")
        for step in ("record", "queue", "print", "collect"):
            await self.insist(do(step, receipt), f"{serial}")


def at_handler(writer: Writer, server: NatsServer, history: History) -> Officer:
    async def send(command: AnyCommand, key: str) -> dict[str, Any]:
        return vars(await writer.handler.handle(command, key))

    return Officer(history, server.folder.secret(), send)


@asynccontextmanager
async def desks(data: Path, history: History, number: int) -> AsyncIterator[list[tuple[Officer, Desk]]]:
    """Officers who ask over NATS, each with a connection of their own."""
    folder = open_folder(data)
    there = [Desk(folder) for _ in range(number)]
    yield [(Officer(history, folder.secret(), desk.command), desk) for desk in there]
    for desk in there:
        await desk.close()


@asynccontextmanager
async def rush(data: Path, history: History, serials: "count[int]") -> AsyncIterator[None]:
    """Within the block many desks take one case after the other to its end; then each command was done once."""
    over = asyncio.Event()

    async def serve(officer: Officer) -> None:
        while not over.is_set():
            await officer.whole_case(next(serials))

    async with desks(data, history, DESKS) as officers:
        async with asyncio.TaskGroup() as serving:
            for officer, _ in officers:
                serving.create_task(serve(officer))
            try:
                yield
            finally:
                over.set()  # a task that misses being cancelled, as Python 3.11 lets it, would hide what failed
        await assert_each_is_done_once(await officers[0][1].journal(), history)


async def progress(history: History, commands: int) -> None:
    """Wait until so many more were acknowledged."""
    target = history.acknowledged + commands
    async with asyncio.timeout(60):
        while history.acknowledged < target:
            await asyncio.sleep(0.02)


def kill(up: Up, name: str) -> None:
    """kill -9; returns when another is in its place."""
    part = up.part(name)
    part.kill()
    eventually(lambda: up.part(name).pid != part.pid)


async def assert_each_is_done_once(journal: Journal, history: History) -> None:
    messages = await stored(journal)
    assert history.findings(messages) + unlawful(decode(one.body, one.seq) for one in messages) == []
    assert len(messages) == len({id_ for call in history.calls for id_ in call.ids})


async def test_commands_outlive_what_is_killed_under_them(tmp_path: Path) -> None:
    history, serials = History(), count(1)
    victims = ["nats-server", "writer"] * (KILLS // 2)
    random.shuffle(victims)
    for first in range(0, KILLS, KILLS_OF_A_LIFE):
        with running(tmp_path / "data") as up:
            async with rush(up.data, history, serials):
                await progress(history, 50)
                for victim in victims[first : first + KILLS_OF_A_LIFE]:
                    await asyncio.to_thread(kill, up, victim)
                    # Every other time the next one comes at once: while appends are in doubt and the writer only starts.
                    await progress(history, random.choice([0, 50]))
                await progress(history, 50)


async def test_commands_outlive_a_server_that_stands_still(tmp_path: Path) -> None:
    history = History()
    with running(tmp_path / "data") as up:
        async with rush(up.data, history, count(1)):
            await progress(history, 50)
            server = up.part("nats-server")
            server.suspend()
            try:
                await asyncio.to_thread(eventually, lambda: server.status() == psutil.STATUS_STOPPED)
                await asyncio.sleep(PAUSE_S / 2)
                acknowledged = history.acknowledged
                await asyncio.sleep(PAUSE_S / 2)
                assert history.acknowledged == acknowledged  # it did stand still
            finally:
                server.resume()
            await progress(history, 50)


async def test_of_two_submissions_at_two_offices_over_two_connections_one_wins(tmp_path: Path) -> None:
    history = History()
    with running(tmp_path / "data") as up:
        async with desks(up.data, history, 2) as ((one, desk), (other, _)):
            at_once = [
                officer.insist(submit(serial, office), f"{serial}")
                for serial in range(1, 101)
                for officer, office in ((one, "367203"), (other, "367208"))
            ]
            told = await asyncio.gather(*at_once, return_exceptions=True)
            assert {type(answer) for answer in told} == {str, Told}
            for pair in zip(told[::2], told[1::2], strict=True):
                (receipt,) = [answer for answer in pair if isinstance(answer, str)]
                (refused,) = [answer for answer in pair if isinstance(answer, Told)]
                assert (refused.code, refused.reply["receipt"]) == ("case_open", receipt)
            messages = await stored(await desk.journal())
    assert history.findings(messages) + unlawful(decode(one.body, one.seq) for one in messages) == []
    assert len(messages) == 200


@pytest.mark.parametrize("how", ["drop", "cut"])  # cut: the connection goes with it
async def test_of_1000_commands_whose_acknowledgement_is_lost_each_is_done_once(
    server: NatsServer, how: Literal["drop", "cut"]
) -> None:
    history = History()
    waits_s = 0.8 if how == "drop" else 5  # what is lost is waited for; a cut is noticed at once
    async with lossy_link(server) as (link, url), writing(server, url, request_s=waits_s, append_s=60) as writer:
        link.how, link.to_lose = how, 10_000  # all
        officer = at_handler(writer, server, history)
        await asyncio.gather(*(officer.whole_case(serial) for serial in range(1, 201)))
        lost = [orjson.loads(answer).get("count", 1) for answer in link.lost]  # events: a batch has one answer
        if how == "drop":
            assert sum(lost) == 1_200  # 1,000 commands, and a claim for each submission
        else:
            assert writer.journal.connection.stats["reconnects"] == len(lost) >= 5
    assert history.acknowledged == len(history.calls) == 1_000  # nobody had to ask again
    async with writing(server) as writer:
        officer = at_handler(writer, server, history)
        await asyncio.gather(*(officer.whole_case(serial) for serial in range(1, 201)))  # the same answers
        await assert_each_is_done_once(writer.journal, history)


async def test_a_clock_that_is_set_back_turns_no_time_round(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    history, hour = History(), timedelta(hours=1)
    ten = shown = datetime(2026, 11, 25, 10, tzinfo=CALENDAR_V1.zone)

    class Clock(datetime):
        @classmethod
        def now(cls, _: object = None) -> datetime:  # type: ignore[override]
            return shown.astimezone(UTC)

    monkeypatch.setattr(group_commit, "datetime", Clock)
    async with writing(server, now=lambda: shown) as writer:
        officer = at_handler(writer, server, history)
        before = await officer.insist(submit(1), "key 1")
        await officer.insist(do("record", before), "key")
        shown -= hour
        await officer.insist(do("queue", before), "key")
        after = await officer.insist(submit(2), "key 2")
    async with writing(server, now=lambda: shown) as writer:  # which starts with the wrong time
        officer = at_handler(writer, server, history)
        await officer.insist(do("print", before), "key")
        await officer.insist(do("record", after), "key")
        await assert_each_is_done_once(writer.journal, history)
        times = [(event.name, event.occurred, event.recorded) for event in await events(writer.journal)]
    first = [(name, ten, ten) for name in ("submitted", "case_claimed", "recorded", "queued")]
    second = [(name, ten - hour, ten) for name in ("submitted", "case_claimed")]
    assert times == [*first, *second, ("printed", ten, ten), ("recorded", ten - hour, ten)]
