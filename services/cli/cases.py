"""The desk's commands: submit, record, queue, print, collect, return, cancel, correct, find, status."""

from typing import Annotated, Any, Literal

import typer

from events.nik import Nik
from services.cli.at_desk import at_desk
from services.cli.session import Session, ektp_command, minute
from services.commands import Advance, AnyCommand, Cancel, Command, Correct, Return
from services.instants import instant
from services.questions import AskFind, AskStatus
from services.refusals import NothingCorrected

Receipt = Annotated[str, typer.Argument(help="The receipt, as printed or typed.")]
At = Annotated[str | None, typer.Option("--at", help="When it happened, for late entries; not given: now.")]
Actor = Annotated[str | None, typer.Option("--actor", help="User code of who did it.")]
Serial = Annotated[str | None, typer.Option("--serial", help="Serial of the blank.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; sealed like a name.")]
NeededReason = Annotated[str, typer.Option("--reason", help="Why; sealed like a name.")]
Key = Annotated[str | None, typer.Option("--idempotency-key", help="The same key again does nothing twice.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="What was true at this instant.")]
AsRecordedOption = Annotated[str | None, typer.Option("--as-recorded", help="What was known at this instant.")]
Office = Annotated[str | None, typer.Option("--office", help="Six digits; not given: all offices.")]

_CORRECTABLE = ("at", "serial", "actor", "name")
_STAGE_ID = {"submitted": "diajukan", "recorded": "direkam", "queued": "siap cetak", "printed": "dicetak"}
_STAGE_ID |= {"collected": "diambil", "cancelled": "dibatalkan", "returned": "dikembalikan", "corrected": "dibetulkan"}


def add_to(app: typer.Typer) -> None:
    """Register these commands."""

    @ektp_command(app, "submit")
    async def submit(
        session: Session,
        office: Annotated[str, typer.Option("--office", help="Six digits of the district office.")],
        nik: Annotated[str, typer.Option("--nik", help="The resident's number, 16 digits.")],
        name: Annotated[str, typer.Option("--name")],
        kind: Annotated[str, typer.Option("--kind", help="new, moved_in, lost, damaged or data_change.")],
        born: Annotated[str | None, typer.Option("--born", help="YYYY-MM-DD, if not the NIK's latest century.")] = None,
        married: Annotated[bool, typer.Option("--married", help="Ever married: may be under 17.")] = False,
        foreigner: Annotated[bool, typer.Option("--foreigner")] = False,
        stay_permit: Annotated[bool, typer.Option("--stay-permit", help="A foreigner's permanent one.")] = False,
        at: At = None,
        actor: Actor = None,
        serial: Serial = None,
        reason: Reason = None,
        idempotency_key: Key = None,
    ) -> None:
        """Hand in an application; prints the receipt and the promised date."""
        body = {
            **_noted(at, actor, serial, reason),
            "command": "submit",
            "office": office,
            "nik": Nik(nik),
            "name": name,
            "kind": kind,
            "born": born,
            "married": married,
            "foreigner": foreigner,
            "stay_permit": stay_permit,
        }
        done = await _done(session, Command.validate_python(body), idempotency_key)
        promised = minute(done["promised"])
        session.say(f"{done['receipt']}  dijanjikan {promised}", f"{done['receipt']}  promised {promised}")

    def advance(name: Literal["record", "queue", "print", "collect"], help_text: str) -> None:
        async def command(
            session: Session,
            receipt: Receipt,
            at: At = None,
            actor: Actor = None,
            serial: Serial = None,
            reason: Reason = None,
            idempotency_key: Key = None,
        ) -> None:
            body = Advance(command=name, receipt=receipt, **_noted(at, actor, serial, reason))
            await _moved(session, body, idempotency_key)

        command.__doc__ = help_text
        ektp_command(app, name)(command)

    advance("record", "Photo, fingerprints, signature and iris were taken.")
    advance("queue", "The centre found no double: print-ready.")
    advance("print", "A card is in hand and was checked.")
    advance("collect", "The resident has the card.")

    @ektp_command(app, "return")
    async def return_(
        session: Session,
        receipt: Receipt,
        to: Annotated[str, typer.Option("--to", help="The earlier stage: submitted, recorded or queued.")],
        reason: NeededReason,
        at: At = None,
        actor: Actor = None,
        serial: Serial = None,
        idempotency_key: Key = None,
    ) -> None:
        """Send a case back to an earlier stage."""
        body = {"command": "return", "receipt": receipt, "to": to, **_noted(at, actor, serial, reason)}
        await _moved(session, Return.model_validate(body), idempotency_key)

    @ektp_command(app, "cancel")
    async def cancel(
        session: Session,
        receipt: Receipt,
        reason: NeededReason,
        at: At = None,
        actor: Actor = None,
        serial: Serial = None,
        idempotency_key: Key = None,
    ) -> None:
        """End a case without a card."""
        body = {"receipt": receipt, **_noted(at, actor, serial, reason)}
        await _moved(session, Cancel.model_validate(body), idempotency_key)

    @ektp_command(app, "correct")
    async def correct(
        session: Session,
        receipt: Receipt,
        event: Annotated[str, typer.Option("--event", help="Id of the event that was noted wrongly (see: status).")],
        set_: Annotated[list[str], typer.Option("--set", help="at=…, serial=…, actor=… or name=…; may be repeated.")],
        reason: NeededReason,
        at: At = None,
        actor: Actor = None,
        serial: Serial = None,
        idempotency_key: Key = None,
    ) -> None:
        """Put right what an event says; the event itself stays."""
        body = {"receipt": receipt, "event": event, **_noted(at, actor, serial, reason)} | dict(map(_new_value, set_))
        await _moved(session, Correct.model_validate(body), idempotency_key)

    @ektp_command(app, "find")
    async def find(
        session: Session,
        nik: Annotated[str | None, typer.Option("--nik", help="Receipts of this resident.")] = None,
        case: Annotated[str | None, typer.Option("--case", help="Receipt of this register number.")] = None,
        office: Office = None,
    ) -> None:
        """Find receipts by resident or by register number."""
        if (nik is None) == (case is None):
            raise typer.BadParameter("give --nik or --case")
        ask = AskFind(by="nik" if nik else "case", nik=Nik(nik) if nik else None, case=case, office=office)
        async with at_desk(session.data) as desk:
            found = await desk.ask("find", ask)
        session.document(found)
        for receipt in found["receipts"]:
            session.say(receipt, receipt)
        if not found["receipts"]:
            session.say("Tidak ada.", "None.")

    @ektp_command(app, "status")
    async def status(
        session: Session, receipt: Receipt, as_of: AsOfOption = None, as_recorded: AsRecordedOption = None
    ) -> None:
        """Where a case stands: stage, since when, what it waits for, promise, place in the queue, history."""
        ask = AskStatus(receipt=receipt, as_of=instant(as_of), as_recorded=instant(as_recorded), lang=session.lang)
        async with at_desk(session.data) as desk:
            found = await desk.ask("status", ask)
        session.document(found)
        text = status_text(session, found)
        session.say(text, text)


def _noted(at: str | None, actor: str | None, serial: str | None, reason: str | None) -> dict[str, Any]:
    return {"at": instant(at), "actor": actor, "serial": serial, "reason": reason}


def _new_value(assignment: str) -> tuple[str, Any]:
    """Field and value of `FIELD=VALUE`. Raises NothingCorrected, InvalidInstant."""
    field, equals, value = assignment.partition("=")
    if field not in _CORRECTABLE:
        raise NothingCorrected(field if equals else "-")  # without `=` it may be a name, which is not shown
    return f"new_{field}", instant(value) if field == "at" else value


async def _done(session: Session, command: AnyCommand, key: str | None) -> dict[str, Any]:
    async with at_desk(session.data) as desk:
        done = await desk.command(command, key)
    session.document(done)
    return done


async def _moved(session: Session, command: AnyCommand, key: str | None) -> None:
    done = await _done(session, command, key)
    text = f"{done['receipt']}  {_stage(session, done['stage'])}"
    session.say(text, text)


def status_text(session: Session, found: dict[str, Any]) -> str:
    """The status of a case for a person."""
    indonesian, place = session.lang == "id", found["place"]
    queue = ""
    if place:
        number, of = place["number"], place["of"]
        queue = f", antrean {number} dari {of}" if indonesian else f", number {number} of {of}"
    promised = f"{'dijanjikan' if indonesian else 'promised'} {minute(found['promised'])}"
    lines = [f"{found['receipt']}  {_stage(session, found['stage'])}{queue}, {promised}", found["next_step"]]
    if forecast := found["forecast"]:
        words = ("perkiraan jadi", "9 dari 10 jadi paling lambat") if indonesian else ("expected", "9 of 10 by")
        lines.append(f"{words[0]} {minute(forecast['p50'])}, {words[1]} {minute(forecast['p90'])}")
    for line in found["history"]:
        recorded = f"{'tercatat' if indonesian else 'recorded'} {minute(line['recorded'])}"
        event = f"{_stage(session, line['event']):12}{minute(line['occurred'])}  {recorded}"
        lines.append(f"  {event}  {line['actor'] or '-':12}  {line['id']}")
    return "\n".join(lines)


def _stage(session: Session, name: str) -> str:
    return _STAGE_ID[name] if session.lang == "id" else name
