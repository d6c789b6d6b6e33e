"""An import keeps pace with the archive: what is not archived and signed yet has no second copy."""

import asyncio
import time
from contextlib import suppress

from infra.data_folder import DataFolder
from infra.journal import Journal
from infra.journal_errors import JournalBusy
from infra.tlog.tiles import LogDamaged, read_head

UNSIGNED_EVENTS_MAX = 20_000
_STANDSTILL_S_MAX = 5.0
_LOOK_S = 0.2


async def wait_for_archive(folder: DataFolder, journal: Journal) -> bool:
    """Return when the last signed checkpoint is near the journal's head; False when the archive stands still: a reader
    that does not run, or a log that is made anew, does not hold up an import."""
    with suppress(JournalBusy, LogDamaged):
        head, before, since = await journal.last_seq(), -1, time.monotonic()
        while head - (signed := _signed(folder)) > UNSIGNED_EVENTS_MAX:
            if signed != before:
                before, since = signed, time.monotonic()
            elif time.monotonic() - since > _STANDSTILL_S_MAX:
                return False
            await asyncio.sleep(_LOOK_S)
    return True


def _signed(folder: DataFolder) -> int:
    signed = read_head(folder.log)
    return signed[0].size if signed else 0
