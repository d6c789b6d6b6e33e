"""Reading everything and comparing it: the journal as the server tells it, the archive, the log; each night, or when asked.

What is wrong with the log's files is made good from the journal. What is wrong with the journal halts the backbone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime, time, timedelta
from typing import Any

import structlog

from events.calendar import CALENDAR_V1
from infra.data_folder import DataFolder
from infra.guard.halt import halt
from infra.journal import Journal, Stored
from infra.journal_errors import JournalDamaged
from infra.journal_reader import read
from projections.audit_log import AuditLog
from services.audit.trail import find_trail
from services.audit.verification import Verdict, Wrong
from services.audit.verify import verify_running

log = structlog.get_logger()
AT = time(2, 0, tzinfo=CALENDAR_V1.zone)  # when nobody is at the desks


class Scrub:
    """One at a time, and not two for two who ask at once."""

    def __init__(self, journal: Journal, folder: DataFolder, audit_log: AuditLog) -> None:
        self._journal, self._folder, self._audit_log = journal, folder, audit_log
        self._one = asyncio.Lock()

    async def run(self) -> None:
        """Every night, until cancelled."""
        while True:
            now = datetime.now(CALENDAR_V1.zone)
            tonight = datetime.combine(now.date(), AT)
            await asyncio.sleep(((tonight if tonight > now else tonight + timedelta(days=1)) - now).total_seconds())
            await self.scrub()

    async def scrub(self) -> dict[str, Any]:
        """The verdict, as of `ektp audit verify`. Raises JournalBusy."""
        async with self._one:
            trail = find_trail(self._folder.path)
            head, position = await self._journal.last_seq(), 0

            async def history() -> AsyncIterator[list[Stored]]:
                nonlocal position
                async with aclosing(read(self._journal, 0, head)) as batches:
                    async for batch in batches:
                        position = batch[-1].seq
                        yield batch

            try:
                verdict = await verify_running(trail, None, history(), lambda _: None)
            except JournalDamaged:
                verdict = Verdict(str(trail.log / "key"), first_wrong=Wrong(position + 1, None, "missing"))
            log.info("scrubbed", events=head, ok=verdict.ok, files=verdict.files, first_wrong=verdict.first_wrong)
            if verdict.files:
                self._audit_log.mend()  # which stops where the journal is not what was signed
            elif verdict.first_wrong:
                halt(self._folder, verdict.first_wrong.seq, max(head, verdict.size), "")
            return verdict.document()
