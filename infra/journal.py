"""The journal on NATS JetStream: its one stream, loading one entity's history, and the last message of many subjects.

Appending is in group_commit.py, reading in order in journal_reader.py. Design: journal, rules 1, 3 and 7.
"""

import asyncio
import itertools
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import nats.errors
import orjson
from nats.aio.msg import Msg

from events.envelope import Event, decode
from infra.journal_errors import MEANING, JournalBusy, JournalDamaged, JournalFull, JournalRefused
from infra.nats_client import QuickClient

T = TypeVar("T")
STREAM = "EKTP"
STREAM_CONFIG = {
    "name": STREAM,
    "subjects": ["ektp.*.*.*"],
    "storage": "file",
    "retention": "limits",
    "discard": "new",
    "max_age": 0,
    "max_bytes": -1,
    "max_msgs": -1,
    "max_msgs_per_subject": -1,
    "num_replicas": 1,
    "deny_delete": True,
    "deny_purge": True,
    "allow_direct": True,
    "allow_atomic": True,
    "allow_rollup_hdrs": False,
}
BATCH_MESSAGES_MAX = 1_000  # the server's limit of one atomic batch
_LOAD_MAX = 1_000  # messages of one direct get; a longer history takes several
_LAST_MAX = 500  # subjects of one direct get; the server answers at most 1,024
_NOT_FOUND, _END_OF_BATCH = "404", "204"
_NO_RESULTS = "No Results"  # of the last message of many subjects: none of them has any


@dataclass(frozen=True, slots=True)
class Stored:
    """One message of the journal, as stored."""

    seq: int
    subject: str
    body: bytes
    headers: Mapping[str, str] | None = field(default=None, compare=False)  # the server adds its own by the way of reading


