"""Commands against a real journal: each is done once, by one of those who ask at once, and answered the same ever after."""

import asyncio
import random
from collections.abc import AsyncIterator
from itertools import count

import orjson
import pytest

from events.application import Submitted
from events.stages import ORDER, Kind, Stage
from infra.journal_errors import JournalBusy, JournalDamaged
from infra.nats_server import NatsServer
from services.command_handler import Done
from services.commands import Advance, AnyCommand, Cancel, Return, Submit
from services.refusals import CaseOpen, KeyReused
from tests.history import History, ids_of, unlawful
from tests.support import OFFICE, damaged, events, stored
from tests.writing import Writer, are_stored, freezing_appends, resident, writing

NAME, REASON = "Siti Rahayu", "pindah ke luar kota"
STEPS = ("record", "queue", "print", "collect")


@pytest.fixture
async def writer(server: NatsServer) -> AsyncIterator[Writer]:
    async with writing(server) as writer:
        yield writer


def submit(serial: int = 1, office: str = OFFICE, **said: str) -> Submit:
    return Submit(**{"office": office, "nik": resident(serial), "name": NAME, "kind": Kind.NEW} | said)


def do(step: str, receipt: str, **said: str) -> Advance:
    return Advance.model_validate({"command": step, "receipt": receipt} | said)


async def outcomes(writer: Writer, *asked: tuple[AnyCommand, str]) -> list[Done | BaseException]:
    """What these commands, each with its key, come to at once."""
    return await asyncio.gather(*(writer.handler.handle(command, key) for command, key in asked), return_exceptions=True)


async def test_the_same_command_again_has_the_same_answer_and_adds_nothing(server: NatsServer, writer: Writer) -> None:
    answers = await outcomes(writer, *[(submit(), "key")] * 10)
    done = answers[0]
    assert isinstance(done, Done)
    assert answers == [done] * 10
    steps = [do(step, done.receipt) for step in STEPS]
    first = {}
    for step in steps:
        again = await outcomes(writer, *[(step, "key")] * 10)
        first[step.command] = again[0]
        assert again == [again[0]] * 10
    assert [one.stage for one in first.values() if isinstance(one, Done)] == list(ORDER[1:])
    assert [event.name for event in await events(writer.journal)] == ["submitted", "case_claimed", *ORDER[1:]]
    async with writing(server) as restarted:  # and so for ever
        assert await restarted.handler.handle(submit(), "key") == done
        for step in steps:
            assert await restarted.handler.handle(step, "key") == first[step.command]
        assert await restarted.journal.last_seq() == 6


async def unanswered(server: NatsServer, writer: Writer, command: Submit, key: str) -> str:
    """Submit while the server does not answer, though it is stored. Returns its case's subject."""
    with freezing_appends(server, writer) as subjects, pytest.raises(JournalBusy) as busy:
        await writer.handler.handle(command, key)
    assert busy.value.stored == "unknown"
    await are_stored(writer, subjects)
    return subjects[0]


async def test_after_an_unknown_outcome_the_answer_is_what_was_stored(server: NatsServer) -> None:
    async with writing(server, request_s=0.3, append_s=0.5) as writer:
        subject = await unanswered(server, writer, submit(), "key")
        done = await writer.handler.handle(submit(), "key")
        (submitted,) = await writer.journal.load(subject)
        assert isinstance(submitted.fact, Submitted)
        assert (done.seq, done.promised) == (submitted.seq, submitted.fact.promised)
        assert await writer.handler.handle(submit(), "key") == done
        assert await writer.journal.last_seq() == 2


async def test_after_an_unknown_outcome_the_resident_has_one_case_not_two(server: NatsServer) -> None:
    async with writing(server, request_s=0.3, append_s=0.5) as writer:
        await unanswered(server, writer, submit(), "key")
        with pytest.raises(CaseOpen):
            await writer.handler.handle(submit(office="367204"), "another key")
        assert await writer.journal.last_seq() == 2


async def test_the_same_key_with_other_content_is_refused(writer: Writer) -> None:
    done = await writer.handler.handle(submit(), "key")
    await writer.handler.handle(do("record", done.receipt, serial="B-1"), "key")
    for other in (submit(2), submit(kind="lost"), submit(name="Siti"), do("record", done.receipt, serial="B-2")):
        with pytest.raises(KeyReused):
            await writer.handler.handle(other, "key")
    assert await writer.journal.last_seq() == 3


