"""Erasures against a real journal: ordered once, and then the key goes, whatever overtakes it or cuts it short."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from events.envelope import Event, case_subject, decode
from events.stages import Kind
from infra.group_commit import Change
from infra.journal_errors import Conflict
from infra.keystore import Erased, ErasureUnfinished
from infra.nats_server import NatsServer
from services.command_handler import Done
from services.commands import Cancel, Submit
from services.erasure import Erase, RetentionHold
from services.erasure_handler import ErasureHandler, finish_erasures
from services.person import open_person
from tests.support import OFFICE, events, stored
from tests.writing import Writer, resident, running_clock, writing

NAME = "Kusumaningrum Widyastuti"


@pytest.fixture
async def writer(server: NatsServer) -> AsyncIterator[Writer]:
    async with writing(server) as writer:
        yield writer


@pytest.fixture
def erasures(server: NatsServer, writer: Writer) -> ErasureHandler:
    return ErasureHandler(writer.store, server.folder.secret(), running_clock())


def submit() -> Submit:
    return Submit(office=OFFICE, nik=resident(1), name=NAME, kind=Kind.NEW)


def erase(done: Done) -> Erase:
    return Erase(receipt=done.receipt, reason=f"permohonan {NAME}")


async def history(writer: Writer, done: Done) -> list[Event]:
    return await writer.journal.load(case_subject(OFFICE, done.case))


async def cancelled(writer: Writer) -> Done:
    """A case of the one resident of these tests, which is over."""
    done = await writer.handler.handle(submit(), "first")
    await writer.handler.handle(Cancel(receipt=done.receipt, reason=f"{NAME} pindah"), "first")
    return done


class Overtaking:
    """The next append of this writer is decided, and goes only when it is told to: others come first."""

    def __init__(self, writer: Writer, patch: pytest.MonkeyPatch) -> None:
        self.decided, self.may_go = asyncio.Event(), asyncio.Event()
        append = writer.store.commits.append

        async def held_back(*changes: Change) -> list[int]:
            patch.setattr(writer.store.commits, "append", append)
            self.decided.set()
            await self.may_go.wait()
            return await append(*changes)

        patch.setattr(writer.store.commits, "append", held_back)


async def test_an_erasure_adds_two_events_once_and_changes_none(writer: Writer, erasures: ErasureHandler) -> None:
    done = await cancelled(writer)
    before = await stored(writer.journal)
    assert open_person(writer.keystore, await history(writer, done))[:2] == (resident(1), NAME)
    answers = await asyncio.gather(*(erasures.erase(erase(done), key) for key in ("key", "key", "another", "third")))
    assert answers == [answers[0]] * 4
    assert answers[0] | {"erased": None} == {"receipt": done.receipt, "erased": None, "cases": (done.case,), "seq": 4}
    after = await stored(writer.journal)
    assert after[:3] == before
    assert [decode(one.body, one.seq).name for one in after[3:]] == ["ordered", "claims_closed"]
    assert NAME not in repr(after)
    with pytest.raises(Erased):
        open_person(writer.keystore, await history(writer, done))
    assert writer.store.resident(resident(1)) is None


async def test_a_submission_that_the_erasure_overtakes_is_of_somebody_new(
    writer: Writer, erasures: ErasureHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await cancelled(writer)
    submission = Overtaking(writer, monkeypatch)
    submitting = asyncio.create_task(writer.handler.handle(submit(), "second"))
    await submission.decided.wait()
    await erasures.erase(erase(first), "key")
    submission.may_go.set()
    second = await submitting
    residents = [(await history(writer, done))[0].fact.model_dump()["resident"] for done in (first, second)]
    assert residents[0] != residents[1] == writer.keystore.resident(resident(1))
    assert open_person(writer.keystore, await history(writer, second))[:2] == (resident(1), NAME)


async def test_an_erasure_that_a_submission_overtakes_is_refused(
    writer: Writer, erasures: ErasureHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await cancelled(writer)
    erasure = Overtaking(writer, monkeypatch)
    erasing = asyncio.create_task(erasures.erase(erase(first), "key"))
    await erasure.decided.wait()
    second = await writer.handler.handle(submit(), "second")
    erasure.may_go.set()
    with pytest.raises(RetentionHold) as held:
        await erasing
    assert held.value.receipt == second.receipt
    assert [event.name for event in await events(writer.journal)][3:] == ["submitted", "case_claimed"]
    assert open_person(writer.keystore, await history(writer, first))[:2] == (resident(1), NAME)


async def test_an_erasure_that_a_crash_cut_short_is_finished_by_the_next_writer_and_by_asking_again(
    server: NatsServer, writer: Writer, erasures: ErasureHandler, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = await cancelled(writer)

    def crash(_: str) -> None:
        raise SystemError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(writer.keystore, "destroy", crash)
        with pytest.raises(SystemError):
            await erasures.erase(erase(done), "key")
    assert open_person(writer.keystore, await history(writer, done)).name == NAME  # ordered, and not done
    with pytest.raises(Conflict):  # nobody claims a case for somebody who is about to go
        await writer.handler.handle(submit(), "second")
    async with writing(server) as restarted:
        await finish_erasures(restarted.store)
        with pytest.raises(Erased):
            open_person(restarted.keystore, await history(restarted, done))
        assert restarted.keystore.resident(resident(1)) is None
    assert (await erasures.erase(erase(done), "another"))["seq"] == 4


async def test_an_erasure_that_somebody_who_reads_the_keys_delays_is_finished_by_asking_again(
    server: NatsServer, writer: Writer, erasures: ErasureHandler
) -> None:
    done = await cancelled(writer)
    file = server.folder.keys / "keystore.sqlite"
    with closing(sqlite3.connect(file, isolation_level=None)) as reading:
        reading.execute("begin")
        ((key,),) = reading.execute("select key from residents").fetchall()
        writer.keystore._db.execute("pragma busy_timeout=20")
        with pytest.raises(ErasureUnfinished):
            await erasures.erase(erase(done), "key")
        await finish_erasures(writer.store)  # a writer that starts now goes on all the same
        assert _files_with(server.folder.keys, key) != []
    assert (await erasures.erase(erase(done), "key"))["seq"] == 4
    assert _files_with(server.folder.keys, key) == []


def _files_with(keys: Path, key: bytes) -> list[Path]:
    return [file for file in keys.iterdir() if key in file.read_bytes()]
