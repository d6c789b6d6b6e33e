"""Starting the server only after a look at the journal's files, and letting nobody append before a second look through it.

What the disk lost or changed is put back from the log and from what was seen in the files; where that is not possible, the
backbone is halted: it answers questions, and takes no command until `ektp audit restore`.
"""

import asyncio
import signal

import structlog

from events.audit import PutBack
from infra import nats_server
from infra.audit_notes import keep_intended
from infra.data_folder import DataFolder, require_space
from infra.folder_errors import writing
from infra.guard.aside import copy_aside, forget_copies, keep_copies, new_prefix, undo_interrupted_rebuild
from infra.guard.blocks import block_files
from infra.guard.halt import halt, halted
from infra.guard.inspection import Inspection, inspect, put_on_record
from infra.guard.rebuild import difference, journal_of, rebuild
from infra.guard.salvage import Salvage, salvage
from infra.guard.viewed import set_broken_views_aside
from infra.journal import STREAM, Journal
from infra.journal_errors import JournalRefused
from infra.nats_configuration import log_file, stream_directory
from infra.nats_connection import end
from infra.nats_server import NatsServer, ServerDidNotStart

log = structlog.get_logger()

_NO_STREAM = 10059  # the server's code


async def start_guarded(folder: DataFolder, port: int | None = None) -> NatsServer:
    """As nats_server.start, with a journal that is whole, or a backbone that is halted. No client may wait at `port`.

    Raises as nats_server.start, FolderNotWritable, JournalBusy, JournalRefused, JournalDamaged.
    """
    with writing(folder.path):
        await asyncio.to_thread(set_broken_views_aside, folder)
    return await _start(folder, port)


async def _start(folder: DataFolder, port: int | None) -> NatsServer:
    require_space(folder)
    await nats_server.stop_left_over(folder)
    with writing(folder.path):
        if halted(folder):
            log.error("the journal is halted; run: ektp audit restore")
            return await nats_server.start(folder, port)
        seen = await asyncio.to_thread(_look, folder)
        if seen.wrong:
            first = seen.wrong[0]
            log.error("the journal's files are damaged", seq=first.seq, why=first.why, places=len(seen.wrong))
        elif server := await _start_compared(folder, port, seen):
            return server
        await _put_back(folder, seen)
        return await nats_server.start(folder, port)


async def _start_compared(folder: DataFolder, port: int | None, seen: Inspection) -> NatsServer | None:
    """Start on files that look good; None, and stopped again, where the server has otherwise than was seen in them."""
    await asyncio.to_thread(copy_aside, folder, seen.beyond_log)
    server = await nats_server.start(folder, port)
    try:
        why = await _difference(server, seen)
    except BaseException:
        await server.stop()
        raise
    if why:
        log.error("the server dropped what was in the journal's files", why=why)
        await server.stop()
        return None
    forget_copies(folder)
    put_on_record(folder, seen)
    return server


async def guard(folder: DataFolder) -> None:
    """Likewise, but for the views, which a reader has open, before a start at a port where clients wait: the comparing is
    done by a server that they do not find."""
    await (await _start(folder, None)).stop()


def _look(folder: DataFolder) -> Inspection:
    undo_interrupted_rebuild(folder)
    keep_intended(folder)
    return inspect(folder)


async def _difference(server: NatsServer, seen: Inspection) -> str:
    """What the server has otherwise than it was seen in the files; "" when nothing.

    Raises ServerDidNotStart where it was killed meanwhile, which says nothing of the files.
    """
    async with journal_of(server) as journal:
        comparing = asyncio.ensure_future(_compare(journal, seen))
        died = asyncio.ensure_future(server.wait())
        try:
            await asyncio.wait({comparing, died}, return_when=asyncio.FIRST_COMPLETED)
            if comparing.done():
                return comparing.result()
            if died.result() == -signal.SIGKILL:
                raise ServerDidNotStart(str(log_file(server.folder)), "it was killed while its journal was compared")
            return "it died"
        finally:
            await end(comparing, died)


async def _compare(journal: Journal, seen: Inspection) -> str:
    try:
        if why := await difference(journal, seen.last, seen.walked):
            return why
    except JournalRefused as refused:
        if refused.err_code != _NO_STREAM:
            raise
        return "the server has no journal" if seen.last else ""
    newest = await journal.newest()
    if newest and newest.seq > seen.last:  # it completes a batch that was being committed, if it still can
        headers = newest.headers or {}
        if "Nats-Batch-Id" in headers and "Nats-Batch-Commit" not in headers:
            return "the beginning of a batch without its end"
    return ""


async def _put_back(folder: DataFolder, seen: Inspection) -> None:
    """Build the journal anew where nothing is lost; else halt, with a copy of the store as it is. No server runs."""
    found = await asyncio.to_thread(salvage, folder, seen.known, seen.tail)
    if found.last < seen.known:
        prefix = new_prefix()
        blocks = [file for _, file in block_files(stream_directory(folder, STREAM) / "msgs")]
        await asyncio.to_thread(copy_aside, folder, blocks, prefix)
        log.error("halted", says=str(halt(folder, found.last + 1, seen.known, prefix)))
    else:
        prefix = await rebuild(folder, found, _put_back_fact(seen, found))
        keep_intended(folder)
        log.warning("the journal was put back; nothing known is lost", events=found.last, set_aside=f"aside/{prefix}-*")
        put_on_record(folder, await asyncio.to_thread(inspect, folder))
    keep_copies(folder, prefix)


def _put_back_fact(seen: Inspection, found: Salvage) -> PutBack:
    first, last, why = seen.walked_from, seen.last, "differs"
    if seen.wrong:
        first, _, why = seen.wrong[0]
        last = seen.known if seen.last < seen.known else seen.wrong[-1].seq
    source = "set_aside" if any(first <= seq <= last for seq in found.records) else "archive"
    return PutBack(why=why, first=first, last=last, places=max(1, len(seen.wrong)), source=source, events=found.last)
