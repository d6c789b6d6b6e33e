"""The journal against a list: whatever is appended, asked and done to the server, it is that list, and every answer true.

EKTP_MACHINE_EXAMPLES=500 is a long run.
"""

import asyncio
import os
import string
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from events.envelope import decode
from infra import group_commit
from infra.data_folder import open_folder
from infra.group_commit import Change, GroupCommit
from infra.journal import Journal, Stored
from infra.journal_errors import Conflict, JournalDamaged
from infra.journal_reader import read
from infra.nats_server import start
from tests.support import change, connected_writer, event_id, kill, stored, subject

T = TypeVar("T")
Outcome = list[int] | BaseException


class Wanted(NamedTuple):
    """Events for one case by someone who has not seen the case's last `unseen` events."""

    case: str
    events: int
    unseen: int


cases = st.sampled_from(string.ascii_lowercase)
wanted = st.builds(Wanted, cases, events=st.integers(1, 3), unseen=st.sampled_from([0, 0, 0, 1, 2]))
appends = st.lists(wanted, min_size=1, max_size=3, unique_by=lambda one: one.case)
ends = st.sampled_from(["stop", "kill"])
faults = st.sampled_from(["none", "none", "none", "stop", "kill"])


class Clock(datetime):
    """The machine's clock, as someone has set it."""

    slow = timedelta(0)

    @classmethod
    def now(cls, _: object = None) -> datetime:  # type: ignore[override]
        return datetime.now(UTC) - cls.slow


class JournalMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model: list[tuple[str, bytes]] = []  # subject and body, unstamped; position 1 first
        self.texts = 0  # every event is unlike any other
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(group_commit, "datetime", Clock)
        self.patch.setattr(Clock, "slow", timedelta(0))
        self.directory = TemporaryDirectory()
        self.folder = open_folder(Path(self.directory.name) / "data")
        self.runner = asyncio.Runner()
        self.server = self.run(start(self.folder))
        self.life = AsyncExitStack()
        self.run(self._new_writer())

    def teardown(self) -> None:
        self.run(self.life.aclose())
        self.run(self.server.stop())
        self.runner.close()
        self.directory.cleanup()
        self.patch.undo()

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(what)

    async def _new_writer(self) -> None:
        await self.life.aclose()
        connection = await self.life.enter_async_context(connected_writer(self.server))
        self.journal, appending = Journal(connection), Journal(connection)
        await self.journal.create()
        self.commits = await self.life.enter_async_context(GroupCommit(appending))
        appending.timeout_s = 0.3  # so long an answer is waited for that a fault has swallowed

    async def _restart(self, how: Literal["stop", "kill"]) -> None:
        await (kill(self.server) if how == "kill" else self.server.stop())
        self.server = await start(self.folder, self.server.port)

    def positions(self, of: str) -> list[int]:
        return [seq for seq, (one, _) in enumerate(self.model, 1) if one == of]

    def end(self, of: str) -> int:
        return max(self.positions(of), default=0)

    def changes(self, append: list[Wanted]) -> list[Change]:
        return [self.change(*one) for one in append]

    def change(self, case: str, events: int, unseen: int) -> Change:
        seen = [0, *self.positions(subject(case))]
        seen = seen[: max(1, len(seen) - unseen)]
        self.texts += 1
        return change(case, seen[-1], len(seen), events, serial=f"{self.texts}")

    def land(self, changes: list[Change], positions: Outcome) -> None:
        head = len(self.model)
        for one in changes:
            assert one.expected_seq == self.end(one.subject), "it should have been refused"
            self.model += [(one.subject, body) for body in one.bodies]
        assert positions == list(range(head + 1, len(self.model) + 1))

    def late(self, changes: list[Change]) -> list[str]:
        return [one.subject for one in changes if one.expected_seq < self.end(one.subject)]

    @rule(append=appends)
    def append(self, append: list[Wanted]) -> None:
        changes = self.changes(append)
        if late := self.late(changes):
            with pytest.raises(Conflict) as conflict:
                self.run(self.commits.append(*changes))
            assert conflict.value.subjects == late
        else:
            self.land(changes, self.run(self.commits.append(*changes)))

    @rule(many=st.lists(appends, min_size=2, max_size=20), fault=faults)
    def append_at_once(self, many: list[list[Wanted]], fault: Literal["none", "stop", "kill"]) -> None:
        """They contend for cases, too, and the server may go down while they are on their way."""
        sent = [self.changes(append) for append in many]

        async def told() -> list[Outcome]:
            outcomes = asyncio.gather(*(self.commits.append(*changes) for changes in sent), return_exceptions=True)
            if fault != "none":
                await asyncio.sleep(0)  # they have queued up
                await asyncio.sleep(0)  # the first group is leaving
                await self._restart(fault)
            return await outcomes

        outcomes = list(zip(self.run(told()), sent, strict=True))
        for positions, changes in sorted((one for one in outcomes if isinstance(one[0], list)), key=itemgetter(0)):
            self.land(changes, positions)
        for conflict, changes in outcomes:
            if not isinstance(conflict, list):
                assert isinstance(conflict, Conflict), conflict
                assert conflict.subjects
                assert set(conflict.subjects) <= set(self.late(changes))

    @rule(case=cases, ahead=st.integers(1, 3))
    def append_after_an_event_that_is_not_there(self, case: str, ahead: int) -> None:
        one = change(case, self.end(subject(case)) + ahead)
        for refused in (one, change("another")):
            with pytest.raises(JournalDamaged):
                self.run(self.commits.append(refused))
        self.run(self._new_writer())

    @rule(case=cases)
    def load(self, case: str) -> None:
        history = self.run(self.journal.load(subject(case)))
        positions = self.positions(subject(case))
        assert [(event.seq, event.version) for event in history] == [(seq, n) for n, seq in enumerate(positions, 1)]
        assert [event.id for event in history] == [event_id(case, n) for n, _ in enumerate(positions, 1)]

    @rule(some=st.lists(cases, unique=True))
    def last_of(self, some: list[str]) -> None:
        last = self.run(self.journal.last([subject(case) for case in some]))
        assert {one: found.seq for one, found in last.items()} == {
            subject(case): self.end(subject(case)) for case in some if self.end(subject(case))
        }

    @rule(share=st.floats(0, 1))
    def read_from(self, share: float) -> None:
        after = round(share * len(self.model))

        async def found() -> list[int]:
            return [one.seq async for batch in read(self.journal, after, len(self.model)) for one in batch]

        assert self.run(found()) == list(range(after + 1, len(self.model) + 1))

    @rule()
    def head(self) -> None:
        newest = self.run(self.journal.newest())
        assert (newest.seq if newest else 0) == self.run(self.journal.last_seq()) == len(self.model)
        assert self.run(self.journal.at(len(self.model) + 1)) is None

    @rule(how=ends)
    def restart(self, how: Literal["stop", "kill"]) -> None:
        self.run(self._restart(how))

    @rule()
    def new_writer(self) -> None:
        self.run(self._new_writer())

    @rule(minutes=st.integers(0, 90))
    def set_the_clock(self, minutes: int) -> None:
        Clock.slow = timedelta(minutes=minutes)

    @invariant()
    def the_journal_is_the_list(self) -> None:
        found = self.run(stored(self.journal))
        assert [(one.subject, one.seq) for one in found] == [(of, seq) for seq, (of, _) in enumerate(self.model, 1)]
        assert [unstamped(one) for one in found] == [body for _, body in self.model]
        recorded = [decode(one.body, one.seq).recorded for one in found]
        assert recorded == sorted(one for one in recorded if one)


def unstamped(one: Stored) -> bytes:
    return one.body.rpartition(b',"recordedtime":"')[0] + b"}"


EXAMPLES = int(os.environ.get("EKTP_MACHINE_EXAMPLES", "6"))
pytestmark = pytest.mark.timeout(60 + 10 * EXAMPLES)
TestJournal = JournalMachine.TestCase
TestJournal.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.reuse, Phase.generate],  # to shrink takes minutes: the steps are printed, and few enough to read
)
