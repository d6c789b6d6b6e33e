"""What one command costs: messages to and from the journal, batches (four syncs each), bytes stored. It may not grow."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from events.stages import Kind
from infra.metrics import REGISTRY
from infra.nats_server import NatsServer
from services.commands import Advance, Submit
from tests.support import OFFICE
from tests.writing import Writer, resident, writing


class Work(NamedTuple):
    """Since the writer connected."""

    sent: int  # messages to the server
    received: int
    appends: float  # groups that left: a single publish or one atomic batch
    events: int
    stored: int  # bytes


async def work(writer: Writer) -> Work:
    stats, state = dict(writer.journal.connection.stats), (await writer.journal.info())["state"]
    groups = REGISTRY.get_sample_value("ektp_append_group_events_count") or 0.0
    return Work(stats["out_msgs"], stats["in_msgs"], groups, state["messages"], state["bytes"])


def since(before: Work, after: Work) -> Work:
    """The question itself, one message each way, left out."""
    sent, received, *rest = (now - then for now, then in zip(after, before, strict=True))
    return Work(sent - 1, received - 1, *rest)


@pytest.fixture
async def writer(server: NatsServer) -> AsyncIterator[Writer]:
    async with writing(server) as writer:
        await submitted(writer, 9)  # the first of all subscribes to answers
        yield writer


async def submitted(writer: Writer, serial: int) -> str:
    command = Submit(office=OFFICE, nik=resident(serial), name="Siti Rahayu", kind=Kind.NEW)
    return (await writer.handler.handle(command, f"submit {serial}")).receipt


async def test_a_submission_looks_once_and_stores_two_facts_in_one_batch(writer: Writer) -> None:
    before = await work(writer)
    await submitted(writer, 1)
    done = since(before, await work(writer))
    assert done[:4] == (3, 2, 1, 2)  # a look for this very command, and the two messages of the batch
    assert done.stored < 2_000


async def test_a_step_of_a_case_in_memory_is_one_message_and_its_acknowledgement(writer: Writer) -> None:
    receipt = await submitted(writer, 1)
    before = await work(writer)
    await writer.handler.handle(Advance(command="record", receipt=receipt), "record")
    done = since(before, await work(writer))
    assert done[:4] == (1, 1, 1, 1)
    assert done.stored < 800


async def test_a_step_of_a_case_that_must_be_loaded_asks_once_more(server: NatsServer) -> None:
    async with writing(server) as first:
        receipt, other = await submitted(first, 1), await submitted(first, 2)
    async with writing(server) as writer:
        await writer.handler.handle(Advance(command="record", receipt=other), "subscribes to answers")
        before = await work(writer)
        await writer.handler.handle(Advance(command="record", receipt=receipt), "record")
        sent, received, *_ = since(before, await work(writer))
        assert (sent, received) == (2, 3)  # one event, and the end of it; the append


async def test_a_command_that_was_done_before_reads_its_case_and_stores_nothing(writer: Writer) -> None:
    await submitted(writer, 1)
    before = await work(writer)
    await submitted(writer, 1)
    assert since(before, await work(writer)) == (1, 2, 0, 0, 0)


async def test_a_chunk_of_500_new_cases_looks_once_and_is_one_batch(writer: Writer) -> None:
    cells = [OFFICE, "new", "", "Siti Rahayu", "F", "", "submitted", "2016-03-01T08:00:00+07:00", "", "", ""]
    rows = [(line, [f"C{line}", *cells[:2], resident(line), *cells[3:]]) for line in range(100, 600)]
    before = await work(writer)
    outcome = await writer.importer.take("run", rows)
    done = since(before, await work(writer))
    assert outcome.added == 500
    assert done[:4] == (1_001, 2, 1, 1_000)  # one look for 500 cases, 1,000 messages, one acknowledgement
    assert done.stored < 1_000_000
