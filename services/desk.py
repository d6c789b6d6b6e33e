"""Commands and questions to the backbone that runs on a data folder, wherever and whichever process of it that is by now."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import nats.errors
import orjson
from nats.aio.msg import Msg
from pydantic import BaseModel

from events.offices import BACKBONE_ID, office
from events.problem import Lang, Problem
from events.receipt import office_of, parse_receipt
from infra import tracing
from infra.data_folder import DataFolder
from infra.folder_lock import endpoint
from infra.journal import Journal, Stored
from infra.journal_reader import read
from infra.nats_client import QuickClient
from infra.nats_connection import connect, end
from services.commands import AnyCommand, Submit
from services.erasure import Erase
from services.outage import OutageBegin, OutageEnd
from services.rules import SetRule
from services.wire import KEY_HEADER, PROBLEM_HEADER

T = TypeVar("T")
GONE_S_MAX = 30.0
PING_S = 1.0  # how often it is looked whether somebody is still there to answer


@dataclass(eq=False)
class BackboneGone(Problem):
    """The backbone went away and did not come back; whether the last request was done is not known."""

    waited_s: float
    code: ClassVar[str] = "backbone_gone"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Layanan e-KTP tidak menjawab selama {waited_s:.0f} detik. Jalankan: ektp up, lalu ulangi."
    sentence_en: ClassVar[str] = "The backbone has not answered for {waited_s:.0f} s. Run: ektp up, then try again."


@dataclass(eq=False)
class Told(Problem):
    """A problem as the backbone told it: its code and sentences are those of the reply."""

    reply: dict[str, Any]

    @property
    def code(self) -> str:  # type: ignore[override]
        return str(self.reply["code"])

    def message(self, lang: Lang) -> str:
        return str(self.reply[f"message_{lang}"])

    def document(self) -> dict[str, Any]:
        return self.reply


class Desk:
    """Commands and questions to one backbone; comes back to it when it went away for less than 30 s."""

    def __init__(self, folder: DataFolder) -> None:
        self.folder = folder
        self._connection: QuickClient | None = None
        self._url = ""
        self._lost = asyncio.Event()
        self._connecting = asyncio.Lock()

    async def command(self, command: AnyCommand, key: str | None = None) -> dict[str, Any]:
        """Have it done, once. `key`: the caller's idempotency key; not given: this call is a new command."""
        place = office(command.office) if isinstance(command, Submit) else office_of(parse_receipt(command.receipt))
        payload = command.model_dump_json(exclude_none=True).encode()
        return await self.request(f"cmd.ektp.{place.code}.{command.command}", payload, key or secrets.token_hex(16))

    async def office_command(
        self, command: OutageBegin | OutageEnd | SetRule | Erase, key: str | None = None
    ) -> dict[str, Any]:
        """Likewise, of a command that is about an office or the backbone. Raises UnknownOffice."""
        place = BACKBONE_ID if isinstance(command, SetRule | Erase) else office(command.office).code
        payload = command.model_dump_json(exclude_none=True).encode()
        return await self.request(f"cmd.ektp.{place}.{command.command}", payload, key or secrets.token_hex(16))

    async def ask(self, question: str, body: BaseModel | None = None) -> dict[str, Any]:
        """The answer to a question (services.question_service)."""
        payload = body.model_dump_json(exclude_none=True).encode() if body else b""
        return await self.request(f"ask.ektp.{BACKBONE_ID}.{question}", payload, timeout_s=130)

    async def request(self, subject: str, payload: bytes, key: str = "", timeout_s: float = 20) -> dict[str, Any]:
        """One request, sent again with the same key while nobody answers. Raises Told, BackboneGone."""
        reply = await _insist(lambda: self._send(subject, payload, key, timeout_s))
        answer: dict[str, Any] = orjson.loads(reply.data)
        if reply.headers and PROBLEM_HEADER in reply.headers:
            raise Told(answer)
        return answer

    async def journal(self) -> Journal:
        """The journal, to read. Raises BackboneGone."""
        return Journal(await _insist(self.connection))

    async def history(self, until: int) -> AsyncIterator[list[Stored]]:
        """Batches of the journal's events 1 to `until`; goes on where it was when the backbone comes back.

        Raises BackboneGone, JournalDamaged.
        """
        position = 0
        while position < until:
            async with aclosing(read(await self.journal(), position, until)) as batches:
                with suppress(nats.errors.ConnectionClosedError):
                    while position < until:
                        batch = await _unless(self._lost.wait(), anext(batches))
                        position = batch[-1].seq
                        yield batch

    async def connection(self) -> QuickClient:
        """A living connection to where the backbone is now. Raises nats' errors, OSError, TimeoutError."""
        there = endpoint(self.folder)
        if there is None:
            raise nats.errors.NoServersError
        async with self._connecting:
            if self._connection is None or self._url != there.url or self._lost.is_set():
                await self.close()
                self._lost = asyncio.Event()
                self._connection = await connect(self.folder, "desk", there.url, timeout_s=2, disconnected=self._lost.set)
                self._url = there.url
            return self._connection

    async def close(self) -> None:
        if self._connection:
            await self._connection.close()
            self._connection = None

    async def _send(self, subject: str, payload: bytes, key: str, timeout_s: float) -> Msg:
        """One try. Raises nats' errors, OSError or TimeoutError as soon as nobody would answer any more."""
        connection = await self.connection()
        ping = f"{subject.partition('.')[0]}.ektp.{BACKBONE_ID}.ping"
        asked = await _unless(self._lost.wait(), _instance(connection, ping))
        headers = ({KEY_HEADER: key} if key else {}) | tracing.headers()
        request = connection.request(subject, payload, timeout_s, headers=headers or None)
        return await _unless(self._lost.wait(), _unless(_replaced(connection, ping, asked), request))


async def _instance(connection: QuickClient, ping: str) -> bytes:
    """Which process answers there. Asked again and again, since one that is killed takes questions with it.

    Raises nats' errors when there is none, TimeoutError after 30 s of silence.
    """
    async with asyncio.timeout(GONE_S_MAX):
        while True:
            with suppress(nats.errors.TimeoutError):
                return (await connection.request(ping, timeout=PING_S)).data


async def _replaced(connection: QuickClient, ping: str, asked: bytes) -> None:
    """Returns when another process answers than the one that was asked. Raises as _instance."""
    answers = asked
    while answers == asked:
        await asyncio.sleep(PING_S)
        answers = await _instance(connection, ping)


async def _unless(broken: Awaitable[object], answer: Awaitable[T]) -> T:
    """Wait for `answer`, but not beyond `broken`: then raises what that raised, or ConnectionClosedError."""
    ending, waiting = asyncio.ensure_future(broken), asyncio.ensure_future(answer)
    try:
        await asyncio.wait({ending, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            await ending
            raise nats.errors.ConnectionClosedError
        return await waiting
    finally:
        await end(ending, waiting)


async def _insist(attempt: Callable[[], Awaitable[T]]) -> T:
    """Try until somebody answers. Raises BackboneGone after 30 s of silence."""
    gone_since = None
    while True:
        tried = time.monotonic()
        try:
            return await attempt()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            gone_since = gone_since or (tried if isinstance(error, TimeoutError) else time.monotonic())
            if time.monotonic() - gone_since > GONE_S_MAX:
                raise BackboneGone(time.monotonic() - gone_since) from None
            await asyncio.sleep(0.2)
