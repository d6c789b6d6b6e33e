"""The audit trail: `ektp audit verify`, `prove`, `check`, `export`, `case`."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from events.envelope import case_subject, decode, subject
from events.receipt import InvalidReceipt, case_id, office_of, parse_receipt
from infra.folder_lock import is_owned
from infra.journal import Stored
from infra.tlog.identity import log_signer
from infra.tlog.tiles import read_head
from services.audit.event_line import event_line
from services.audit.proofs import NotAnchored, NotProvenHere, check, prove
from services.audit.trail import find_trail, keys_for, read_keys
from services.audit.verification import Verdict
from services.audit.verify import verify_running, verify_stopped
from services.cli.at_desk import at_desk
from services.cli.audit_restore import restore_journal
from services.cli.cases import Receipt
from services.cli.session import Session, ektp_command, minute
from services.desk import Desk

KeyFile = Annotated[Path | None, typer.Option("--key", help="Public keys to trust: the log's, and witnesses'.")]
_WHY_ID = {
    "altered": "diubah",
    "missing": "hilang",
    "reordered": "dipindah",
    "truncated": "dipotong",
    "rolled_back": "dimundurkan",
    "wrong_key": "ditandatangani kunci lain",
}
SIGNED_S_MAX, _LOOK_S = 20.0, 0.1

audit_app = typer.Typer(no_args_is_help=True, help="The audit trail: verify, prove, check, export, case, restore.")


def add_to(app: typer.Typer) -> None:
    """Register the group."""
    ektp_command(audit_app, "restore")(restore_journal)
    app.add_typer(audit_app, name="audit")


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
        if directory is None and trail.folder and is_owned(trail.folder):
            desk = Desk(trail.folder)
            verdict = await verify_running(trail, key, _history_of(desk), advance)
            await desk.close()
        else:
            verdict = await asyncio.to_thread(verify_stopped, trail, key, advance)
    session.document(verdict.document())
    session.say(*_told(verdict))
    return 0 if verdict.ok else 1


@ektp_command(audit_app, "prove")
async def prove_case(
    session: Session,
    receipt: Receipt,
    out: Annotated[Path | None, typer.Option("--out", help="Not given: RECEIPT.tlog-proof, here.")] = None,
) -> None:
    """Write proofs of all events of a case into one file, which anybody can check with the log's public key alone."""
    code = parse_receipt(receipt)
    async with at_desk(session.data) as desk:
        messages = await _history(desk, code)
        await _until_signed(desk, messages[-1].seq)
        proofs = await asyncio.to_thread(prove, desk.folder.log, messages)
    file = out or Path(f"{code}.tlog-proof")
    file.write_text(proofs)
    session.document({"file": str(file), "events": len(messages), "seq": messages[-1].seq})
    session.say(f"{file}: bukti {len(messages)} peristiwa", f"{file}: proofs of {len(messages)} events")


@ektp_command(audit_app, "check")
async def check_proofs(
    session: Session, proof: Annotated[Path, typer.Argument(help="A file of ektp audit prove.")], key: KeyFile = None
) -> None:
    """Check a file of proofs, off-line, with the public key of --key, or else of this data folder."""
    try:
        text = proof.read_text()
    except (OSError, UnicodeDecodeError):
        raise NotProvenHere(1, "the file cannot be read") from None
    keys, key_from = (read_keys(key), str(key)) if key else keys_for(find_trail(session.data), None)
    proven = check(text, keys)
    last = proven.events[-1]
    session.document(
        {
            "ok": True,
            "case": last.entity_id,
            "office": last.place,
            "events": [event_line(event) for event in proven.events],
            "size": proven.checkpoint.size,
            "root": base64.b64encode(proven.checkpoint.root).decode(),
            "key_from": key_from,
            "cosigned_by": proven.cosigned_by,
        }
    )
    names, size = ", ".join(event.name for event in proven.events), proven.checkpoint.size
    session.say(
        f"Sah: {names} ada dalam jejak audit dari {size} peristiwa. Kunci: {key_from}",
        f"Proven: {names} are in the trail of {size} events. Key: {key_from}",
    )


@ektp_command(audit_app, "export")
async def export_trail(session: Session, directory: Annotated[Path, typer.Argument(metavar="DIR")]) -> None:
    """Write log, proofs, events and coverage figures into a new folder, with a signed manifest; verify DIR accepts it."""
    from services.audit.export import export  # noqa: PLC0415 (SQLAlchemy: 0.2 s that no other command needs)

    async with at_desk(session.data) as desk:
        head = await (await desk.journal()).last_seq()
        await _until_signed(desk, head)
        with Progress(console=session.progress) as progress:
            bar = progress.add_task("audit export", total=head)
            advance = lambda events: progress.update(bar, advance=events)  # noqa: E731
            position = await asyncio.to_thread(export, desk.folder.log, log_signer(desk.folder), directory, advance)
    session.document({"directory": str(directory), "position": position})
    session.say(f"{directory}: {position} peristiwa", f"{directory}: {position} events")


@ektp_command(audit_app, "case")
async def case(session: Session, receipt: Receipt) -> None:
    """What happened in one case: who, when it occurred and was recorded, where, why, and whether it is proven."""
    code = parse_receipt(receipt)
    async with at_desk(session.data) as desk:
        messages = await _history(desk, code)
        told = subject(messages[0].subject.split(".")[1], "sla", case_id(code))
        messages += await (await desk.journal()).messages(told)
        head = read_head(desk.folder.log)
    size = head[0].size if head else 0
    lines = [
        event_line(event) | {"proof": "signed" if event.seq <= size else "waits"}
        for event in sorted((decode(stored.body, stored.seq) for stored in messages), key=lambda event: event.seq)
    ]
    session.document({"receipt": code, "case": case_id(code), "log_size": size, "events": lines})
    for line in lines:
        cause = ", ".join(f"{name} {seconds} s" for name, seconds in (line["causes"] or {}).items() if seconds)
        why = " ".join(filter(None, [line["detail"], cause, "(+)" if line["has_reason"] else ""]))
        session.say(
            *[
                f"{line['seq']:>8} {minute(line['occurred'])} {minute(line['recorded'])} {line['office']} "
                f"{line['event']:10} {line['actor'] or '-':12} {line['proof']:6} {why}"
            ]
            * 2
        )


async def _history(desk: Desk, receipt: str) -> list[Stored]:
    """The case's messages. Raises InvalidReceipt."""
    messages = await (await desk.journal()).messages(case_subject(office_of(receipt).code, case_id(receipt)))
    if not messages:
        raise InvalidReceipt
    return messages


async def _until_signed(desk: Desk, seq: int) -> None:
    """Wait until a checkpoint covers this position: some 2 s where nothing is wrong. Raises NotAnchored."""
    size = 0
    for _ in range(int(SIGNED_S_MAX / _LOOK_S)):
        head = read_head(desk.folder.log)
        size = head[0].size if head else 0
        if size >= seq:
            return
        await asyncio.sleep(_LOOK_S)
    raise NotAnchored(seq, size)


async def _history_of(desk: Desk) -> AsyncIterator[list[Stored]]:
    async for batch in desk.history(await (await desk.journal()).last_seq()):
        yield batch


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
