"""The audit trail: `ektp audit verify`, `prove`, `check`, `export`, `case`."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from infra.folder_lock import endpoint
from infra.guard.blocks import Record
from services.audit.manifest import check_manifest
from services.audit.trail import Trail, find_trail, keys_for
from services.audit.verification import Verdict, Verification
from services.cli.audit_app import audit_app
from services.cli.desk import Desk
from services.cli.session import Session, ektp_command

KeyFile = Annotated[Path | None, typer.Option("--key", help="Public keys to trust: the log's, and witnesses'.")]
_WHY_ID = {
    "altered": "diubah",
    "missing": "hilang",
    "reordered": "dipindah",
    "truncated": "dipotong",
    "rolled_back": "dimundurkan",
    "wrong_key": "ditandatangani kunci lain",
}
_AGAIN = 5  # times that a log which grows meanwhile is looked at afresh


@ektp_command(audit_app, "verify")
async def verify(
    session: Session,
    directory: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="A copy; not given: this backbone.")] = None,
    key: KeyFile = None,
) -> int:
    """Compare journal, archive and signed checkpoint, event by event; off-line, with public keys alone."""
    trail = find_trail(directory or session.data)
    with Progress(console=session.progress) as progress:
        bar = progress.add_task("audit verify", total=None)
        advance = lambda events: progress.update(bar, advance=events)  # noqa: E731
        runs = directory is None and trail.folder is not None and endpoint(trail.folder) is not None
        verdict = await (_running(trail, key, advance) if runs else asyncio.to_thread(_stopped, trail, key, advance))
    session.document(verdict.document())
    session.say(*_told(verdict))
    return 0 if verdict.ok else 1


def _begin(trail: Trail, key: Path | None, advance: Callable[[int], None]) -> Verification:
    keys, key_from = keys_for(trail, key)
    prefix = "" if trail.log == trail.directory else f"{trail.log.name}/"
    verification = Verification(trail.log, keys, key_from, trail.known(), prefix)
    verification.archive(advance)
    return verification


def _stopped(trail: Trail, key: Path | None, advance: Callable[[int], None]) -> Verdict:
    """The server's files are read as they are; nothing is started, and nothing written."""
    verification = _begin(trail, key, advance)
    stored = trail.stored()
    if stored is None:
        if trail.manifest.exists():
            keys, _ = keys_for(trail, key)
            verification.verdict.files += check_manifest(trail.directory, keys)
        return verification.verdict
    for found in stored:
        if isinstance(found, Record):
            verification.take([(found.seq, found.subject, found.body)])
        elif found.why == "damaged":
            verification.unreadable(found.seq)
    return verification.ended()


async def _running(trail: Trail, key: Path | None, advance: Callable[[int], None]) -> Verdict:
    """As the server tells the journal, up to what it was when the log was looked at, and a little further."""
    assert trail.folder is not None
    for _ in range(_AGAIN):  # files of an older checkpoint go while it is read
        head = _head(trail)
        verification = await asyncio.to_thread(_begin, trail, key, advance)
        if not verification.verdict.files or _head(trail) == head:
            break
    async with AsyncExitStack() as stack:
        desk = Desk(trail.folder)
        stack.push_async_callback(desk.close)
        async for batch in desk.history(await (await desk.journal()).last_seq()):
            messages = [(stored.seq, stored.subject, stored.body) for stored in batch]
            await asyncio.to_thread(verification.take, messages)
            advance(len(batch))
    return verification.ended()


def _head(trail: Trail) -> bytes:
    try:
        return (trail.log / "checkpoint").read_bytes()
    except OSError:
        return b""


def _told(verdict: Verdict) -> tuple[str, str]:
    size, files = verdict.size, "".join(f"\n  {path}: {why}" for path, why in verdict.files)
    by = ", ".join(each["name"] for each in verdict.cosigned)
    if verdict.ok:
        seen_id, seen_en = (f"; disaksikan {by}", f"; cosigned by {by}") if by else ("", "")
        return (
            f"Utuh: {size} peristiwa ditandatangani, {verdict.unanchored} belum{seen_id}. Kunci: {verdict.key_from}",
            f"Whole: {size} events signed, {verdict.unanchored} not yet{seen_en}. Key: {verdict.key_from}",
        )
    wrong: dict[str, Any] = vars(verdict.first_wrong) if verdict.first_wrong else {}
    if not wrong:
        return f"Ada berkas yang salah:{files}", f"Some files are wrong:{files}"
    where = f"{wrong['seq']}" + (f" ({wrong['subject']})" if wrong["subject"] else "")
    return (
        f"TIDAK utuh: peristiwa {where} {_WHY_ID[wrong['why']]}.{files}",
        f"NOT whole: event {where} {wrong['why'].replace('_', ' ')}.{files}",
    )
