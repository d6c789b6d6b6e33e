"""Appending to the journal: all or nothing per caller, in order, one group on its way at a time.

While one group is on its way, waiting appends gather into the next: one atomic batch (ADR-50) costs the server four
syncs whatever its size, a plain publish one, so from about ten appends on a batch pays. Design: journal, rules 5, 7-9.
"""

import asyncio
import contextlib
import random
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import nats.errors
import orjson
import structlog
from nats.aio.msg import Msg
from prometheus_client import Counter, Histogram

from events.envelope import decode, stamp
from events.problem import Problem
from infra import tracing
from infra.journal import BATCH_MESSAGES_MAX, Journal, Stored, raise_error
from infra.journal_errors import MEANING, Conflict, JournalBusy, JournalDamaged
from infra.metrics import REGISTRY

log = structlog.get_logger()

BATCH_PAYS_FROM = 12  # appends; fewer go as plain publishes in flight together
APPENDS_WAITING_MAX = 10_000
_MOVED_MAX = 20_000  # subjects whose last position is kept, to notice what was decided before they moved on
_PAUSE_S = (0.02, 0.1)  # before trying again what the server was not ready for
_EXPECT = "Nats-Expected-Last-Subject-Sequence"
_EXPECT_HEAD = "Nats-Expected-Last-Sequence"

