"""The journal as a transparency log: every event archived, its hash in a Merkle tree, checkpoints signed while events come.

A projection whose rows are files (infra/tlog); its position is the log's size. It stops at a hole and never signs over
one, nor a tree that is not a continuation of the last one signed, of which a copy lies with the keys. Design section 5.
"""

import asyncio
import time
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import structlog
from prometheus_client import Gauge

from events.problem import Problem
from infra.data_folder import DataFolder, write_durably
from infra.guard.halt import halt
from infra.journal import Journal, Stored
from infra.journal_errors import JournalBusy, JournalDamaged
from infra.journal_reader import read
from infra.metrics import REGISTRY
from infra.nats_connection import end
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.identity import last_signed, log_signer
from infra.tlog.tiles import LogDamaged, read_head
from infra.tlog.writer import LogWriter

log = structlog.get_logger()

SIGN_S = 2.0  # a checkpoint is signed so often while events come
_AGAIN_S = 1.0  # after a disk that did not take what was written
CHECKPOINT_SIZE = Gauge("ektp_checkpoint_size", "Events under the newest signed checkpoint.", registry=REGISTRY)
CHECKPOINT_LATE = Gauge(
    "ektp_checkpoint_age_seconds", "How long events have been waiting for a checkpoint; 0: none waits.", registry=REGISTRY
)


