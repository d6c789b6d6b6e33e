"""Looking after views: `ektp rebuild`, `ektp retry`."""

import asyncio
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from services.cli.at_desk import at_desk
from services.cli.session import Session, ektp_command
from services.questions import AskRebuild, AskRetry

_LOOK_S = 0.2


def add_to(app: typer.Typer) -> None:
    """Register these commands."""

    @ektp_command(app, "rebuild")
    async def rebuild(
        session: Session,
        projection: Annotated[str | None, typer.Argument(help="A view; not given: all of them.")] = None,
    ) -> None:
        """Build views anew from the journal, beside those that serve, and put them in their place when they are ready."""
        columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
        async with at_desk(session.data) as desk:
            builds = (await desk.ask("rebuild", AskRebuild(projection=projection)))["builds"]
            with Progress(*columns, console=session.progress, transient=True) as bars:
                bar = {build["projection"]: bars.add_task(build["projection"]) for build in builds}
                while not all(build["done"] for build in builds):
                    await asyncio.sleep(_LOOK_S)
                    builds = (await desk.ask("rebuild", AskRebuild(projection=projection, begin=False)))["builds"]
                    for build in builds:
                        bars.update(bar[build["projection"]], total=build["head"], completed=build["position"])
        session.document({"builds": builds})
        for build in builds:
            name, events, pace = build["projection"], build["position"], build["events_per_second"]
            session.say(
                f"{name}: disusun ulang sampai kejadian {events} ({pace:.0f}/s)",
                f"{name}: rebuilt up to event {events} ({pace:.0f}/s)",
            )

    @ektp_command(app, "retry")
    async def retry(
        session: Session,
        event: Annotated[int | None, typer.Argument(help="Its journal position; not given: all.")] = None,
    ) -> int:
        """Try events again that a view could not take (as `ektp doctor` tells)."""
        async with at_desk(session.data) as desk:
            answer = await desk.ask("retry", AskRetry(seq=event))
        session.document(answer)
        left = len(answer["set_aside"])
        session.say(
            f"diterima: {answer['taken']}, masih disisihkan: {left}", f"taken: {answer['taken']}, still aside: {left}"
        )
        for row in answer["set_aside"]:
            session.say(*[f"  {row['projection']} {row['seq']}: {row['why']}"] * 2)
        return 1 if left else 0
