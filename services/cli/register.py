"""Register books: `ektp import` and the made-up ones of `ektp sample`."""

import asyncio
import contextlib
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar

import orjson
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.offices import BACKBONE_ID
from services.cli.desk import BackboneGone, Desk, Told, at_desk
from services.cli.session import Session, ektp_command
from services.register.book import BadRow, RawRow, read
from services.register.rejections import EarlierRowRejected
from services.register.rejects_file import RejectsFile
from services.register.row import ROWS_MAX

EXIT_REJECTED = 3
Rejected = tuple[RawRow | BadRow, str, str]  # with code and sentence; sorts by line


@dataclass
class Imported:
    """The document of `ektp import`."""

    events_added: int = 0
    events_already_there: int = 0
    rows_rejected: int = 0
    seconds: float = 0.0  # from the first row read to the last acknowledgement
    events_per_second: float = 0.0


@dataclass(eq=False)
class ImportInterrupted(BackboneGone):
    """The backbone went away for good while a book was imported: how far it came, by what was acknowledged."""

    imported: Imported
    sentence_id: ClassVar[str] = (
        "Layanan e-KTP tidak menjawab selama {waited_s:.0f} detik. Sampai di situ: {imported.events_added} ditambah, "
        "{imported.events_already_there} sudah ada, {imported.rows_rejected} ditolak. "
        "Jalankan: ektp up, lalu impor berkas yang sama lagi."
    )
    sentence_en: ClassVar[str] = (
        "The backbone has not answered for {waited_s:.0f} s. So far {imported.events_added} were added, "
        "{imported.events_already_there} were there already, {imported.rows_rejected} were rejected. "
        "Run: ektp up, then import the same file again."
    )


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


async def import_book(desk: Desk, session: Session, file: Path, rejects: RejectsFile | None) -> Imported:
    """Send a book's rows to the writer in chunks, each after the one before was acknowledged; the next is read meanwhile.

    Which cases were rejected is kept here too, since a writer that is started again has forgotten it.
    Raises the book's problems, ImportInterrupted, and what the writer told.
    """
    imported, run, started = Imported(), secrets.token_hex(8), time.monotonic()
    bad_cases: set[tuple[str, str]] = set()
    rows: list[RawRow | BadRow]

    def readable(rows: list[RawRow | BadRow], rejected: list[Rejected]) -> Iterator[RawRow]:
        """Rows for the writer. One that cannot be read, and what follows a rejected one of its case, is rejected here."""
        for row in rows:
            if isinstance(row, BadRow):
                bad_cases.add(_case(row))
                rejected.append((row, row.why.code, row.why.message(session.lang)))
            elif row.cells[0] and _case(row) in bad_cases:
                rejected.append((row, EarlierRowRejected.code, EarlierRowRejected().message(session.lang)))
            else:
                yield row

    def told(chunk: list[RawRow], rejected: list[Rejected], answer: dict[str, Any]) -> None:
        imported.events_added += answer["added"]
        imported.events_already_there += answer["already_there"]
        rows = {row.line: row for row in chunk}
        for line, code, sentence_id, sentence_en in answer["rejected"]:
            bad_cases.add(_case(rows[line]))
            rejected.append((rows[line], code, sentence_id if session.lang == "id" else sentence_en))
        for row, code, sentence in sorted(rejected):
            imported.rows_rejected += 1
            if rejects:
                rejects.write(row.line, Told({"code": code, "message_id": sentence, "message_en": sentence}), row.cells)
            else:
                print(f"{row.line}: {code}: {sentence}", file=sys.stderr)

    columns = TextColumn("import"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=session.progress, transient=True) as progress:
        bar = progress.add_task("import", total=_size(file))
        on_its_way: tuple[list[RawRow], list[Rejected], asyncio.Task[dict[str, Any]]] | None = None
        try:
            chunks = _chunks(file)
            while rows := await asyncio.to_thread(next, chunks, []):  # so that requests leave while a slow file is read
                if on_its_way:
                    told(*on_its_way[:2], await on_its_way[2])
                rejected: list[Rejected] = []
                chunk = list(readable(rows, rejected))
                body = orjson.dumps({"run": run, "rows": [(row.line, row.cells) for row in chunk]})
                sending = desk.request(f"cmd.ektp.{BACKBONE_ID}.import", body, timeout_s=60)
                on_its_way = chunk, rejected, asyncio.create_task(sending)
                progress.update(bar, completed=rows[-1].position)
            if on_its_way:
                told(*on_its_way[:2], await on_its_way[2])
        except BackboneGone as gone:
            raise ImportInterrupted(gone.waited_s, imported) from None
    imported.seconds = time.monotonic() - started
    imported.events_per_second = imported.events_added / imported.seconds if imported.seconds else 0.0
    return imported


def _size(file: Path) -> int | None:
    return file.stat().st_size if file.is_file() else None


def _case(row: RawRow | BadRow) -> tuple[str, str]:
    """(office, case) as written."""
    return row.cells[1], row.cells[0]


def _chunks(file: Path) -> Iterator[list[RawRow | BadRow]]:
    """The book's rows, ROWS_MAX at a time."""
    rows = read(file)
    while chunk := list(islice(rows, ROWS_MAX)):
        yield chunk
