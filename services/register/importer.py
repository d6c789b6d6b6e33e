"""Register books as history: chunks of rows in their order, each chunk one atomic append.

While one chunk is on its way to the journal the next is decided as if it were stored already; if it is not, the next is
decided again. A case that a run rejected stays rejected for its later chunks.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, NamedTuple

from events.problem import Problem
from infra.journal import BATCH_MESSAGES_MAX
from infra.journal_errors import Conflict
from services.application import RulesAt
from services.case_store import CaseStore
from services.register.chunk import Chunk, Outcome, RawRows, decide_chunk
from services.register.known_rows import KnownRows, known_rows
from services.register.row import ROWS_MAX

assert 2 * ROWS_MAX <= BATCH_MESSAGES_MAX  # a submitted row may bring a claim with it
_ATTEMPTS_MAX = 5
_RUNS_MAX = 4
_FOUND_MAX = 100  # cases of one chunk that had to be loaded: more, and it is quicker to read the journal once


@dataclass(eq=False)
class ChunkOutOfTurn(Problem):
    """A chunk was sent ahead, and the one before it was not taken by this writer. The sender waits for that one first."""

    code: ClassVar[str] = "chunk_out_of_turn"
    status: ClassVar[int] = 409
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Potongan buku ini datang sebelum gilirannya; belum ada yang disimpan. Kirim lagi nanti."
    sentence_en: ClassVar[str] = "This part of the book came before its turn; nothing was stored. Send it again later."


class _Taken(NamedTuple):
    """How far a run has come."""

    number: int = -1  # of its last chunk
    rejected: Mapping[tuple[str, str], int] = {}  # (office, case): first rejected line


class _OnItsWay(NamedTuple):
    run: str
    taken: _Taken  # when it is stored
    chunk: Chunk


class Importer:
    """Takes chunks of register rows; they are stored one at a time."""

    def __init__(self, store: CaseStore, secret: bytes, rules: RulesAt, now: Callable[[], datetime]) -> None:
        self._store, self._secret, self._rules, self._now = store, secret, rules, now
        self._deciding, self._storing = asyncio.Lock(), asyncio.Lock()
        self._on_its_way: _OnItsWay | None = None  # of who holds `_storing`
        self._known: KnownRows | None = None
        self._runs: OrderedDict[str, _Taken] = OrderedDict()

    async def take(self, run: str, rows: RawRows, number: int = 0, ahead: bool = False) -> Outcome:
        """Decide and store chunk `number` (from 0) of `run`, at most ROWS_MAX rows, after the chunks before it.

        `ahead`: it was sent before the answer for the chunk before it came. Sending a chunk again is safe. Raises
        ChunkOutOfTurn and the journal's errors; then nothing is certain of the chunk but its safety.
        """
        async with self._deciding:
            before = self._on_its_way
            taken = before.taken if before and before.run == run else self._taken(run)
            if ahead and taken.number != number - 1:
                raise ChunkOutOfTurn
            chunk = await self._decide(rows, taken, before.chunk if before else None)
            await self._storing.acquire()
            self._on_its_way = _OnItsWay(run, _Taken(number, chunk.rejected), chunk)
        try:
            if before and not before.chunk.is_stored:  # though this chunk was decided as if it were
                if ahead and self._taken(run).number != number - 1:
                    raise ChunkOutOfTurn
                chunk = await self._decide(rows, self._taken(run))
            return await self._store_chunk(chunk, run, rows, number)
        finally:
            self._on_its_way = None
            self._storing.release()

    async def _store_chunk(self, chunk: Chunk, run: str, rows: RawRows, number: int) -> Outcome:
        for attempt in range(_ATTEMPTS_MAX):
            try:
                await chunk.append()
                break
            except Conflict:  # a desk took one of these cases a moment ago
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
                chunk = await self._decide(rows, self._taken(run))
        self._runs[run] = _Taken(number, chunk.rejected)
        self._runs.move_to_end(run)
        if len(self._runs) > _RUNS_MAX:
            self._runs.popitem(last=False)
        return chunk.outcome

    def _taken(self, run: str) -> _Taken:
        return self._runs.get(run, _Taken())

    async def _decide(self, rows: RawRows, taken: _Taken, before: Chunk | None = None) -> Chunk:
        now, known = self._now(), self._known
        chunk = await decide_chunk(self._store, self._secret, self._rules, now, rows, taken.rejected, before, known)
        if known is None and chunk.found_stored > _FOUND_MAX:
            self._known = await known_rows(self._store.journal)
        return chunk
