"""The user that applications of `eventsourcing` connect as: streams of its own, and no way to the journal."""

import json
from collections.abc import AsyncIterator
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_server import NatsServer
from infra.nats_users import recorder_credentials
from tests.support import change, stored, subject

CASE = subject("c1")
OURS = "es.shop.events.o.1"


class Recorder:
    """A client of the user `recorder`, and what the server refused it."""

    def __init__(self, client: Client, refused: list[str]) -> None:
        self.client, self.refused = client, refused

    async def ask(self, call: str, question: dict[str, Any] | None = None) -> dict[str, Any]:
        reply = await self.client.request(f"$JS.API.{call}", json.dumps(question).encode() if question else b"")
        answer: dict[str, Any] = json.loads(reply.data)
        return answer

    async def make_stream(self, name: str, subjects: list[str]) -> dict[str, Any]:
        return await self.ask(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, "allow_direct": True})


@pytest.fixture
async def recorder(server: NatsServer) -> AsyncIterator[Recorder]:
    refused: list[str] = []

    async def told(error: Exception) -> None:
        refused.append(str(error))

    credentials = json.loads(recorder_credentials(server.folder).read_bytes())
    client = await nats.connect(server.url, **credentials, inbox_prefix=b"_INBOX_recorder", error_cb=told)
    yield Recorder(client, refused)
    await client.close()


@pytest.mark.parametrize(
    "forbidden",
    [
        CASE,
        "cmd.ektp.367203.submit",
        "ask.ektp.status",
        "_INBOX_writer.forged",
        "$JS.API.STREAM.CREATE.EKTP",
        "$JS.API.STREAM.CREATE.EKTP_FEED",
        *(
            f"$JS.API.{call}.{stream}"
            for stream in ("EKTP", "ES_SHOP")
            for call in ("STREAM.UPDATE", "STREAM.PURGE", "STREAM.DELETE", "STREAM.RESTORE", "STREAM.MSG.DELETE")
        ),
    ],
)
async def test_what_a_recorder_may_not_say(recorder: Recorder, forbidden: str) -> None:
    await recorder.client.publish(forbidden, b"{}", reply=recorder.client.new_inbox())
    await recorder.ask("INFO")
    assert recorder.refused == [f'nats: permissions violation for publish to "{forbidden.lower()}"']


async def test_a_recorder_makes_streams_and_keeps_events_in_them(recorder: Recorder) -> None:
    assert "error" not in await recorder.make_stream("ES_SHOP", ["es.shop.events.*.*"])
    assert json.loads((await recorder.client.request(OURS, b"{}")).data) == {"stream": "ES_SHOP", "seq": 1}
    assert (await recorder.ask("STREAM.INFO.ES_SHOP"))["state"]["messages"] == 1
    assert recorder.refused == []


async def test_the_journal_is_not_there_for_a_recorder(recorder: Recorder, journal: Journal, commits: GroupCommit) -> None:
    await commits.append(change("c1"))
    assert (await recorder.ask("STREAM.INFO.EKTP"))["error"]["err_code"] == 10059  # stream not found
    assert "error" not in await recorder.make_stream("ES_SPY", ["ektp.>"])
    assert "error" not in await recorder.make_stream("ES_SHOP", ["es.shop.events.*.*"])
    await commits.append(change("c2"))
    assert (await recorder.ask("STREAM.INFO.ES_SPY"))["state"]["messages"] == 0


async def test_a_recorder_cannot_have_an_answer_delivered_into_the_journal(
    recorder: Recorder, journal: Journal, commits: GroupCommit
) -> None:
    await commits.append(change("c1"))
    await recorder.make_stream("ES_SHOP", ["es.shop.events.*.*"])
    await recorder.client.request(OURS, b"{}")
    await recorder.client.publish("$JS.API.DIRECT.GET.ES_SHOP", b'{"seq":1}', reply=CASE)
    push = {"stream_name": "ES_SHOP", "config": {"name": "push", "deliver_subject": CASE, "ack_policy": "none"}}
    assert "error" not in await recorder.ask("CONSUMER.CREATE.ES_SHOP.push", push)
    await recorder.client.request("es.shop.events.o.2", b"{}")
    assert [one.subject for one in await stored(journal)] == [CASE]


async def test_nobody_else_reads_or_writes_what_recorders_keep(recorder: Recorder, connection: Client) -> None:
    await recorder.make_stream("ES_SHOP", ["es.shop.events.*.*"])
    with pytest.raises(nats.errors.Error):
        await connection.request(OURS, b"{}", timeout=0.3)
    with pytest.raises(nats.errors.Error):
        await connection.request("$JS.API.STREAM.INFO.ES_SHOP", timeout=0.3)
    assert (await recorder.ask("STREAM.INFO.ES_SHOP"))["state"]["messages"] == 0


async def test_an_application_is_given_one_password_and_it_is_kept(server: NatsServer) -> None:
    file = recorder_credentials(server.folder)
    passwords = json.loads((server.folder.keys / "nats.json").read_bytes())
    assert json.loads(file.read_bytes()) == {"user": "recorder", "password": passwords["recorder"]}
    assert file.stat().st_mode & 0o777 == 0o600
