"""Proofs of a case: one C2SP tlog-proof for each of its events, in one file, checked with the log's public key alone.

The event itself is the proof's `extra`, so the file needs nothing beside it. What it cannot show is that nothing came
after its last event: for that, ask again.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from events.envelope import Event, UnreadableEvent, decode, subject_in
from events.problem import Problem
from infra.journal import Stored
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.merkle import NotProven, check_inclusion, inclusion, leaf_hash
from infra.tlog.note import LOG, BadNote, Note, Verifier
from infra.tlog.proof import Proof, read_proof
from infra.tlog.tiles import Tiles, read_head

_BEGINS = re.compile(r"^(?=c2sp\.org/tlog-proof@)", re.MULTILINE)


@dataclass(eq=False)
class NotProvenHere(Problem):
    """The file proves nothing, or not all that it says; `number` is that of the first proof that fails, from 1."""

    number: int
    why: str
    code: ClassVar[str] = "not_proven"
    sentence_id: ClassVar[str] = "Bukti ke-{number} tidak sah: {why}. Minta berkas bukti yang baru: ektp audit prove."
    sentence_en: ClassVar[str] = "Proof {number} does not hold: {why}. Ask for a new file: ektp audit prove."


@dataclass(eq=False)
class NotAnchored(Problem):
    """The newest events are not yet under a signed checkpoint."""

    seq: int
    size: int
    code: ClassVar[str] = "not_anchored"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Peristiwa {seq} belum ditandatangani (baru sampai {size}). Ulangi sebentar lagi; bila tetap, lihat: ektp doctor."
    )
    sentence_en: ClassVar[str] = (
        "Event {seq} is not signed yet (the log is at {size}). Try again in a moment; if it stays so, see: ektp doctor."
    )


@dataclass(frozen=True)
class Proven:
    """What a file of proofs shows."""

    checkpoint: Checkpoint
    events: list[Event]
    cosigned_by: list[str]


def prove(log: Path, messages: Sequence[Stored]) -> str:
    """The proofs of these events. Raises NotAnchored, and LogDamaged where tiles are missing or wrong."""
    last = max(stored.seq for stored in messages)
    head = read_head(log)
    if head is None or head[0].size < last:
        raise NotAnchored(last, head[0].size if head else 0)
    # one that is cosigned is worth more than the newest
    checkpoint, note = max(_cosigned(log, last, head[0]), key=lambda each: each[0].size, default=head)
    tiles = Tiles(log, head[0])
    proofs = [
        Proof(stored.seq - 1, tuple(inclusion(stored.seq - 1, checkpoint.size, tiles.perfect)), str(note), stored.body)
        for stored in messages
    ]
    return "".join(map(str, proofs))


def check(text: str, keys: Sequence[Verifier]) -> Proven:
    """Raises NotProvenHere."""
    proofs = [each for each in _BEGINS.split(text) if each]
    if not proofs:
        raise NotProvenHere(1, "no proof in this file")
    events, by = list[Event](), set[str]()
    for number, raw in enumerate(proofs, 1):
        try:
            proof = read_proof(raw)
            checkpoint, note = read_checkpoint(proof.checkpoint)
            signed = note.signed_by(keys)
            if not any(key.type == LOG and key.name == checkpoint.origin and key.name in signed for key in keys):
                raise NotProvenHere(number, "its checkpoint is not signed by this key")
            check_inclusion(leaf_hash(proof.extra), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
            events.append(decode(proof.extra, proof.index + 1))
            by |= {key.name for key in keys if key.type != LOG and key.name in signed}
            if subject_in(proof.extra) != events[0].subject:
                raise NotProvenHere(number, "it is of another case")
        except (BadNote, NotProven, UnreadableEvent) as wrong:
            raise NotProvenHere(number, str(wrong) or "the hashes do not lead to the checkpoint") from None
    if [event.version for event in events] != list(range(1, len(events) + 1)):
        raise NotProvenHere(len(events), "events of the case are left out")
    return Proven(checkpoint, events, sorted(by))


def _cosigned(log: Path, last: int, newest: Checkpoint) -> Iterator[tuple[Checkpoint, Note]]:
    """Cosigned checkpoints that cover the events."""
    for file in sorted((log / "cosigned").glob("*")):
        try:
            checkpoint, note = read_checkpoint(file.read_text())
        except (OSError, UnicodeDecodeError, BadNote):
            continue
        if last <= checkpoint.size <= newest.size and checkpoint.origin == newest.origin:
            yield checkpoint, note
