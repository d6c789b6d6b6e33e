"""nats-py's client, quicker at what the journal does a million times. Remove a part when nats-py does as well.

2.16.0 is pinned, as these are its private methods; a test compares each with the original.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

_VERSION_LINE = b"NATS/1.0\r\n"
Tap = Callable[[bytes, bytes, bytes, bytes], None]  # subject, reply subject, body, headers as they came


class Headers(Mapping[str, str]):
    """A message's headers, read once somebody looks: most who read the journal never do."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    @cached_property
    def _read(self) -> dict[str, str]:
        return QuickClient._parse_header_lines(self._raw[len(_VERSION_LINE) :])

    def __getitem__(self, name: str) -> str:
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


class QuickClient(Client):
    """As nats-py's; reads headers quickly, sends many messages at once, and knows when an answer will not come."""

    def __init__(self) -> None:
        super().__init__()
        self.expecting: set[asyncio.Future[Any]] = set()  # answers that come by another way than `request`
        self._taps: dict[int, Tap] = {}  # by subscription

    def link_broke(self) -> None:
        """Whoever waits for an answer gets StaleConnectionError at once: nats-py would let them wait out their time."""
        for waiting in (*self._resp_map.values(), *self.expecting):
            if not waiting.done():
                waiting.set_exception(nats.errors.StaleConnectionError())

    async def tap(self, subject: str, tap: Tap, others: Callable[[Msg], Awaitable[None]]) -> Subscription:
        """As `subscribe`, but what streams send, messages with a reply subject, goes to `tap` as it arrives.

        nats-py makes a Msg of each, reads its headers, queues it and wakes a task: half of the work of reading.
        """
        subscription: Subscription = await self.subscribe(subject, cb=others)
        self._taps[subscription._id] = tap
        return subscription

    async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
        if reply and (tap := self._taps.get(sid)):
            self.stats["in_msgs"] += 1
            self.stats["in_bytes"] += len(data)
            tap(subject, reply, data, headers or b"")  # nats-py: None without any
        else:
            await super()._process_msg(sid, subject, reply, data, headers)

    def _remove_sub(self, sid: int, max_msgs: int = 0) -> None:
        self._taps.pop(sid, None)
        super()._remove_sub(sid, max_msgs)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """nats-py asks every character of a name whether it is a space: most of the work of reading a message."""
        headers: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, colon, value = line.partition(b":")
            if colon and name.isascii():
                key = name.strip().decode()
                if not key or key.split() == [key]:  # a name with a space in it is none
                    headers[key] = value.strip().decode("utf-8", "replace")
        return headers

    async def publish_all(self, messages: Iterable[tuple[str, Mapping[str, str], bytes]]) -> None:
        """As `publish` of each (subject, headers, body) in turn, at a quarter of the work.

        Raises ConnectionClosedError when not connected.
        """
        if not self.is_connected:
            raise nats.errors.ConnectionClosedError
        frames = [_frame(subject, headers, body) for subject, headers, body in messages]
        self.stats["out_msgs"] += len(frames)
        await self._send_command(b"".join(frames))
        await self._flush_pending()


def _frame(subject: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """HPUB of the NATS protocol. Names and values are our own, so they are not cleaned, but a line break is noticed."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    assert lines.count("\n") == len(headers), "a header of one line"
    size = len(lines.encode()) + 12  # with the version line and the empty one
    return f"HPUB {subject} {size} {size + len(body)}\r\nNATS/1.0\r\n{lines}\r\n".encode() + body + b"\r\n"