async def test_the_same_key_with_other_content_at_the_same_time_is_refused_too(writer: Writer) -> None:
    for serial in range(1, 11):
        key = f"key {serial}"
        one, other = submit(serial), submit(serial, name="Siti")
        done, refused = await outcomes(writer, (one, key), (other, key))
        assert isinstance(done, Done)
        assert isinstance(refused, KeyReused)
        one_step, other_step = do("record", done.receipt, serial="B-1"), do("record", done.receipt, serial="B-2")
        recorded, refused = await outcomes(writer, (one_step, key), (other_step, key))
        assert isinstance(recorded, Done)
        assert isinstance(refused, KeyReused)
        assert await outcomes(writer, (one, key), (one_step, key)) == [done, recorded]
    assert await writer.journal.last_seq() == 30


@pytest.mark.parametrize("name", ["Siti Rahayu", "Siti"])
async def test_a_submission_that_the_same_one_overtook_is_done_already_or_its_key_was_reused(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    done = await writer.handler.handle(submit(1, name="Siti Rahayu"), "key")
    is_new, asked = writer.store.is_new, count()

    async def overtaken(subject: str) -> bool:
        return next(asked) == 0 or await is_new(subject)

    monkeypatch.setattr(writer.store, "is_new", overtaken)
    (told,) = await outcomes(writer, (submit(1, name=name), "key"))
    assert next(asked) == 2  # it was decided again
    assert told == done if name == "Siti Rahayu" else isinstance(told, KeyReused)
    assert await writer.journal.last_seq() == 2


async def test_64_commands_on_8_cases_at_once_make_lawful_histories(server: NatsServer, writer: Writer) -> None:
    history = History()

    async def patient(command: AnyCommand, key: str) -> str:
        """The receipt. Asks again in a moment, as the case may be further then; at last gives up."""
        for _ in range(20):
            with history.asking(ids_of(server.folder.secret(), command, key)) as call:
                done = await writer.handler.handle(command, key)
                call.seqs = [done.seq]
                return done.receipt
            await asyncio.sleep(0.005)
        return ""

    receipts = [await patient(submit(serial), f"{serial}") for serial in range(1, 9)]
    asked: list[tuple[AnyCommand, str]] = []
    for receipt in receipts:
        asked += [(do(step, receipt), "1") for step in STEPS] + [(do("record", receipt), "2"), (do("queue", receipt), "2")]
        asked += [(Return(receipt=receipt, to=Stage.SUBMITTED, reason=REASON), "1")]
        asked += (
            [(Cancel(receipt=receipt, reason=REASON), "1")] if receipt in receipts[:4] else [(do("print", receipt), "2")]
        )
    random.Random(7).shuffle(asked)
    await asyncio.gather(*(patient(command, key) for command, key in asked))
    assert 16 < history.acknowledged - len(receipts) < 64
    assert history.findings(await stored(writer.journal)) + unlawful(await events(writer.journal)) == []


async def test_nobody_is_named_in_the_journal_and_the_keystore_gives_it_back(writer: Writer) -> None:
    done = await writer.handler.handle(submit(reason=REASON), "key")
    await writer.handler.handle(Cancel(receipt=done.receipt, reason=REASON), "key")
    messages = await stored(writer.journal)
    assert len(messages) == 3
    for message in messages:
        assert [word for word in (resident(1), NAME, REASON, "1990") if word.encode() in message.body] == []
    submitted, _, cancelled = await events(writer.journal)
    for event, personal in (
        (submitted, {"nik": resident(1), "name": NAME, "born": "1990-05-01", "reason": REASON}),
        (cancelled, {"reason": REASON}),
    ):
        assert event.fact.sealed
        bound_to = f"{event.id} {event.fact.TYPE} {event.entity_id}"
        person = writer.keystore.resident(resident(1))
        assert person
        assert orjson.loads(writer.keystore.open(person, event.fact.sealed, bound_to)) == personal


@pytest.mark.parametrize("seq", [1, 2, 3])  # the submission, the claim, the record
async def test_a_command_on_a_damaged_history_is_refused(server: NatsServer, writer: Writer, seq: int) -> None:
    receipt = (await writer.handler.handle(submit(), "key")).receipt
    await writer.handler.handle(do("record", receipt), "key")
    await writer.handler.handle(submit(2), "key 2")  # so that the head is not the damaged one
    async with damaged(server, seq) as journal:
        url = journal.connection.connected_url
        assert url
        async with writing(server, url.geturl()) as again:
            asked: list[tuple[AnyCommand, str]] = [(submit(office="367208"), "other")]
            if seq != 2:
                asked += [(do("queue", receipt), "key"), (submit(), "key"), (do("record", receipt), "key")]
            for command, key in asked:
                with pytest.raises(JournalDamaged):
                    await again.handler.handle(command, key)
            assert await journal.last_seq() == 5
