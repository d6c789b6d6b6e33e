"""A witness of other backbones' logs: it cosigns a checkpoint only where that continues the last one it cosigned.

C2SP tlog-witness, `add-checkpoint`, with cosignatures of type 0x04 (tlog-cosignature). A log that was rolled back or that
shows two histories gets no cosignature for the second. Requests need no token: the log's signature is what counts.
"""

import asyncio
import base64
import binascii
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from fastapi import APIRouter, Request, Response

from events.problem import Problem
from infra.data_folder import DataFolder, write_durably
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.merkle import NotProven, check_consistency
from infra.tlog.note import BadNote, Note, Signer, Verifier
from services.witness_notes import locked, our_last, our_last_file, trusted, witness_signer

log = structlog.get_logger()

SIZE_TYPE = "text/x.tlog.size"
_HASHES_MAX = 63
_REQUEST_BYTES_MAX = 1 << 18  # 16 signatures of 5 kB, which must be taken, and as much again


@dataclass(frozen=True)
class Asked:
    """A request: the checkpoint to cosign, and the proof that it continues the one of `old` entries."""

    old: int
    proof: tuple[bytes, ...]
    checkpoint: Checkpoint
    note: Note


@dataclass(frozen=True)
class Answer:
    """What goes back; `cosigned` must be on disk before."""

    status: int
    body: str
    content_type: str = "text/plain; charset=utf-8"
    cosigned: Note | None = None


def read_request(body: bytes) -> Asked:
    """Raises BadNote."""
    try:
        head, _, note = body.decode().partition("\n\n")
        first, *lines = head.split("\n")
        word, _, old = first.partition(" ")
        proof = tuple(base64.b64decode(line, validate=True) for line in lines)
        if word != "old" or str(int(old)) != old or int(old) < 0 or len(proof) > _HASHES_MAX:
            raise ValueError
        if any(len(each) != 32 for each in proof):
            raise ValueError
    except (ValueError, binascii.Error):
        raise BadNote("not a request") from None
    return Asked(int(old), proof, *read_checkpoint(note))


def cosign(asked: Asked, keys: Sequence[Verifier], last: Checkpoint, signer: Signer, now: int) -> Answer:
    """`keys`: trusted for this origin; `last`: what was last cosigned of it, else the empty tree; `now`: POSIX seconds."""
    new, note = asked.checkpoint, asked.note
    try:
        note.signed_by(keys)
        by_log = next(line for line in note.signatures if Note(note.text, (line,)).signed_by(keys))
    except (BadNote, StopIteration):
        return Answer(403, "not signed by the log's key\n")
    if asked.old > new.size:
        return Answer(400, "the old size is larger than the checkpoint's\n")
    if asked.old != last.size:
        return Answer(409, f"{last.size}\n", SIZE_TYPE)
    try:
        check_consistency(last.size, last.root, new.size, new.root, asked.proof)
    except NotProven:
        return Answer(422, "not proven to continue what was cosigned before\n")
    line = signer.line(note.text, now)
    return Answer(200, line, cosigned=Note(note.text, (by_log, line)))


def add_checkpoint(folder: DataFolder, body: bytes, now: int) -> Answer:
    """Check and store as one step, whoever else asks meanwhile.

    Raises FolderDamaged, OSError: then no cosignature goes out.
    """
    try:
        asked = read_request(body)
    except BadNote:
        return Answer(400, "not a request to add a checkpoint\n")
    origin = asked.checkpoint.origin
    keys = [key for key in trusted(folder) if key.name == origin]
    if not keys:
        return Answer(404, "no log of this origin is witnessed here\n")
    with locked(folder):
        answer = cosign(asked, keys, our_last(folder, origin)[0], witness_signer(folder), now)
        if answer.cosigned:
            write_durably(our_last_file(folder, origin), str(answer.cosigned).encode())
    if answer.status == 422:  # it may be proof that the log shows two histories
        log.error("a log asks to cosign what does not continue what it showed before", origin=origin, note=str(asked.note))
    return answer


def witness_router(folder: DataFolder) -> APIRouter:
    """`POST /witness/add-checkpoint`, at the submission prefix `/witness`."""
    router = APIRouter(prefix="/witness")

    @router.post("/add-checkpoint")
    async def add(request: Request) -> Response:
        """Cosign a checkpoint of a log that is witnessed here (C2SP tlog-witness)."""
        body = b""
        async for some in request.stream():
            body += some
            if len(body) > _REQUEST_BYTES_MAX:
                return Response(status_code=413)
        try:
            answer = await asyncio.to_thread(add_checkpoint, folder, body, int(time.time()))
        except (Problem, OSError) as error:
            log.error("nothing can be cosigned", why=str(error))  # noqa: TRY400
            return Response(status_code=503)
        return Response(answer.body, answer.status, headers={"content-type": answer.content_type})

    return router