APPENDED = Counter("ektp_events_appended", "Events acknowledged by the journal.", registry=REGISTRY)
CONFLICTS = Counter("ektp_append_conflicts", "Appends refused because a subject had moved on.", registry=REGISTRY)
GROUP_SIZE = Histogram(
    "ektp_append_group_events", "Events that left together.", buckets=(1, 2, 5, 10, 50, 100, 500, 1000), registry=REGISTRY
)
APPEND_SECONDS = Histogram("ektp_append_duration_seconds", "From leaving to acknowledged, per group.", registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Change:
    """Events for one subject, which must still end at `expected_seq` (0: must not exist)."""

    subject: str
    expected_seq: int
    bodies: list[bytes]  # without the stamp (events.envelope.encode)
    headers: Mapping[str, str] = field(default_factory=dict)  # beside those that the server asks for
    held: bool = False  # `expected_seq` was read while this appender ran, which knows what moved on since


@dataclass(eq=False, slots=True)
class _Append:
    changes: Sequence[Change]
    done: "asyncio.Future[list[int]]"
    since: int  # moves of subjects before it was asked for
    sent: bool = False
    in_doubt: bool = False  # it was sent, and no answer came
    bodies: list[bytes] = field(default_factory=list)  # stamped, in the order of the changes

    @property
    def count(self) -> int:
        return sum(len(change.bodies) for change in self.changes)

    @property
    def given_up(self) -> bool:
        return self.done.done()

    def landed(self, last_seq: int) -> None:
        if not self.done.done():
            self.done.set_result(list(range(last_seq - self.count + 1, last_seq + 1)))

    def failed(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)


class GroupCommit:
    """The one appender of a backbone. Start with `async with`."""

    def __init__(
        self, journal: Journal, timeout_s: float = 10.0, stamped: bool = True, may_append: Callable[[], None] = lambda: None
    ) -> None:
        """`timeout_s`: how long a caller waits at most, after which it is told what is known. `stamped`: the bodies are
        events, and get the time at which they are recorded; else they are stored as they come, and others may append, too.
        `may_append` raises what an append is to be refused with, before anything of it is sent.
        """
        self._journal, self._timeout_s, self._stamped, self.may_append = journal, timeout_s, stamped, may_append
        self._waiting: deque[_Append] = deque()
        self._wake = asyncio.Event()
        self._recorded = datetime.min.replace(tzinfo=UTC)
        self._head = 0  # position of the last event known to be stored
        self._head_before = 0  # that before the group on its way was sent
        self._moved: OrderedDict[str, int] = OrderedDict()  # position of the last event of each, the newest last
        self._moves = 0
        self._reconnects_checked = 0
        self._broken: JournalDamaged | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "GroupCommit":
        newest = await self._journal.newest()
        if newest:
            self._head = newest.seq
            if self._stamped:
                recorded = decode(newest.body, newest.seq).recorded
                assert recorded is not None
                self._recorded = recorded
        self._reconnects_checked = self._journal.connection.stats["reconnects"]
        self._task = asyncio.create_task(self._run(), name="group commit")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def append(self, *changes: Change) -> list[int]:
        """Store all events of all changes, or none; return their positions in order.

        Raises Conflict, JournalBusy (with what is known), JournalFull, JournalRefused, JournalDamaged, and as may_append.
        """
        if self._broken:
            raise self._broken
        self.may_append()
        if len(self._waiting) > APPENDS_WAITING_MAX:
            raise JournalBusy(0, "nothing")
        with tracing.span("append", "ektp.journal"):
            if traced := tracing.headers(only_sampled=True):
                changes = tuple(replace(change, headers={**change.headers, **traced}) for change in changes)
            return await self._appended(changes)

    async def _appended(self, changes: Sequence[Change]) -> list[int]:
        append = _Append(changes, asyncio.get_running_loop().create_future(), self._moves)
        assert append.count <= BATCH_MESSAGES_MAX
        self._waiting.append(append)
        self._wake.set()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await append.done
        except TimeoutError:
            raise JournalBusy(self._timeout_s, "unknown" if append.sent else "nothing") from None

    async def _run(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():  # Python 3.11's wait_for, of which nats-py is full, may swallow what it raises
            await self._wake.wait()
            group = self._gather()
            if not group:
                self._wake.clear()
                continue
            try:
                await self._commit(group)
            except Exception as error:  # even a mistake of ours must not leave callers waiting, nor stop the appender
                log.exception("append failed")
                for append in group:
                    append.failed(error)

    def _gather(self) -> list[_Append]:
        """The next group: what waits, oldest first, one append per subject, as much as fits one batch."""
        group: list[_Append] = []
        later: list[_Append] = []
        subjects: set[str] = set()
        room = BATCH_MESSAGES_MAX
        while self._waiting and room > 0:
            append = self._waiting.popleft()
            if append.given_up:
                continue
            if append.count > room or any(change.subject in subjects for change in append.changes):
                later.append(append)
                if append.count > room:
                    break
                continue
            subjects.update(change.subject for change in append.changes)
            room -= append.count
            group.append(append)
        self._waiting.extendleft(reversed(later))
        return group

    async def _commit(self, group: list[_Append]) -> None:
        """See a group through: everyone in it is told that it landed, that it lost, or gives up waiting."""
        self._recorded = max(self._recorded, datetime.now(UTC))
        for append in group:
            bodies = [body for change in append.changes for body in change.bodies]
            append.bodies = stamp(bodies, self._recorded) if self._stamped else bodies
        while group := [append for append in group if not append.given_up]:
            if self._broken:
                raise self._broken
            ready = self._journal.connection.is_connected and await self._is_whole()
            if ready and (overtaken := [append for append in group if self._is_overtaken(append)]):
                await self._settle(overtaken)  # which reads of all its subjects: not only what this appender saw counts
            elif ready:
                await self._send(group)
            rest = [append for append in group if not append.given_up]
            if len(rest) == len(group):  # nothing was settled
                await asyncio.sleep(random.uniform(*_PAUSE_S))  # noqa: S311 (jitter)

    async def _is_whole(self) -> bool:
        """After a reconnect: whether the journal, perhaps of a server started anew, reaches as far as it did before.

        Raises JournalDamaged where it is shorter: events would be stored under positions that others had.
        """
        reconnects = self._journal.connection.stats["reconnects"]
        if reconnects != self._reconnects_checked:
            try:
                head = await self._journal.last_seq()
            except JournalBusy:
                return False
            if head < self._head:
                self._broken = JournalDamaged(f"event {head + 1}", f"{self._head} were acknowledged, the journal has {head}")
                raise self._broken
            self._reconnects_checked = reconnects
        return True

    async def _send(self, group: list[_Append]) -> None:
        """Send a group once, and read from the journal what its answer left open."""
        started, self._head_before = time.monotonic(), self._head
        for append in group:
            append.sent = True
        GROUP_SIZE.observe(sum(append.count for append in group))
        if len(group) == 1 and group[0].count == 1:
            await self._publish(group[0])
        elif len(group) < BATCH_PAYS_FROM and all(append.count == 1 for append in group):
            await asyncio.gather(*(self._publish(append) for append in group))
        else:
            await self._publish_batch(group)
        APPEND_SECONDS.observe(time.monotonic() - started)
        if rest := [append for append in group if not append.given_up]:
            await self._settle(rest)

    async def _publish(self, append: _Append) -> None:
        """Send a single event."""
        (change,) = append.changes
        headers = {_EXPECT: str(change.expected_seq), **change.headers}
        self._answered([append], await self._request(change.subject, append.bodies[0], headers))

    async def _publish_batch(self, group: list[_Append]) -> None:
        """Send a group as one atomic batch.

        Asked where a subject ends, the server opens the 8 MB block of its last event and keeps it: 1 GB and most of the time
        of a city's import. Expecting the journal's head costs nothing, and says as much where nobody else appends and we
        know what moved on since it was decided. That a subject must not exist yet is cheap to ask.
        """
        batch_id, messages = secrets.token_hex(12), list[tuple[str, dict[str, str], bytes]]()
        ends = [(append, change) for append in group for change in append.changes if change.expected_seq]
        by_head = bool(ends) and all(one.held and self._moves - append.since < _MOVED_MAX for append, one in ends)
        expected = {_EXPECT_HEAD: str(self._head)} if by_head else {}
        for append in group:
            bodies = iter(append.bodies)
            for change in append.changes:
                if not (change.expected_seq and by_head):
                    expected[_EXPECT] = str(change.expected_seq)  # all see the stream as it was before the batch
                for _ in change.bodies:
                    sequence = str(len(messages) + 1)
                    headers = {"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": sequence, **expected, **change.headers}
                    messages.append((change.subject, headers, next(bodies)))
                    expected = {}
        subject, headers, body = messages.pop()
        try:
            await self._journal.connection.publish_all(messages)
        except nats.errors.Error:  # the link broke: without its commit the batch counts for nothing
            return
        self._answered(group, await self._request(subject, body, {**headers, "Nats-Batch-Commit": "1"}))

    async def _request(self, subject: str, body: bytes, headers: dict[str, str]) -> Msg | None:
        """The server's answer; None when there is none in time, and what became of it is not known."""
        try:
            return await self._journal.connection.request(subject, body, timeout=self._journal.timeout_s, headers=headers)
        except (nats.errors.Error, TimeoutError):
            return None

    def _is_overtaken(self, append: _Append) -> bool:
        """Whether a subject is known to have moved on since it was decided."""
        return any(self._moved.get(change.subject, 0) > change.expected_seq for change in append.changes)

    def _landed(self, append: _Append, last_seq: int) -> None:
        self._head = max(self._head, last_seq)
        APPENDED.inc(append.count)
        append.landed(last_seq)
        for change in reversed(append.changes):
            self._move(change.subject, last_seq)
            last_seq -= len(change.bodies)

    def _move(self, subject: str, seq: int) -> None:
        self._moves += 1
        self._moved[subject] = seq
        self._moved.move_to_end(subject)
        if len(self._moved) > 2 * _MOVED_MAX:
            self._moved.popitem(last=False)

    def _answered(self, group: list[_Append], reply: Msg | None) -> None:
        """Tell the callers of one publish or batch, if the answer settles it. Who lost is read from the journal."""
        if reply is None:
            for append in group:
                append.in_doubt = True
            return
        answer = orjson.loads(reply.data)
        if "error" not in answer:
            last_seq = answer["seq"]
            if last_seq - sum(append.count for append in group) < self._head_before:  # it was deleted and made anew
                self._broken = JournalDamaged(f"event {self._head_before}", f"the server goes on with {last_seq}")
                for append in group:
                    append.failed(self._broken)
                return
            for append in reversed(group):
                self._landed(append, last_seq)
                last_seq -= append.count
        elif MEANING.get(answer["error"].get("err_code")) not in {"conflict", "landed", "again"}:
            try:
                raise_error(answer, self._journal.timeout_s)
            except Problem as error:
                for append in group:
                    append.failed(error)

    async def _settle(self, group: list[_Append]) -> None:
        """Read where the subjects of a refused or uncertain group end: mine landed, a rival won, or nothing happened yet.

        The head is read first: when it still stands at the next attempt, so does what was read of the subjects.
        """
        subjects = [change.subject for append in group for change in append.changes]
        try:
            self._head = max(self._head, await self._journal.last_seq())
            last = await self._journal.last(subjects)
        except JournalBusy:
            return
        for subject, stored in last.items():
            self._move(subject, stored.seq)
        nothing = Stored(0, "", b"")
        for append in group:
            ends = [(change, last.get(change.subject, nothing)) for change in append.changes]
            _, stored = ends[-1]
            # An id is not enough: the same command with other content has it, too. A body without a stamp is not enough
            # where the server has refused it: another may have stored the same.
            if stored.seq and stored.body == append.bodies[-1] and (self._stamped or append.in_doubt):
                self._landed(append, stored.seq)
            elif lost := [change.subject for change, end in ends if end.seq > change.expected_seq]:
                CONFLICTS.inc()
                append.failed(Conflict(lost))
            elif shorter := [change.subject for change, end in ends if end.seq < change.expected_seq]:
                self._broken = JournalDamaged(shorter[0], "it ends before an event that was acknowledged")
                append.failed(self._broken)