class Journal:
    """Looking things up in one stream, which is EKTP unless said otherwise, over one connection."""

    def __init__(self, connection: QuickClient, timeout_s: float = 5.0, config: Mapping[str, Any] = STREAM_CONFIG) -> None:
        self.stream: str = config["name"]
        self._config = config
        self.connection = connection
        self.timeout_s = timeout_s
        self._inbox = f"{connection.new_inbox()}"
        self._tokens = itertools.count()
        self._waiting: dict[str, _Answers] = {}
        self._subscribed = False

    async def create(self) -> None:
        """Make the stream, or find it as it should be. Raises JournalRefused when it exists with another configuration."""
        await self.api(f"STREAM.CREATE.{self.stream}", self._config)

    async def info(self, subjects: str | None = None) -> dict[str, Any]:
        """The server's account of the stream: `state` (messages, first_seq, last_seq, num_deleted …), `config`.

        With `subjects`, which may hold wildcards, `state.subjects` has each of these and how many messages are on it.
        """
        return await self.api(f"STREAM.INFO.{self.stream}", {"subjects_filter": subjects} if subjects else None)

    async def last_seq(self) -> int:
        """The journal's head: the sequence of its last event; 0 when it is empty."""
        return int((await self.info())["state"]["last_seq"])

    async def api(self, call: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        """One request to the JetStream API. Raises JournalBusy, JournalFull, JournalRefused."""
        payload = b"" if body is None else orjson.dumps(body)
        try:
            async with asyncio.timeout(self.timeout_s):
                reply = await self._again(lambda: self.connection.request(f"$JS.API.{call}", payload, self.timeout_s))
        except (TimeoutError, nats.errors.Error) as error:
            raise JournalBusy(self.timeout_s, "nothing") from error
        answer: dict[str, Any] = orjson.loads(reply.data)
        raise_error(answer, self.timeout_s)
        return answer

    async def load(self, subject: str) -> list[Event]:
        """The whole history on one subject; empty when there is none.

        Raises JournalDamaged when a hole shows (nats-server#8632 skips damaged records silently), JournalBusy.
        """
        history = [decode(stored.body, stored.seq) for stored in await self.messages(subject)]
        for version, event in enumerate(history, 1):
            if event.version != version:
                raise JournalDamaged(subject, f"its event {version} cannot be read")
        return history

    async def messages(self, subject: str, start: int = 1) -> list[Stored]:
        """All on one subject, which may hold wildcards, from position `start` on. Raises JournalDamaged, JournalBusy."""
        found: list[Stored] = []
        pending = 0
        while True:
            query = {"seq": start, "next_by_subj": subject, "batch": _LOAD_MAX}
            page, more = await self._direct_get(query)
            if pending and not page:
                raise JournalDamaged(subject, f"{pending} later event(s) cannot be read")
            found += page
            if not more:
                break
            start, pending = page[-1].seq + 1, more
        if not found:
            await self.last([subject])  # raises where the subject is not unknown but unreadable
        return found

    async def page(self, start: int, count: int) -> tuple[list[Stored], int]:
        """(up to `count` messages from position `start` on, how many the journal has behind them); `count` up to 1,000.

        Raises JournalDamaged at a hole, JournalBusy.
        """
        query = {"seq": start, "next_by_subj": ">", "batch": count}
        page, more = await self._direct_get(query)
        if not page and await self.last_seq() >= start:
            page, more = await self._direct_get(query)  # it may have come in between
            if not page:
                raise JournalDamaged(f"event {start}", "it cannot be read")
        for position, stored in enumerate(page, start):
            if stored.seq != position:
                raise JournalDamaged(f"event {position}", f"the server goes on with {stored.seq}")
        return page, more

    async def last(self, subjects: Sequence[str]) -> dict[str, Stored]:
        """The last message of each of these exact subjects that has one. Raises JournalDamaged, JournalBusy."""
        found: dict[str, Stored] = {}
        for start in range(0, len(subjects), _LAST_MAX):
            some = list(subjects[start : start + _LAST_MAX])
            try:
                page, _ = await self._direct_get({"multi_last": some, "batch": 2 * _LAST_MAX})
            except JournalDamaged:  # the server broke off and does not say where
                if len(some) == 1:
                    raise JournalDamaged(some[0], "its last event cannot be read") from None
                for subject in some:
                    await self.last([subject])
                raise
            found |= {stored.subject: stored for stored in page}
        return found

    async def at(self, seq: int) -> Stored | None:
        """The message at this position; None when the server has none to give there."""
        page, _ = await self._direct_get({"seq": seq})
        return page[0] if page else None

    async def newest(self) -> Stored | None:
        """The journal's last message; None when it is empty. Raises JournalDamaged, JournalBusy."""
        head = await self.last_seq()
        newest = await self.at(head) if head else None
        if head and newest is None:
            raise JournalDamaged(f"event {head}", "the journal's last event cannot be read")
        return newest

    async def _direct_get(self, query: dict[str, Any]) -> tuple[list[Stored], int]:
        """(messages, how many more the server would have) of one direct get (ADR-31). Raises JournalBusy."""
        if not self._subscribed:
            self._subscribed = True
            await self.connection.subscribe(f"{self._inbox}.*", cb=self._answered)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await self._again(lambda: self._ask(query))
        except (TimeoutError, nats.errors.Error) as error:
            raise JournalBusy(self.timeout_s, "nothing") from error

    async def _ask(self, query: dict[str, Any]) -> tuple[list[Stored], int]:
        token = f"{next(self._tokens)}{secrets.token_hex(2)}"
        answers = self._waiting[token] = _Answers(single="batch" not in query, many="multi_last" in query)
        self.connection.expecting.add(answers.done)
        try:
            await self.connection.publish(
                f"$JS.API.DIRECT.GET.{self.stream}", orjson.dumps(query), reply=f"{self._inbox}.{token}"
            )
            return await answers.done
        finally:
            del self._waiting[token]
            self.connection.expecting.discard(answers.done)

    async def _again(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and ask again when the link broke: a server that was started again is there in a moment."""
        while True:
            await self._link()
            try:
                return await ask()
            except (nats.errors.StaleConnectionError, nats.errors.OutboundBufferLimitError):
                continue  # who asks bounds the time

    async def _link(self) -> None:
        """Wait for the connection while it comes back."""
        link = self.connection
        while not (link.is_connected or link.is_closed):  # noqa: ASYNC110 (nats-py tells the connection's maker alone)
            await asyncio.sleep(0.02)

    async def _answered(self, message: Msg) -> None:
        answers = self._waiting.get(message.subject.rpartition(".")[2])
        if answers:
            answers.add(message)


class _Answers:
    """Gathers the messages of one direct get until the server says that there are no more."""

    def __init__(self, single: bool, many: bool) -> None:
        """`single`: one message is all; `many`: of many subjects, where a 404 may also be a record that is damaged."""
        self.done: asyncio.Future[tuple[list[Stored], int]] = asyncio.get_running_loop().create_future()
        self._single, self._many = single, many
        self._messages: list[Stored] = []

    def add(self, message: Msg) -> None:
        headers = message.headers or {}
        status, description = headers.get("Status"), headers.get("Description", "")
        if self.done.done():
            return
        if status is None:
            self._messages.append(Stored(int(headers["Nats-Sequence"]), headers["Nats-Subject"], message.data, headers))
            if self._single:
                self.done.set_result((self._messages, 0))
        elif status == _END_OF_BATCH:
            self.done.set_result((self._messages, int(headers.get("Nats-Num-Pending", 0))))
        elif status == _NOT_FOUND and not self._messages and (description == _NO_RESULTS or not self._many):
            self.done.set_result(([], 0))
        elif status == "503":
            self.done.set_exception(nats.errors.NoRespondersError())
        else:  # a 404 in the midst: the server broke off (nats-server#8632)
            where = f"event after {self._messages[-1].seq}" if self._messages else "?"
            self.done.set_exception(JournalDamaged(where, f"{status} {description}".strip()))


def raise_error(answer: dict[str, Any], waited_s: float) -> None:
    """Raise the typed error in a JetStream answer, if it holds one (conflicts are the appender's own business)."""
    error = answer.get("error")
    if not error:
        return
    err_code, description = error.get("err_code", 0), error.get("description", "")
    meaning = MEANING.get(err_code, "again" if error.get("code") == 503 else "ours")
    if meaning == "full":
        raise JournalFull(f"{err_code} {description}")
    if meaning == "again":
        raise JournalBusy(waited_s, "nothing")
    raise JournalRefused(err_code, description)