class AuditLog:
    """Keeps the log up to the journal's head for as long as `run` runs. One process of a backbone has it."""

    def __init__(self, journal: Journal, folder: DataFolder) -> None:
        """Raises FolderDamaged where the log's key is gone, OSError."""
        self._journal, self._folder, self._signer = journal, folder, log_signer(folder)
        self._mending = False  # the log is written anew beside the damaged one
        self._known = _last_signed(folder)  # before: until the tree has come that far, and is the same, nothing is signed
        self._finish_at: int | None = None
        self._mend_asked = False
        self._asked, self._finished = asyncio.Event(), asyncio.Event()
        self._sign_at: float | None = None  # by the loop's clock; None: no event waits for a checkpoint
        self.signed_size = 0
        self.stopped_by: Problem | None = None
        CHECKPOINT_LATE.set_function(self._late_s)

    async def run(self) -> None:
        """Follow the journal until cancelled. On its damage: stop and halt the backbone, and tell why in `stopped_by`."""
        while not self.stopped_by:
            try:
                if self._known and (head := await self._journal.last_seq()) < self._known.size:
                    halt(self._folder, head + 1, self._known.size, set_aside="")
                    raise JournalDamaged(f"event {head + 1}", f"{self._known.size} were signed, the journal has {head}")
                await self._follow(await asyncio.to_thread(self._open))
            except JournalBusy:
                await asyncio.sleep(_AGAIN_S)
            except Problem as problem:
                log.error("audit log stopped", problem=problem.code, says=str(problem))  # noqa: TRY400
                self.stopped_by = problem
            except LogDamaged as damage:
                log.error("the audit log is damaged and is made anew", file=damage.path, why=damage.why)  # noqa: TRY400
                self._mending, self._known = True, _last_signed(self._folder) or self._known
            except OSError as error:  # what is in memory is in doubt: it is made afresh from what is on disk
                log.error("the audit log cannot be written", why=error.strerror or type(error).__name__)  # noqa: TRY400
                await asyncio.sleep(_AGAIN_S)

    def mend(self) -> None:
        """Make the log anew from the journal, beside the one there is: somebody found a file of it damaged."""
        self._mend_asked = True
        self._asked.set()

    async def finish(self, within_s: float) -> bool:
        """Archive and sign what the journal holds by now; whether it was done. For a stop in good order."""
        try:
            async with asyncio.timeout(within_s):
                self._finish_at = await self._journal.last_seq()
                self._asked.set()
                await self._finished.wait()
        except (TimeoutError, Problem):
            return False
        return self.signed_size >= self._finish_at

    def _open(self) -> LogWriter:
        if self._known and not self._mending and read_head(self._folder.log) is None:
            raise LogDamaged("checkpoint", "missing")
        writer = LogWriter(self._beside if self._mending else self._folder.log, self._signer)
        self.signed_size = writer.signed_size
        return writer

    async def _follow(self, writer: LogWriter) -> None:
        """Add what comes, and sign when it is time."""
        async with aclosing(read(self._journal, writer.size)) as batches:
            coming = asked = None
            intact = writer.size
            try:
                while True:
                    finishing = self._finish_at is not None and writer.size >= self._finish_at
                    if finishing or self._until_signing_s() == 0:
                        await asyncio.to_thread(self._sign, writer)
                    if finishing:
                        self._finished.set()
                    coming = coming or asyncio.ensure_future(anext(batches))
                    asked = asked or asyncio.ensure_future(self._asked.wait())
                    waits = {coming} if self._finish_at is not None else {coming, asked}
                    await asyncio.wait(waits, timeout=self._until_signing_s(), return_when=asyncio.FIRST_COMPLETED)
                    if self._mend_asked:
                        self._mend_asked = False
                        self._asked.clear()
                        raise LogDamaged("tile", "found by a scrub")
                    if coming.done():
                        batch, coming = coming.result(), None
                        await asyncio.to_thread(self._add, writer, batch)
                        intact = writer.size
                        self._sign_at = self._sign_at or asyncio.get_running_loop().time() + SIGN_S
            except JournalDamaged:
                halt(self._folder, intact + 1, max(intact + 1, self._known.size if self._known else 0), set_aside="")
                raise
            finally:
                await end(*(waiting for waiting in (coming, asked) if waiting))

    def _until_signing_s(self) -> float | None:
        return self._sign_at and max(0.0, self._sign_at - asyncio.get_running_loop().time())

    def _late_s(self) -> float:
        return max(0.0, time.monotonic() - self._sign_at + SIGN_S) if self._sign_at else 0

    def _sign(self, writer: LogWriter) -> None:
        smaller = self._known is not None and writer.size < self._known.size  # than before: never
        if writer.size > writer.signed_size and not smaller:
            note = writer.sign()
            if self._mending:
                self._replace_log(writer)
            write_durably(self._folder.keys / "checkpoint", note.encode())
            self.signed_size = writer.signed_size
            CHECKPOINT_SIZE.set(writer.signed_size)
        self._sign_at = None

    def _add(self, writer: LogWriter, batch: list[Stored]) -> None:
        bodies = [stored.body for stored in batch]
        if self._known and writer.size < self._known.size <= writer.size + len(bodies):
            until = self._known.size - writer.size
            writer.add(bodies[:until])
            if writer.checkpoint.root != self._known.root:
                raise JournalDamaged(f"event up to {self._known.size}", "it is not what was signed before")
            bodies = bodies[until:]
        writer.add(bodies)

    def _replace_log(self, writer: LogWriter) -> None:
        """The log that was made anew, and is the tree that was signed before, takes the place of the damaged one."""
        aside = self._folder.aside / f"log-{datetime.now(UTC):%Y%m%dT%H%M%S}"
        for name in ("key", "witness-key"):
            if (self._folder.log / name).exists():
                write_durably(self._beside / name, (self._folder.log / name).read_bytes())
        if (self._folder.log / "cosigned").exists():
            copytree(self._folder.log / "cosigned", self._beside / "cosigned", dirs_exist_ok=True)
        self._folder.log.rename(aside)
        self._beside.rename(self._folder.log)
        writer.directory, self._mending = self._folder.log, False
        log.info("the audit log is whole again", size=writer.size, damaged=str(aside))

    @property
    def _beside(self) -> Path:
        beside = self._folder.path / "log.mending"
        beside.mkdir(mode=0o700, exist_ok=True)
        return beside


def _last_signed(folder: DataFolder) -> Checkpoint | None:
    """The last checkpoint that was signed, by the copy that lies with the keys, else by the log; None before the first."""
    keys = [log_signer(folder).verifier]
    for file in (folder.keys / "checkpoint", folder.log / "checkpoint"):
        if known := last_signed(file, keys):
            return known
        if file.exists():
            log.warning("a checkpoint is unreadable", file=str(file))
    return None
