"""Running and checking a backbone: `ektp up`, `ektp replay`, `ektp doctor`."""

import asyncio
import contextlib
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress

from events.application import CaseFact, stage_reached
from events.envelope import case_subject, decode
from events.nik import Nik
from events.receipt import InvalidReceipt, case_id, office_of, parse_receipt
from events.stages import Stage
from infra.data_folder import DataFolder, open_folder
from infra.folder_lock import take_owner
from infra.guard.halt import halted
from infra.nats_configuration import HOST
from infra.nats_server import PortTaken
from services.application import State, evolve
from services.backbone import Backbone
from services.cli.at_desk import at_desk
from services.cli.book_import import import_book
from services.cli.cases import status_text
from services.cli.doctor import compare_views, examine
from services.cli.doctor import scrub as read_everything
from services.cli.session import Session, ektp_command
from services.commands import Advance, Command
from services.desk import Desk, Told
from services.instants import instant
from services.questions import AskStatus
from services.tokens import first_tokens

SAMPLE_SCALE = 0.002  # about 2,400 rows
_DEMO_NIK = "3672034501990001"  # made up


def add_to(app: typer.Typer) -> None:
    """Register these commands."""

    @ektp_command(app, "up")
    async def up(
        session: Session,
        http: Annotated[int | None, typer.Option("--http", help="Serve HTTP on this port of this machine.")] = None,
        nats: Annotated[int | None, typer.Option("--nats", help="NATS on this port; not given: a free one.")] = None,
        sample: Annotated[bool, typer.Option("--sample", help="Import a small made-up history and show one case.")] = False,
    ) -> None:
        """Run the backbone on this machine until Ctrl-C."""
        _stop_on_signals()
        folder = open_folder(session.data)
        with contextlib.suppress(asyncio.CancelledError), await take_owner(folder):
            listening = _listen(http) if http is not None else None
            if listening:
                _show_first_tokens(session, folder)
            await _serve(session, folder, listening, nats, sample)

    @ektp_command(app, "replay")
    async def replay(
        session: Session,
        to: Annotated[str | None, typer.Option("--to", help="As recorded until this instant.")] = None,
        seq: Annotated[int | None, typer.Option("--seq", min=0, help="Up to this journal position.")] = None,
        case: Annotated[str | None, typer.Option("--case", help="Only the case of this receipt.")] = None,
    ) -> None:
        """State from history alone: how many cases stand in each stage."""
        if to is not None and seq is not None:
            raise typer.BadParameter("give --to or --seq")
        document = await _replay(session, to, seq, case)
        session.document(document)
        stages = ", ".join(f"{count} {stage}" for stage, count in document["stages"].items() if count)
        text = f"{document['events']} events, {document['seconds']:.1f} s, {document['events_per_second']:.0f}/s: {stages}"
        session.say(text, text)

    @ektp_command(app, "doctor")
    async def doctor(
        session: Session,
        compare: Annotated[bool, typer.Option("--compare", help="Also compare all views with the journal.")] = False,
        scrub: Annotated[bool, typer.Option("--scrub", help="Also read journal, archive and log from end to end.")] = False,
    ) -> int:
        """Look at everything that can be wrong, and say what to do."""
        differences: list[dict[str, Any]] = []
        async with at_desk(session.data) as desk:
            checks = await examine(desk)
            if compare:
                check, differences = await compare_views(desk)
                checks.append(check)
            if scrub:
                checks.append(await read_everything(desk))
        ok = all(check.ok for check in checks)
        session.document({"ok": ok, "differences": differences, "checks": [vars(check) for check in checks]})
        for check in checks:
            text = f"{'ok ' if check.ok else 'BAD'} {check.name}: {check.says}"
            session.say(text, text)
        for each in differences:
            where = f"{each['table']} {'/'.join(map(str, each['key'].values()))} {each['column']}"
            text = f"    {where}: live {each['live']}, folded {each['folded']}"
            session.say(text, text)
        return 0 if ok else 1


