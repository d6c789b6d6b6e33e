"""Register books as history: chunks of rows in their order, each chunk one atomic append.

Chunks are decided one after the other; a case that a run rejected stays rejected for its later chunks.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from infra.group_commit import BATCH_MESSAGES_MAX
from infra.journal_errors import Conflict
from services.application import Rules
from services.case_store import CaseStore
from services.register.chunk import Outcome, RawRows, decide_chunk
from services.register.row import ROWS_MAX

assert 2 * ROWS_MAX <= BATCH_MESSAGES_MAX  # a submitted row may bring a claim with it
_ATTEMPTS_MAX = 5
_RUNS_MAX = 4


class Importer:
    """Takes chunks of register rows, one chunk at a time."""

    def __init__(self, store: CaseStore, secret: bytes, rules: Rules, now: Callable[[], datetime]) -> None:
        self._store, self._secret, self._rules, self._now = store, secret, rules, now
        self._turn = asyncio.Lock()
        self._rejected: OrderedDict[str, dict[tuple[str, str], int]] = OrderedDict()  # by run: (office, case): first line

    async def take(self, run: str, rows: RawRows) -> Outcome:
        """Decide and store one chunk of at most ROWS_MAX rows, after the chunks of the same `run` before it.

        Sending a chunk again is safe. Raises the journal's errors; then nothing is certain of the chunk but its safety.
        """
        async with self._turn:
            rejected = self._rejected.get(run, {})
            for attempt in range(_ATTEMPTS_MAX):
                chunk = await decide_chunk(self._store, self._secret, self._rules, self._now(), rows, rejected)
                try:
                    await chunk.append()
                except Conflict:  # a desk took one of these cases a moment ago
                    if attempt == _ATTEMPTS_MAX - 1:
                        raise
                else:
                    self._rejected[run] = chunk.rejected
                    self._rejected.move_to_end(run)
                    if len(self._rejected) > _RUNS_MAX:
                        self._rejected.popitem(last=False)
                    return chunk.outcome
        raise AssertionError("unreachable")
