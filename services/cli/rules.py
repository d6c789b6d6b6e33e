"""What holds at the offices: `ektp outage begin|end`, `ektp standard show|set`, `ektp calendar show|set`."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
import typer

from events.rules import in_force
from services.cli.at_desk import at_desk
from services.cli.cases import Actor, At, Key
from services.cli.session import Session, ektp_command, minute
from services.instants import instant
from services.outage import OutageBegin, OutageEnd
from services.rules import InvalidCalendar, InvalidStandard, SetRule
from services.rules_in_force import stored_rulebook

Rule = Literal["standard", "calendar"]


def add_to(app: typer.Typer) -> None:
    """Register these commands."""
    outage = typer.Typer(no_args_is_help=True, help="What an office cannot work with, and when.")
    app.add_typer(outage, name="outage")
    for command, model in (("begin", OutageBegin), ("end", OutageEnd)):
        ektp_command(outage, command)(_outage(model))
    groups: dict[Rule, str] = {"standard": "The service standard: targets and fee.", "calendar": "Hours and closed days."}
    for rule, what in groups.items():
        group = typer.Typer(no_args_is_help=True, help=what)
        app.add_typer(group, name=rule)
        ektp_command(group, "show")(_show(rule))
        ektp_command(group, "set")(_set(rule))


def _outage(model: type[OutageBegin | OutageEnd]) -> Callable[..., Any]:
    async def command(
        session: Session,
        office: Annotated[str, typer.Option("--office", help="Six digits of the district office.")],
        cause: Annotated[str, typer.Option("--cause", help="power, network, equipment or blank_stock.")],
        at: At = None,
        actor: Actor = None,
        idempotency_key: Key = None,
    ) -> None:
        asked = model.model_validate({"office": office, "cause": cause, "at": instant(at), "actor": actor})
        async with at_desk(session.data) as desk:
            done = await desk.office_command(asked, idempotency_key)
        session.document(done)
        since = minute(done["open_since"] or "")
        session.say(
            f"{office} {cause}: {f'terganggu sejak {since}' if since else 'tidak terganggu'}",
            f"{office} {cause}: {f'out since {since}' if since else 'not out'}",
        )

    command.__doc__ = model.__doc__
    return command


def _show(rule: Rule) -> Callable[..., Any]:
    async def command(
        session: Session,
        at: Annotated[str | None, typer.Option("--at", help="What holds at this instant; not given: now.")] = None,
    ) -> None:
        async with at_desk(session.data) as desk:
            rulebook = await stored_rulebook(await desk.journal())
        versions = getattr(rulebook, f"{rule}s")
        document = in_force(versions, instant(at) or datetime.now(UTC)).model_dump(mode="json")
        session.document(document)
        text = json.dumps(document, indent=2, ensure_ascii=False)
        session.say(text, text)

    command.__doc__ = f"The {rule} in force, as a file for `ektp {rule} set`."
    return command


def _set(rule: Rule) -> Callable[..., Any]:
    async def command(
        session: Session,
        file: Annotated[
            Path, typer.Argument(exists=True, dir_okay=False, help="As `show` prints it, with what is to change.")
        ],
        valid_from: Annotated[str | None, typer.Option("--from", help="From when it holds; not given: now.")] = None,
        actor: Actor = None,
        idempotency_key: Key = None,
    ) -> None:
        asked = SetRule(command=f"{rule}_set", document=_document(rule, file), valid_from=instant(valid_from), actor=actor)
        async with at_desk(session.data) as desk:
            done = await desk.office_command(asked, idempotency_key)
        session.document(done)
        since = minute(done["valid_from"])
        session.say(f"versi {done['version']} berlaku sejak {since}", f"version {done['version']} holds from {since}")

    command.__doc__ = f"Set a new version of the {rule}; what has started keeps the one it started under."
    return command


def _document(rule: Rule, file: Path) -> dict[str, Any]:
    """The JSON object in a file. Raises InvalidStandard, InvalidCalendar."""
    try:
        document = orjson.loads(file.read_bytes())
        if isinstance(document, dict):
            return document
    except ValueError:
        pass
    why = f"{file.name} holds no JSON object"
    raise InvalidStandard(why) if rule == "standard" else InvalidCalendar(why)
