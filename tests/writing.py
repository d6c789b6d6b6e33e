"""The writer without its process: what answers commands and takes register rows, over one connection."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count

import pytest

from events.calendar import CALENDAR_V1
from events.nik import Nik
from infra.group_commit import Change, GroupCommit
from infra.journal import Journal
from infra.keystore import Keystore
from infra.nats_server import NatsServer
from services.case_store import CaseStore
from services.command_handler import CommandHandler
from services.register.importer import Importer
from services.rules_in_force import RulesInForce, stored_rulebook
from tests.support import connected_writer, frozen


def running_clock() -> Callable[[], datetime]:
    """A minute later each time it is asked, from a Wednesday morning on."""
    first, minutes = datetime(2026, 11, 25, 9, tzinfo=CALENDAR_V1.zone), count()
    return lambda: first + timedelta(minutes=next(minutes))


def resident(serial: int) -> Nik:
    return Nik.of("367203", date(1990, 5, 1), "F", serial)


@dataclass(frozen=True)
class Writer:
    """One life of the writer."""

    journal: Journal
    keystore: Keystore
    store: CaseStore
    handler: CommandHandler
    importer: Importer
    rules: RulesInForce


@asynccontextmanager
async def writing(
    server: NatsServer, url: str = "", request_s: float = 5, append_s: float = 10, now: Callable[[], datetime] | None = None
) -> AsyncIterator[Writer]:
    """A writer that connects by way of `url`; `request_s` and `append_s` bound how long it waits for the server."""
    folder, now = server.folder, now or running_clock()
    async with connected_writer(server, url) as connection:
        journal = Journal(connection, request_s)
        await journal.create()
        with closing(Keystore(folder.keys / "keystore.sqlite", folder.secret())) as keystore:
            async with GroupCommit(journal, append_s) as commits:
                rules = RulesInForce(await stored_rulebook(journal))
                store = CaseStore(journal, commits, keystore)
                handler = CommandHandler(store, folder.secret(), rules, now)
                yield Writer(journal, keystore, store, handler, Importer(store, folder.secret(), rules, now), rules)


@contextmanager
def freezing_appends(server: NatsServer, writer: Writer) -> Iterator[list[str]]:
    """Within the block the server takes what the writer appends and does not answer. Gives the subjects appended to."""
    append, subjects = writer.store.commits.append, list[str]()

    async def freezing(*changes: Change) -> list[int]:
        subjects.extend(change.subject for change in changes)
        async with frozen(server):
            return await append(*changes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer.store.commits, "append", freezing)
        yield subjects


async def are_stored(writer: Writer, subjects: list[str]) -> None:
    """Wait until they are: a question may overtake an append that the server has yet to look at."""
    async with asyncio.timeout(5):
        while len(await writer.journal.last(subjects)) < len(set(subjects)):
            await asyncio.sleep(0.01)
