"""What was done to the journal itself is told in it: once, whatever crashes, and not before the journal is whole again."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from events.audit import AdministrativeCall, AuditFact, PutBack, Restored
from infra.audit_notes import intend, keep_intended, notes
from infra.data_folder import DataFolder
from infra.folder_errors import DiskNearlyFull
from infra.guard.halt import halted
from infra.guard.restore import restore
from infra.guard.start import start_guarded
from infra.journal import STREAM
from infra.nats_configuration import stream_directory
from infra.nats_server import NatsServer
from infra.nats_users import accounts
from infra.tlog.identity import log_signer
from infra.tlog.writer import LogWriter
from services.audit_trail import follow_calls, record_notes
from tests.support import change, flip_bit, stored
from tests.writing import Writer, writing

COUNT = 30
TRAIL = "ektp.3672.audit.trail"


@asynccontextmanager
async def started(server: NatsServer) -> AsyncIterator[Writer]:
    """The writer as it begins; server and writer stopped in good order."""
    try:
        async with writing(server) as writer:
            await record_notes(server.folder, writer.store)
            yield writer
    finally:
        await server.stop()


async def filled(folder: DataFolder, logged: int = COUNT) -> None:
    """COUNT events, the first of them in the log, and nothing running."""
    async with started(await start_guarded(folder)) as writer:
        await writer.store.commits.append(*(change(f"c{number}") for number in range(COUNT)))
        await archive(folder, writer, logged)


async def archive(folder: DataFolder, writer: Writer, size: int) -> None:
    log = LogWriter(folder.log, log_signer(folder))
    log.add([event.body for event in (await stored(writer.journal))[log.size : size]])
    log.sign()


async def trail(writer: Writer) -> list[AuditFact]:
    """All that is told of the journal itself."""
    history = await writer.journal.load(TRAIL)
    return [event.fact for event in history if isinstance(event.fact, PutBack | Restored | AdministrativeCall)]


def a_flipped_bit(folder: DataFolder) -> None:
    flip_bit(folder, 7)


def a_store_that_is_gone(folder: DataFolder) -> None:
    shutil.rmtree(folder.nats / "jetstream")


def a_store_that_the_server_does_not_load(folder: DataFolder) -> None:
    (stream_directory(folder, STREAM) / "meta.inf").write_bytes(b"nonsense")


PUT_BACK: dict[Callable[[DataFolder], None], PutBack] = {
    a_flipped_bit: PutBack(why="altered", first=7, last=7, places=1, source="archive", events=COUNT),
    a_store_that_is_gone: PutBack(why="missing", first=1, last=COUNT, places=1, source="archive", events=COUNT),
    a_store_that_the_server_does_not_load: PutBack(
        why="differs", first=1, last=COUNT, places=1, source="archive", events=COUNT
    ),
}
DAMAGE = pytest.mark.parametrize("damage", PUT_BACK)


@DAMAGE
async def test_what_was_put_back_is_told_by_the_writer_that_starts_then_and_by_no_other(
    folder: DataFolder, damage: Callable[[DataFolder], None]
) -> None:
    await filled(folder)
    damage(folder)
    for _ in range(2):
        async with started(await start_guarded(folder)) as writer:
            assert await trail(writer) == [PUT_BACK[damage]]
            assert await writer.journal.last_seq() == COUNT + 1
    assert notes(folder) == []


class Crash(Exception):
    """Stands for a kill at this place."""


def crash(*_: object) -> None:
    raise Crash


@DAMAGE
@pytest.mark.parametrize("place", ["intend", "difference", "keep_old_store"])
async def test_a_guard_that_is_cut_off_tells_what_it_put_back_once(
    folder: DataFolder, damage: Callable[[DataFolder], None], place: str
) -> None:
    await filled(folder)
    damage(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"infra.guard.rebuild.{place}", crash)
        with pytest.raises(Crash):
            await start_guarded(folder)
    async with started(await start_guarded(folder)) as writer:
        assert await trail(writer) == [PUT_BACK[damage]]


async def test_a_guard_that_is_cut_off_behind_its_work_tells_of_it_all_the_same(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(folder)
    a_flipped_bit(folder)
    with monkeypatch.context() as patch:
        patch.setattr("infra.guard.aside._flatten", crash)  # the new store is in its place already
        with pytest.raises(Crash):
            await start_guarded(folder)
    async with started(await start_guarded(folder)) as writer:
        assert await trail(writer) == [PUT_BACK[a_flipped_bit]]


async def test_a_writer_that_is_cut_off_before_it_drops_the_note_tells_it_once(
    folder: DataFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await filled(folder)
    a_flipped_bit(folder)
    with monkeypatch.context() as patch:
        patch.setattr("services.audit_trail.drop", crash)
        with pytest.raises(Crash):
            async with started(await start_guarded(folder)):
                pass
    assert len(notes(folder)) == 1
    async with started(await start_guarded(folder)) as writer:
        assert await trail(writer) == [PUT_BACK[a_flipped_bit]]
    assert notes(folder) == []


async def test_what_may_not_be_appended_now_waits_for_the_next_writer(folder: DataFolder) -> None:
    def full() -> None:
        raise DiskNearlyFull(str(folder.path), 1, 512)

    await filled(folder)
    a_flipped_bit(folder)
    server = await start_guarded(folder)
    async with writing(server) as writer:
        writer.store.commits.may_append = full
        await record_notes(folder, writer.store)
        assert (len(notes(folder)), await trail(writer)) == (1, [])
    async with started(server) as writer:
        assert await trail(writer) == [PUT_BACK[a_flipped_bit]]


async def test_a_restore_is_told_with_what_is_lost(folder: DataFolder) -> None:
    await filled(folder, logged=20)
    flip_bit(folder, 25)
    await (await start_guarded(folder)).stop()
    assert halted(folder)
    await restore(folder)
    assert (await restore(folder)).set_aside is None  # nothing was wrong any more: nothing to tell
    async with started(await start_guarded(folder)) as writer:
        assert await trail(writer) == [Restored(restored=24, lost=6, first_lost=25)]
        assert await writer.journal.last_seq() == 25


@pytest.fixture
async def administered(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[NatsServer, Client]]:
    """A server that, unlike ours, has a user who may do anything; and that user."""

    def with_administrator(*given: Any) -> dict[str, Any]:
        settings = accounts(*given)
        settings["BACKBONE"]["users"].append({"user": "administrator", "password": "everything"})
        return settings

    await filled(folder)
    monkeypatch.setattr("infra.nats_configuration.accounts", with_administrator)
    server = await start_guarded(folder)
    administrator = await nats.connect(server.url, user="administrator", password="everything")
    yield server, administrator
    await administrator.close()
    await server.stop()


async def ask(administrator: Client, call: str, question: dict[str, Any] | None = None) -> None:
    await administrator.request(f"$JS.API.{call}.EKTP", json.dumps(question).encode() if question else b"", timeout=2)


@asynccontextmanager
async def following(server: NatsServer) -> AsyncIterator[Writer]:
    async with writing(server) as writer:
        task = asyncio.create_task(follow_calls(server.folder, writer.store, writer.journal.connection))
        await asyncio.sleep(0)
        await writer.journal.last_seq()  # the server has seen the subscription by now
        yield writer
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def told(call: str, outcome: str = "done") -> AdministrativeCall:
    return AdministrativeCall(call=call, stream="EKTP", account="BACKBONE", user="administrator", outcome=outcome)


async def test_calls_that_change_the_journal_are_told_with_their_outcome_and_ordinary_ones_are_not(
    administered: tuple[NatsServer, Client],
) -> None:
    server, administrator = administered
    async with following(server) as writer:
        config = (await writer.journal.info())["config"]
        await writer.journal.create()
        assert len(await stored(writer.journal)) == COUNT  # by a consumer that is made and deleted
        await ask(administrator, "STREAM.UPDATE", config | {"max_msgs": 1_000_000})
        await ask(administrator, "STREAM.UPDATE", config | {"deny_delete": False})
        await ask(administrator, "STREAM.PURGE", {})
        await ask(administrator, "STREAM.MSG.DELETE", {"seq": 1})
        async with asyncio.timeout(10):
            while len(calls := await trail(writer)) < 4:
                await asyncio.sleep(0.02)
        assert calls == [
            told("STREAM.UPDATE"),
            told("STREAM.UPDATE", "10052 stream configuration update can not cancel deny message deletes"),
            told("STREAM.PURGE", "10110 stream purge not permitted"),
            told("STREAM.MSG.DELETE", "10057 message delete not permitted"),
        ]


async def test_what_the_guard_puts_back_while_the_writer_lives_on_is_told_too(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.audit_trail._LOOK_S", 0.01)
    fact = PUT_BACK[a_flipped_bit]
    async with following(server) as writer:
        intend(server.folder, fact)
        keep_intended(server.folder)
        async with asyncio.timeout(10):
            while notes(server.folder):
                await asyncio.sleep(0.01)
        assert await trail(writer) == [fact]


async def test_a_journal_that_was_deleted_and_made_anew_takes_no_audit_fact_until_it_was_put_back(
    administered: tuple[NatsServer, Client],
) -> None:
    server, administrator = administered
    folder = server.folder
    async with following(server) as writer:
        config = (await writer.journal.info())["config"]
        await ask(administrator, "STREAM.DELETE")
        await ask(administrator, "STREAM.CREATE", config)
        async with asyncio.timeout(10):
            while len(notes(folder)) < 2:
                await asyncio.sleep(0.02)
        assert await writer.journal.last_seq() == 0
    await server.stop()
    async with started(await start_guarded(folder)) as writer:
        put_back = PutBack(why="altered", first=1, last=COUNT, places=2, source="archive", events=COUNT)
        assert await trail(writer) == [told("STREAM.DELETE"), told("STREAM.CREATE"), put_back]
        assert await writer.journal.last_seq() == COUNT + 3
