"""Register books: `ektp import` and the made-up ones of `ektp sample`."""

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.offices import BACKBONE_ID
from events.problem import Problem
from services.cli.desk import Desk, Told, at_desk
from services.cli.session import Session, ektp_command
from services.importer import ROWS_MAX
from services.register_book import BadRow, RawRow, read
from services.rejects import RejectsFile
from services.row_rejections import EarlierRowRejected

EXIT_REJECTED = 3


@dataclass
class Imported:
    """The document of `ektp import`."""

    events_added: int = 0
    events_already_there: int = 0
    rows_rejected: int = 0
    seconds: float = 0.0  # from the first row read to the last acknowledgement
    events_per_second: float = 0.0


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
        from services.sample import cilegon  # noqa: PLC0415 (builds its time axis when imported)

        if which != "cilegon":
            raise typer.BadParameter("there is one sample: cilegon")
        for line in cilegon(scale, seed):  # UTF-8 and LF whatever the locale says
            sys.stdout.buffer.write(line.encode())


async def import_book(desk: Desk, session: Session, file: Path, rejects: RejectsFile | None) -> Imported:
    """Send a book's rows to the writer in chunks, each after the one before was acknowledged; the next is read meanwhile.

    Raises the book's problems, BackboneGone, and what the writer told.
    """
    imported, run, started = Imported(), secrets.token_hex(8), time.monotonic()

    def reject(line: int, code: str, sentence: str, cells: tuple[str, ...]) -> None:
        imported.rows_rejected += 1
        if rejects:
            rejects.write(line, Told({"code": code, "message_id": sentence, "message_en": sentence}), cells)
        else:
            Console(stderr=True, highlight=False, soft_wrap=True).print(f"{line}: {code}: {sentence}", markup=False)

    def told(chunk: list[RawRow], answer: dict[str, Any]) -> None:
        imported.events_added += answer["added"]
        imported.events_already_there += answer["already_there"]
        cells = {row.line: row.cells for row in chunk}
        for line, code, sentence_id, sentence_en in answer["rejected"]:
            reject(line, code, sentence_id if session.lang == "id" else sentence_en, cells[line])

    columns = TextColumn("import"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=session.progress, transient=True) as progress:
        bar = progress.add_task("import", total=_size(file))
        on_its_way: tuple[list[RawRow], asyncio.Task[dict[str, Any]]] | None = None
        for chunk in _chunks(file, session, reject):
            if on_its_way:
                told(on_its_way[0], await on_its_way[1])
            body = orjson.dumps({"run": run, "rows": [(row.line, row.cells) for row in chunk]})
            sending = desk.request(f"cmd.ektp.{BACKBONE_ID}.import", body, timeout_s=60)
            on_its_way = (chunk, asyncio.create_task(sending))
            await asyncio.sleep(0)  # let it leave before the next chunk is read
            progress.update(bar, completed=chunk[-1].position)
        if on_its_way:
            told(on_its_way[0], await on_its_way[1])
    imported.seconds = time.monotonic() - started
    imported.events_per_second = imported.events_added / imported.seconds if imported.seconds else 0.0
    return imported


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _chunks(file: Path, session: Session, reject: Any) -> Iterator[list[RawRow]]:
    """Readable rows, ROWS_MAX at a time. An unreadable row, and what follows it of the same case, is rejected here."""
    bad_cases: set[tuple[str, str]] = set()
    chunk: list[RawRow] = []

    def rejected(row: RawRow | BadRow, why: Problem) -> None:
        reject(row.line, why.code, why.message(session.lang), row.cells)

    for row in read(file):
        name = (row.cells[1], row.cells[0])
        if isinstance(row, BadRow):
            bad_cases.add(name)
            rejected(row, row.why)
        elif name in bad_cases and name[1]:
            rejected(row, EarlierRowRejected())
        else:
            chunk.append(row)
            if len(chunk) == ROWS_MAX:
                yield chunk
                chunk = []
    if chunk:
        yield chunk
