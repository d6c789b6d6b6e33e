"""What `ektp audit restore` does: as many events as can be had are put back, and the backbone is no longer halted."""

import asyncio
import shutil
import time
from dataclasses import dataclass

from events.audit import Restored as RestoredFact
from infra.audit_notes import keep_intended
from infra.data_folder import DataFolder, remove_durably, require_space
from infra.guard.aside import keep_copies, new_prefix, set_aside, undo_interrupted_rebuild
from infra.guard.halt import clear_halt, halted
from infra.guard.inspection import inspect, put_on_record
from infra.guard.rebuild import rebuild
from infra.guard.salvage import salvage
from infra.nats_server import stop_left_over


@dataclass(frozen=True)
class Restored:
    """What came of it."""

    restored: int  # events in the journal now; 0 where nothing was wrong
    lost: int
    first_lost: int | None  # their positions are `first_lost`, `first_lost` + 1, …
    set_aside: str | None  # the damaged store: what its blocks in aside/ begin with
    seconds: float


async def restore(folder: DataFolder) -> Restored:
    """Rebuild from the archive, the store and the blocks that were set aside when it was halted. Nothing may run on it.

    Where a signed part of the log is lost for good, the log goes aside and begins anew. Raises as rebuild does, OSError.
    """
    started = time.monotonic()
    require_space(folder)
    await stop_left_over(folder)
    undo_interrupted_rebuild(folder)
    if (why := halted(folder)) is None:
        keep_intended(folder)
    seen = await asyncio.to_thread(inspect, folder)
    if why is None and not seen.wrong:
        return Restored(0, 0, None, None, time.monotonic() - started)
    known = max(seen.known, why.known if why else 0)
    blocks = set_aside(folder, why.set_aside) if why else []
    found = await asyncio.to_thread(salvage, folder, known, seen.tail, blocks)
    lost = known - found.last
    first_lost = found.last + 1 if lost else None
    fact = RestoredFact(restored=found.last, lost=lost, first_lost=first_lost)
    prefix = await rebuild(folder, found, fact)
    keep_copies(folder, prefix)
    if found.last < seen.archive.size:
        _set_log_aside(folder)
    if lost:
        for file in folder.views.iterdir():  # they may have seen what is lost; they are built anew
            file.unlink() if file.is_file() else shutil.rmtree(file)
    put_on_record(folder, await asyncio.to_thread(inspect, folder))
    clear_halt(folder)
    keep_intended(folder)
    return Restored(found.last, lost, first_lost, f"aside/{prefix}", time.monotonic() - started)


def _set_log_aside(folder: DataFolder) -> None:
    prefix = new_prefix()
    folder.log.rename(folder.aside / f"{prefix}-log")
    folder.log.mkdir(mode=0o700)
    checkpoint = folder.keys / "checkpoint"
    if checkpoint.exists():
        shutil.copyfile(checkpoint, folder.aside / f"{prefix}-checkpoint")
        remove_durably(checkpoint)
