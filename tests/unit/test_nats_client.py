"""Our quick client does what nats-py does, in whose place it stands."""

import asyncio
from itertools import pairwise

import nats.errors
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from infra.nats_client import Headers, QuickClient

lines = st.lists(st.text(st.sampled_from("aZ-9: \t\r\né\x1c\xa0")).map(str.encode) | st.binary(max_size=8))


@given(lines.map(b"\r\n".join))
@example(b"Nats-Batch-Id: a1\r\nEs-Topic: module:Class.Event\r\nEmpty:\r\nTight:value\r\nUtf-8: \xc3\xa9\xff\r\n\r\n")
def test_headers_are_read_as_nats_py_reads_them(raw: bytes) -> None:
    assert QuickClient._parse_header_lines(raw) == Client._parse_header_lines(raw)


def test_a_header_reaches_the_method_that_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    assert QuickClient._process_headers is Client._process_headers
    assert "_parse_header_lines" in Client._process_headers.__code__.co_names


@given(lines.map(b"\r\n".join))
@example(b"Nats-Batch-Id: a1\r\nEmpty:\r\n\r\n")
def test_headers_that_are_read_later_are_the_same(raw: bytes) -> None:
    assert dict(Headers(b"NATS/1.0\r\n" + raw)) == Client._parse_header_lines(raw)


@given(st.data())
async def test_a_tap_gets_what_a_subscription_gets_however_the_bytes_are_cut(data: st.DataObject) -> None:
    stream = b"".join(
        [
            b"HMSG ektp.a 1 $JS.ACK.1 18 22\r\nNATS/1.0\r\nA: b\r\n\r\nbody\r\n",
            b"HMSG _INBOX.x 1 34 34\r\nNATS/1.0 408 Request Timeout\r\n\r\n\r\n\r\n",
            b"MSG ektp.b 1 $JS.ACK.2 2\r\n\r\n\r\n",
            b"MSG ektp.other 2 $JS.ACK.3 1\r\nx\r\n",
        ]
    )
    cuts = sorted({0, len(stream), *data.draw(st.lists(st.integers(0, len(stream)), max_size=6))})
    client, tapped = QuickClient(), []
    client._subs = {number: Subscription(client, id=number) for number in (1, 2)}
    client._taps[1] = lambda *message: tapped.append(message)
    for start, end in pairwise(cuts):
        await client._ps.parse(stream[start:end])
    assert tapped == [
        (b"ektp.a", b"$JS.ACK.1", b"body", b"NATS/1.0\r\nA: b\r\n\r\n"),
        (b"ektp.b", b"$JS.ACK.2", b"\r\n", b""),
    ]
    (remark,) = [client._subs[1]._pending_queue.get_nowait()]
    assert remark.headers == {"Status": "408", "Description": "Request Timeout"}
    assert client._subs[2]._pending_queue.get_nowait().data == b"x"
    client._remove_sub(1)
    assert not client._taps


async def test_many_messages_are_sent_as_nats_py_sends_each(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = [
        ("ektp.a", {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1"}, "Kartu é".encode()),
        ("ektp.b", {"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "2"}, b""),
    ]
    written: list[bytes] = []

    async def sent(client: Client, command: bytes, priority: bool = False) -> None:
        written.append(command)

    async def flushed(client: Client, force_flush: bool = False) -> None:
        pass

    monkeypatch.setattr(Client, "_send_command", sent)
    monkeypatch.setattr(Client, "_flush_pending", flushed)
    monkeypatch.setattr(Client, "is_connected", True)
    client = QuickClient()
    client._max_payload = 1_000_000
    for subject, headers, body in messages:
        await client.publish(subject, body, headers=headers)
    one_by_one, stats = b"".join(written).replace(b"  ", b" "), dict(client.stats)  # there, an empty reply between two
    written.clear()
    await client.publish_all(messages)
    assert b"".join(written) == one_by_one
    assert client.stats["out_msgs"] == 2 * stats["out_msgs"]


async def test_nothing_is_sent_without_a_connection() -> None:
    with pytest.raises(nats.errors.ConnectionClosedError):
        await QuickClient().publish_all([("ektp.a", {}, b"")])


async def test_who_waits_for_an_answer_is_told_when_the_link_breaks() -> None:
    client = QuickClient()
    answers = [asyncio.get_running_loop().create_future() for _ in range(2)]
    client._resp_map["token"] = answers[0]
    client.expecting.add(answers[1])
    client.link_broke()
    for answer in answers:
        with pytest.raises(nats.errors.StaleConnectionError):
            await answer
