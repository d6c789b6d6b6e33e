"""Verifying a trail from end to end: one that lies still, read from files alone, or one that a backbone is adding to."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from infra.guard.blocks import Record
from infra.journal import Stored
from services.audit.manifest import check_manifest
from services.audit.trail import Trail, keys_for
from services.audit.verification import Verdict, Verification

Advance = Callable[[int], None]  # told how many events were looked at, each time
_AGAIN = 5  # times that a log which grows meanwhile is looked at afresh
_LOOK_S = 1.0


def verify_stopped(trail: Trail, pinned: Path | None, advance: Advance) -> Verdict:
    """Nothing is started, and nothing written. Raises NotAKey."""
    verification = _begin(trail, pinned, advance)
    stored = trail.stored()
    if stored is None:
        if trail.manifest.exists():
            verification.verdict.files += check_manifest(trail.directory, keys_for(trail, pinned)[0])
        return verification.verdict
    for found in stored:
        if isinstance(found, Record):
            verification.take([(found.seq, found.subject, found.body)])
        elif found.why == "damaged":
            verification.unreadable(found.seq)
    return verification.ended()


async def verify_running(
    trail: Trail, pinned: Path | None, history: AsyncIterator[list[Stored]], advance: Advance
) -> Verdict:
    """`history`: the journal from its first event on, as the server tells it. Raises NotAKey, and what reading it raises."""
    for _ in range(_AGAIN):
        head = _head(trail)
        verification = await asyncio.to_thread(_begin, trail, pinned, advance)
        if not verification.verdict.files or (head and _head(trail) == head):
            break  # else files of that checkpoint went while they were read
        if not head:  # tiles come before the first checkpoint, which follows within 2 s
            await asyncio.sleep(_LOOK_S)
    async for batch in history:
        messages = [(stored.seq, stored.subject, stored.body) for stored in batch]
        await asyncio.to_thread(verification.take, messages)
        advance(len(batch))
    return verification.ended()


def _begin(trail: Trail, pinned: Path | None, advance: Advance) -> Verification:
    keys, key_from = keys_for(trail, pinned)
    prefix = "" if trail.log == trail.directory else f"{trail.log.name}/"
    verification = Verification(trail.log, keys, key_from, trail.known(), prefix)
    verification.archive(advance)
    return verification


def _head(trail: Trail) -> bytes:
    try:
        return (trail.log / "checkpoint").read_bytes()
    except OSError:
        return b""