def _stop_on_signals() -> None:
    """SIGINT or SIGTERM cancels this command, once: what is stopped in good order is not interrupted."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        for kind in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(kind, lambda: None)
        task.cancel()

    for kind in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(kind, stop)


async def _serve(
    session: Session, folder: DataFolder, listening: socket.socket | None, nats_port: int | None, sample: bool
) -> None:
    """Start, say ready, show what there is to show, and stay until cancelled."""
    async with Backbone(folder, nats_port, listening, sla_clock=True) as backbone:
        desk = Desk(folder)
        try:
            if sample:
                await _import_sample(session, desk)
            address = f"  http://{HOST}:{listening.getsockname()[1]}" if listening else ""
            print(f"ready  {backbone.server.url}{address}  --data {session.data}", flush=True)
            if why := halted(folder):
                print(why.message(session.lang), file=sys.stderr, flush=True)
            if sample:
                await _show_one_case(session, desk)
            await asyncio.Event().wait()
        finally:
            await desk.close()


def _show_first_tokens(session: Session, folder: DataFolder) -> None:
    """On the first start with HTTP; here, as what the reader prints is a log file."""
    for role, token in first_tokens(folder).items():
        session.say(f"token {role}, ditampilkan sekali ini saja: {token}", f"token {role}, shown this once: {token}")


def _listen(port: int) -> socket.socket:
    """Raises PortTaken."""
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as error:
        raise PortTaken(port, str(error), "--http") from None


async def _import_sample(session: Session, desk: Desk) -> None:
    """The sample, unless the journal holds something already."""
    from services.register.sample import cilegon  # noqa: PLC0415 (builds its time axis when imported)

    if await (await desk.journal()).last_seq():
        return
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", suffix=".csv") as book:
        book.writelines(cilegon(SAMPLE_SCALE, 1))
        book.flush()
        imported = await import_book(desk, session, Path(book.name), None)
    session.say(f"contoh: {imported.events_added} kejadian", f"sample: {imported.events_added} events imported")


async def _show_one_case(session: Session, desk: Desk) -> None:
    """One made-up resident goes through the five stages; on a second start the same commands add nothing."""
    try:
        receipt = await _demo(desk)
    except Told as told:  # someone has used this resident for cases of their own
        session.say(told.message("id"), told.message("en"))
        return
    text = status_text(session, await desk.ask("status", AskStatus(receipt=receipt, lang=session.lang)))
    session.say(text, text)


async def _demo(desk: Desk) -> str:
    body = {"command": "submit", "office": "367203", "nik": Nik(_DEMO_NIK), "name": "Contoh Warga", "kind": "new"}
    done = await desk.command(Command.validate_python(body | {"actor": "demo"}), "demo")
    for command in ("record", "queue", "print", "collect"):
        await desk.command(Advance(command=command, receipt=done["receipt"], actor="demo"), "demo")
    return str(done["receipt"])


async def _replay(session: Session, to: str | None, seq: int | None, case: str | None) -> dict[str, Any]:
    """Fold the journal from its first event; nothing but the journal is asked."""
    until, receipt = instant(to), parse_receipt(case) if case else None
    subject = case_subject(office_of(receipt).code, case_id(receipt)) if receipt else None
    states: dict[str, Stage] = {}
    one, events = State(), 0
    async with at_desk(session.data) as desk:
        started = time.monotonic()
        head = await (await desk.journal()).last_seq()
        last = head if seq is None else min(seq, head)
        with Progress(console=session.progress, transient=True) as progress:
            bar = progress.add_task("replay", total=last)
            async for batch in desk.history(last):
                for stored in batch:
                    event = decode(stored.body, stored.seq)
                    if until and event.recorded and event.recorded > until:
                        last = 0  # recorded times never go backwards: all later ones are later
                        break
                    if subject and stored.subject != subject:
                        continue
                    events += 1
                    if isinstance(event.fact, CaseFact):
                        one = evolve(one, event) if subject else one
                        stage = stage_reached(event.fact)
                        if stage:
                            states[stored.subject] = stage
                progress.update(bar, completed=batch[-1].seq)
                if not last:
                    break
        seconds = time.monotonic() - started
    if subject and not states:
        raise InvalidReceipt
    counts = Counter(states.values())
    return {
        "events": events,
        "seconds": seconds,
        "events_per_second": events / seconds if seconds else 0.0,
        "stages": {stage.value: counts[stage] for stage in Stage},
    }
