"""A book that is there already is recognised without loading its cases, by a writer that was started again, too."""

import pytest

from infra.journal import Journal
from infra.nats_server import NatsServer
from services.register import importer
from services.register.known_rows import known_rows
from tests.integration.test_importer import ALL, Row, numbered, rows, told
from tests.support import stored
from tests.writing import writing

BOOK = numbered(*(rows(f"C{serial}", *ALL, serial=serial) for serial in range(1, 41)))


def chunks(book: list[Row], size: int = 50) -> list[list[Row]]:
    return [book[start : start + size] for start in range(0, len(book), size)]


async def test_the_same_book_after_a_restart_reads_the_journal_once_and_loads_few_cases(
    server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importer, "_FOUND_MAX", 5)
    async with writing(server) as writer:
        for chunk in chunks(BOOK):
            await writer.importer.take("first", chunk)
    loaded: list[str] = []
    load = Journal.load

    async def counting(journal: Journal, subject: str) -> object:
        loaded.extend([subject] if ".application." in subject else [])
        return await load(journal, subject)

    monkeypatch.setattr(Journal, "load", counting)
    changed = [(line, [*cells[:-2], "X9", cells[-1]]) if line == 150 else (line, cells) for line, cells in BOOK]
    async with writing(server) as writer:
        outcomes = [told(await writer.importer.take("second", chunk)) for chunk in chunks(changed)]
    assert sum(added for added, _, _ in outcomes) == 0
    rejected = {line: why for _, _, some in outcomes for line, why in some.items()}
    assert rejected == {150: "row_differs", 151: "earlier_row_rejected"}  # what differs is still looked at
    assert sum(there for _, there, _ in outcomes) == len(BOOK) - 2
    assert len(loaded) <= 11  # the ten cases of the first chunk, and the one that differs


async def test_a_book_that_was_cut_short_goes_on_where_it_was(server: NatsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importer, "_FOUND_MAX", 5)
    async with writing(server) as writer:
        for chunk in chunks(BOOK[:183]):
            await writer.importer.take("first", chunk)
    async with writing(server) as writer:
        outcomes = [told(await writer.importer.take("second", chunk)) for chunk in chunks(BOOK)]
    assert [sum(figures) for figures in zip(*(outcome[:2] for outcome in outcomes), strict=True)] == [17, 183]
    assert [rejected for _, _, rejected in outcomes] == [{}] * 4


async def test_only_the_very_same_row_is_known(server: NatsServer) -> None:
    async with writing(server) as writer:
        await writer.importer.take("first", BOOK[:5])
        known = await known_rows(writer.journal)
        for event in await writer.journal.load((await stored(writer.journal))[0].subject):
            digest = event.fact.model_dump()["digest"]
            assert known.has(event.id, digest)
            assert not known.has(event.id, digest[::-1])
        assert not known.has("0" * 32, digest)
