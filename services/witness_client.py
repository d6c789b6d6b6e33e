"""Having our log cosigned: each new checkpoint goes to every witness, and comes back with its cosignature.

C2SP tlog-witness. A witness that is away is asked again later; one that refuses has seen another history of this log.
"""

import asyncio
import base64
import http.client
import math
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from threading import Thread
from typing import TypeVar

import structlog
from prometheus_client import Gauge

from infra.data_folder import DataFolder, write_durably
from infra.metrics import REGISTRY
from infra.tlog import merkle
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.identity import origin
from infra.tlog.note import BadNote, Note
from infra.tlog.tiles import LogDamaged, Tiles, read_head
from services.witness_notes import LastCosigned, Witness, cosigned, cosigned_file, witnesses

log = structlog.get_logger()
T = TypeVar("T")

ASK_S = 10.0  # a witness is asked at most so often
ANSWER_S = 10.0
FRESH_S = 3_600  # a log that stands still is cosigned anew so often: it still is the newest
_LOOK_S = 1.0
_ANSWER_BYTES_MAX = 1 << 16
AGE = Gauge(
    "ektp_witness_cosignature_age_seconds",
    "How old the newest cosignature of each witness is; +Inf: there is none.",
    ["witness"],
    registry=REGISTRY,
)


class Refused(Exception):
    """The witness answers, and does not cosign."""


class OtherSize(Refused):
    """What the witness last cosigned has another size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"it has cosigned {size} events, and that is not where this log is: put back from a copy?")
        self.size = size


async def ask(url: str, note: str, proof: Sequence[bytes], old: int) -> list[str]:
    """The signature lines with which the witness at `<url>/add-checkpoint` answers; none is verified.

    Raises OtherSize, Refused; OSError or TimeoutError where it is away.
    """
    hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
    body = f"old {old}\n{hashes}\n{note}".encode()
    async with asyncio.timeout(ANSWER_S):
        status, content_type, answer = await _aside(lambda: _post(f"{url}/add-checkpoint", body))
    if status == 409 and content_type == "text/x.tlog.size" and re.fullmatch(rb"\d{1,19}\n", answer):
        raise OtherSize(int(answer))
    if status != 200:
        raise Refused(f"it answers {status}" + ("; it has seen another history of this log" if status == 422 else ""))
    return answer.decode(errors="replace").splitlines(keepends=True)


async def keep_cosigned(folder: DataFolder) -> None:
    """Have each new checkpoint cosigned, until cancelled. What goes wrong is logged, once, and tried again."""
    ask_at, said = dict[Witness, float](), dict[str, str]()

    def say(who: str, what: str) -> None:
        if what and said.get(who) != what:
            said[who] = what
            (log.info if what == "cosigned" else log.error)("witness", name=who, says=what)

    while True:
        try:
            head, known = await asyncio.to_thread(_look, folder)
            now, waiting = asyncio.get_running_loop().time(), list[Witness]()
            AGE.clear()
            for witness, last in known:
                age_s = time.time() - last[2] if last else math.inf
                AGE.labels(witness.key.name).set(age_s)
                is_due = head and (not last or last[1].text != head[1].text or age_s > FRESH_S)
                if is_due and now >= ask_at.get(witness, now):
                    ask_at[witness] = now + ASK_S
                    waiting.append(witness)
            if head:
                outcomes = await asyncio.gather(*[_outcome(folder, witness, *head) for witness in waiting])
                for witness, outcome in zip(waiting, outcomes, strict=True):
                    say(witness.key.name, outcome)
        except Exception as error:  # whatever it is: the backbone goes on, and this is tried again
            say("", f"{type(error).__name__}: {error}")
        await asyncio.sleep(_LOOK_S)


def _look(folder: DataFolder) -> tuple[tuple[Checkpoint, Note] | None, list[tuple[Witness, LastCosigned | None]]]:
    name = origin(folder.backbone)
    return read_head(folder.log), [(witness, cosigned(folder.log, name, witness.key)) for witness in witnesses(folder)]


async def _outcome(folder: DataFolder, witness: Witness, checkpoint: Checkpoint, note: Note) -> str:
    try:
        await have_cosigned(folder, witness, checkpoint, note)
    except Refused as refused:
        return f"refused: {refused}"
    except (OSError, TimeoutError) as error:
        return f"away: {type(error).__name__}"
    except LogDamaged:  # most often its unfinished tiles have just been replaced by longer ones: next time
        return ""
    return "cosigned"


async def have_cosigned(folder: DataFolder, witness: Witness, checkpoint: Checkpoint, note: Note) -> None:
    """Ask this witness, and keep the checkpoint with its cosignature.

    Raises OtherSize where it has seen more than we hold, Refused, LogDamaged; OSError, TimeoutError where it is away.
    """
    last = cosigned(folder.log, checkpoint.origin, witness.key)
    old = last[0].size if last else 0
    if old > checkpoint.size:
        raise OtherSize(old)
    try:
        lines = await ask(witness.url, str(note), await _proof(folder, old, checkpoint), old)
    except OtherSize as other:
        if other.size > checkpoint.size:
            raise
        lines = await ask(witness.url, str(note), await _proof(folder, other.size, checkpoint), other.size)
    for line in lines:
        with suppress(BadNote):
            if Note(note.text, (line,)).signed_by([witness.key]):
                await asyncio.to_thread(_keep, folder, witness, Note(note.text, (*note.signatures, line)))
                return
    raise Refused("its answer holds no cosignature by its key")


async def _proof(folder: DataFolder, old: int, checkpoint: Checkpoint) -> list[bytes]:
    return await asyncio.to_thread(lambda: merkle.consistency(old, checkpoint.size, Tiles(folder.log, checkpoint).perfect))


def _keep(folder: DataFolder, witness: Witness, note: Note) -> None:
    file = cosigned_file(folder.log, witness.key)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_durably(file, str(note).encode())


def _post(url: str, body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer. Raises OSError."""
    request = urllib.request.Request(url, body, {"Content-Type": "text/plain; charset=utf-8"})  # noqa: S310 (`ektp witness of` takes http and https)
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=ANSWER_S)  # noqa: S310
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            return answer.status, answer.headers.get_content_type(), answer.read(_ANSWER_BYTES_MAX)
    except (http.client.HTTPException, ValueError) as error:  # ValueError: a host name that cannot be one
        raise ConnectionError(type(error).__name__) from None


async def _aside(call: Callable[[], T]) -> T:
    """`call` in a thread that nobody waits for in the end: a witness that hangs does not keep the reader from stopping."""
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    return await asyncio.wrap_future(future)
