"""Sending a register book to the writer, chunk by chunk, and counting what became of its rows."""

import asyncio
import secrets
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import orjson
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from events.offices import BACKBONE_ID
from services.cli.archive_pace import wait_for_archive
from services.cli.session import Session
from services.desk import BackboneGone, Desk, Told
from services.register.book import BadRow, RawRow, read
from services.register.rejections import EarlierRowRejected
from services.register.rejects_file import RejectsFile
from services.register.row import ROWS_MAX

Rejected = tuple[RawRow | BadRow, str, str]  # with code and sentence; sorts by line

# A new writer reads the whole journal when it meets a book that is there already: a minute for a city. Whether it is gone
# meanwhile is asked each second.
_ANSWER_S_MAX = 600.0


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


class _Sent(NamedTuple):
    """A chunk on its way to the writer."""

    number: int
    rows: list[RawRow | BadRow]
    chunk: list[RawRow]  # those of them that were sent
    rejected: list[Rejected]  # those that were not
    ahead: bool  # before the answer for the chunk before came
    answer: "asyncio.Task[dict[str, Any]]"


async def import_book(desk: Desk, session: Session, file: Path, rejects: RejectsFile | None) -> Imported:
    """Import a book: while one chunk is stored the next is read and sent ahead, so that the writer can decide it.

    Raises the book's problems, ImportInterrupted, and what the writer told.
    """
    importing, started = _Import(desk, session, rejects), time.monotonic()
    columns = TextColumn("import"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=session.progress, transient=True) as progress:
        bar = progress.add_task("import", total=_size(file))
        chunks, sent, archived = _chunks(file), list[_Sent](), True
        try:
            for number in count():
                # in a thread, so that requests leave while a slow file is read
                if rows := await asyncio.to_thread(next, chunks, list[RawRow | BadRow]()):
                    sent.append(importing.send(number, rows, ahead=number > 0))
                elif not sent:
                    break
                if not rows or len(sent) > 1:
                    await importing.settle(sent[0])
                    progress.update(bar, completed=sent.pop(0).rows[-1].position)
                    archived = archived and await wait_for_archive(desk.folder, await desk.journal())
        except BackboneGone as gone:
            raise ImportInterrupted(gone.waited_s, importing.imported) from None
        finally:
            for one in sent:
                one.answer.cancel()
            await asyncio.gather(*(one.answer for one in sent), return_exceptions=True)
    imported = importing.imported
    imported.seconds = time.monotonic() - started
    imported.events_per_second = imported.events_added / imported.seconds if imported.seconds else 0.0
    return imported


class _Import:
    """One run. Which cases were rejected is kept here too: a writer that is started again has forgotten it."""

    def __init__(self, desk: Desk, session: Session, rejects: RejectsFile | None) -> None:
        self._desk, self._session, self._rejects = desk, session, rejects
        self._run = secrets.token_hex(8)
        self._rejected_from: dict[tuple[str, str], int] = {}  # (office, case): line
        self.imported = Imported()

    def send(self, number: int, rows: list[RawRow | BadRow], ahead: bool) -> _Sent:
        """Send what can be read. A row that cannot is rejected here, and what follows in its case with it."""
        rejected: list[Rejected] = []
        chunk: list[RawRow] = []
        for row in rows:
            if isinstance(row, BadRow):
                self._reject(row)
                rejected.append((row, row.why.code, row.why.message(self._session.lang)))
            elif row.cells[0] and self._rejected_from.get(_case(row), row.line) < row.line:
                rejected.append((row, EarlierRowRejected.code, EarlierRowRejected().message(self._session.lang)))
            else:
                chunk.append(row)
        cells = [(row.line, row.cells) for row in chunk]
        body = orjson.dumps({"run": self._run, "number": number, "ahead": ahead, "rows": cells})
        request = self._desk.request(f"cmd.ektp.{BACKBONE_ID}.import", body, timeout_s=_ANSWER_S_MAX)
        return _Sent(number, rows, chunk, rejected, ahead, asyncio.create_task(request))

    async def settle(self, sent: _Sent) -> None:
        """Wait until a chunk is stored, those before it being so, and count what became of it."""
        try:
            answer = await sent.answer
        except Told:
            if not sent.ahead:
                raise
            sent = self.send(sent.number, sent.rows, ahead=False)  # now it is its turn, whoever is the writer
            answer = await sent.answer
        self.imported.events_added += answer["added"]
        self.imported.events_already_there += answer["already_there"]
        rows = {row.line: row for row in sent.chunk}
        for line, code, sentence_id, sentence_en in answer["rejected"]:
            self._reject(rows[line])
            sent.rejected.append((rows[line], code, sentence_id if self._session.lang == "id" else sentence_en))
        for row, code, sentence in sorted(sent.rejected):
            self.imported.rows_rejected += 1
            if self._rejects:
                problem = Told({"code": code, "message_id": sentence, "message_en": sentence})
                self._rejects.write(row.line, problem, row.cells)
            else:
                print(f"{row.line}: {code}: {sentence}", file=sys.stderr)

    def _reject(self, row: RawRow | BadRow) -> None:
        self._rejected_from.setdefault(_case(row), row.line)


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
