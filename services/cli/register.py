"""Register books: `ektp import` and the made-up ones of `ektp sample`."""

import contextlib
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from services.cli.at_desk import at_desk
from services.cli.book_import import import_book
from services.cli.session import Session, ektp_command
from services.register.rejects_file import RejectsFile

EXIT_REJECTED = 3


def add_to(app: typer.Typer) -> None:
    """Register these commands."""

    @ektp_command(app, "import")
    async def import_(
        session: Session,
        file: Annotated[Path, typer.Argument(help="A register book: CSV, UTF-8.")],
        rejects: Annotated[Path | None, typer.Option("--rejects", help="Where rejected rows go; it holds names.")] = None,
    ) -> int:
        """Take over history from register books; may be interrupted and repeated at will."""
        with contextlib.ExitStack() as stack:
            out = stack.enter_context(RejectsFile(rejects, session.data, file, session.lang)) if rejects else None
            async with at_desk(session.data) as desk:
                imported = await import_book(desk, session, file, out)
        session.document(asdict(imported))
        figures = f"{imported.events_added}, {imported.events_already_there}, {imported.rows_rejected}"
        pace = f"{imported.seconds:.1f} s, {imported.events_per_second:.0f}/s"
        session.say(
            f"ditambah, sudah ada, ditolak: {figures} ({pace})", f"added, already there, rejected: {figures} ({pace})"
        )
        return EXIT_REJECTED if imported.rows_rejected else 0

    @ektp_command(app, "sample")
    async def sample(
        session: Session,
        which: Annotated[str, typer.Argument(help="cilegon")],
        scale: Annotated[float, typer.Option("--scale", help="1.0 is the case study's size: 1.2 million rows.")] = 1.0,
        seed: Annotated[int, typer.Option("--seed", help="Another seed: other people, the same totals.")] = 1,
    ) -> None:
        """Write a made-up register book that agrees with the case study's tables, to stdout."""
        from services.register.sample import cilegon  # noqa: PLC0415 (builds its time axis when imported)

        if which != "cilegon":
            raise typer.BadParameter("there is one sample: cilegon")
        for line in cilegon(scale, seed):  # UTF-8 and LF whatever the locale says
            sys.stdout.buffer.write(line.encode())
