"""Building the journal anew: a fresh stream, all events published again, sequence for sequence and byte for byte.

58,000 events a second (facts M6). Only the server's own timestamps and headers are new; nothing of a fact is in them.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import nats.errors

from events.audit import AuditFact
from infra import nats_server
from infra.atomic_batch import store_behind
from infra.audit_notes import intend
from infra.data_folder import DataFolder
from infra.guard.aside import keep_old_store, move_store_aside
from infra.guard.inspection import fingerprint, forget_record
from infra.guard.salvage import Salvage
from infra.journal import BATCH_MESSAGES_MAX, Journal
from infra.journal_errors import JournalBusy, JournalDamaged
from infra.journal_reader import read
from infra.nats_connection import connect
from infra.nats_server import NatsServer

_BATCH_TIMEOUT_S = 60.0


async def rebuild(folder: DataFolder, found: Salvage, fact: AuditFact) -> str:
    """Put these events in the place of the store, while no server runs; returns the prefix of the old store's blocks.

    `fact` is what to note of it: intended until the caller has ended, too, and keeps it.
    Its own server runs meanwhile, on a port that nobody knows. Raises the problems of starting it, JournalBusy,
    JournalRefused, JournalDamaged; the old store then goes back to its place at the next look at it.
    """
    forget_record(folder)
    moved = move_store_aside(folder)
    intend(folder, fact)
    server = await nats_server.start(folder)
    try:
        async with journal_of(server) as journal:
            await journal.create()
            fingerprints = list[bytes]()
            events = found.events()
            while batch := list(itertools.islice(events, BATCH_MESSAGES_MAX)):
                await store_behind(journal, len(fingerprints), batch)
                fingerprints += [fingerprint(subject, body) for subject, body in batch]
            if why := await difference(journal, len(fingerprints), fingerprints):
                raise JournalDamaged("journal", f"while it was rebuilt: {why}")
    finally:
        await server.stop()
    return keep_old_store(folder, moved)


@asynccontextmanager
async def journal_of(server: NatsServer) -> AsyncIterator[Journal]:
    """The journal of a server, as its writer. Raises JournalBusy where the link breaks."""
    try:
        connection = await connect(server.folder, "writer", server.url)
        try:
            yield Journal(connection, _BATCH_TIMEOUT_S)
        finally:
            await connection.close()
    except (nats.errors.Error, TimeoutError) as error:
        raise JournalBusy(_BATCH_TIMEOUT_S, "nothing") from error


async def difference(journal: Journal, last: int, fingerprints: list[bytes]) -> str:
    """What the server has otherwise than these events, which end at position `last`; "" when nothing. More is no difference.

    Raises JournalBusy, JournalRefused where it has no journal.
    """
    state = (await journal.info())["state"]
    if state.get("num_deleted") or state["last_seq"] < last or state["messages"] != state["last_seq"]:
        return f"the server has {state['messages']} events up to {state['last_seq']} of {last}"
    expected = iter(fingerprints)
    try:
        async with aclosing(read(journal, last - len(fingerprints), last)) as batches:
            async for batch in batches:
                for stored in batch:
                    if fingerprint(stored.subject, stored.body) != next(expected):
                        return f"event {stored.seq} is another at the server"
    except JournalDamaged as damage:
        return str(damage)
    return ""
