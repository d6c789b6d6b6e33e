"""One chunk of register rows: which are there already, which are new facts, which are rejected; and their one append.

The case is looked up before the keystore, so that a row of an erased person makes no new one.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from events.envelope import Event, resident_subject
from events.problem import Problem
from infra.group_commit import Change
from infra.keystore import Resident
from services import refusals
from services.application import Request, RulesAt, State, decide, evolve
from services.case_store import NEVER_SUBMITTED, CaseStore, HeldCase, HeldClaims, claim
from services.register.identity import BadRow, IdentifiedRow, command_of, identify
from services.register.known_rows import KnownRows
from services.register.rejections import CaseDiffers, EarlierRowRejected, NotSubmitted
from services.register.row import RegisterRow

T = TypeVar("T")
_ROWS_AT_A_TIME = 50
RawRows = Sequence[tuple[int, Sequence[str]]]  # line in the file, cells in the order of register.row.COLUMNS


@dataclass
class Outcome:
    """What became of a chunk: events stored (claims not counted), rows that were there, and lines that were not taken."""

    added: int = 0
    already_there: int = 0
    rejected: list[tuple[int, Problem]] = field(default_factory=list)


@dataclass(slots=True)
class _Case:
    """A case while its rows are decided: as the journal has it, or will when the chunk before is stored; and new events."""

    state: State
    last_seq: int  # of the event that the new ones follow
    before: "_Case | None" = None  # its last event is on its way: with this one's
    events: list[Event] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


@dataclass(slots=True)
class _Claims:
    """A resident's claims, likewise."""

    cases: tuple[str, ...]
    last_seq: int
    before: "_Claims | None" = None
    events: list[Event] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)


async def decide_chunk(
    store: CaseStore,
    secret: bytes,
    rules: RulesAt,
    now: datetime,
    raw_rows: RawRows,
    rejected: Mapping[tuple[str, str], int],
    before: "Chunk | None" = None,
    known: KnownRows | None = None,
) -> "Chunk":
    """What these rows come to, given the first rejected line of each (office, case) of the run. Nothing is stored yet.

    `before` is on its way to the journal: what is decided here holds only if it is stored. Raises JournalBusy,
    JournalDamaged.
    """
    chunk = Chunk(store, rules, now, dict(rejected), before)
    rows = [identify(secret, line, cells, now, known) async for line, cells in _by_turns(raw_rows)]
    await chunk.look_up([row for row in rows if isinstance(row, IdentifiedRow) and not row.is_known])
    async for row in _by_turns(rows):
        chunk.decide(row)
    await chunk.seal()
    return chunk


class Chunk:
    """Use decide_chunk, then `append`."""

    def __init__(
        self,
        store: CaseStore,
        rules: RulesAt,
        now: datetime,
        rejected: dict[tuple[str, str], int],
        before: "Chunk | None",
    ) -> None:
        self._store, self._rules, self._now = store, rules, now
        self.rejected = rejected
        self.outcome = Outcome()
        self.is_stored = False
        self.found_stored = 0  # cases that had to be loaded
        self._cases: dict[str, _Case] = {}  # by subject
        self._residents: dict[str, Resident] = {}  # by NIK, of those who submit in this chunk
        self._claims: dict[str, _Claims] = {}  # by resident
        self._cases_before = before._cases if before else {}
        self._claims_before = before._claims if before else {}

    async def look_up(self, rows: Sequence[IdentifiedRow]) -> None:
        """Load what the journal has of these rows' cases, then of the residents who submit."""
        subjects = dict.fromkeys(row.subject for row in rows)
        unknown = [
            subject for subject in subjects if subject not in self._cases_before and self._store.held_case(subject) is None
        ]
        stored = await self._store.journal.last(unknown) if unknown else {}
        for subject in unknown:
            if subject not in stored:  # one look-up for all tells that these need no load
                self._store.hold_case(subject, NEVER_SUBMITTED)
        self.found_stored = len(stored)
        if stored:
            await asyncio.gather(*map(self._store.case, stored))  # all at once; then they are held like the rest
        for subject in subjects:
            await self._find_case(subject)
        submitting = {
            row.row.nik for row in rows if row.row.event == "submitted" and not self._cases[row.subject].state.stage
        }
        self._residents = self._store.residents(submitting)
        for resident in self._residents.values():
            if before := self._claims_before.get(resident.id):
                self._claims[resident.id] = _Claims(before.cases, 0, before)
            else:
                held = HeldClaims() if resident.is_new else await self._store.claims(resident.id)
                self._claims[resident.id] = _Claims(held.cases, held.last_seq)
            for subject in self._claims[resident.id].cases:
                await self._find_case(subject)

    async def _find_case(self, subject: str) -> None:
        if subject in self._cases:
            return
        if before := self._cases_before.get(subject):
            self._cases[subject] = _Case(before.state, 0, before)
        else:
            held = await self._store.case(subject)
            self._cases[subject] = _Case(held.state, held.last_seq)

    def decide(self, row: IdentifiedRow | BadRow) -> None:
        """One row: a new event on top of its case, or there already, or rejected, and with it what follows."""
        if isinstance(row, BadRow):
            self._reject(row.line, row.name, row.problem)
            return
        name = (row.row.office, row.row.case)
        try:
            if self.rejected.get(name, row.line) < row.line:  # not what stands before it, when a chunk comes again
                raise EarlierRowRejected
            event = None if row.is_known else self._event(row)
        except Problem as problem:
            self._reject(row.line, name, problem)
            return
        if event is None:
            self.outcome.already_there += 1
            return
        self.outcome.added += 1
        case = self._cases[row.subject]
        case.events.append(event)
        case.state = evolve(case.state, event)
        if event.version == 1:
            resident = self._residents[row.row.nik].id
            claims = self._claims[resident]
            claims.events.append(claim(event, len(claims.cases) + 1, resident))
            claims.cases = (*claims.cases, row.subject)

    async def seal(self) -> None:
        """Make the messages of what was decided, personal fields sealed."""
        async for case in _by_turns(self._cases.values()):
            case.bodies = self._store.bodies(case.events, case.state.resident)
        for resident, claims in self._claims.items():
            claims.bodies = self._store.bodies(claims.events, resident)

    async def append(self) -> None:
        """Store everything of the chunk, or nothing. Raises Conflict and the journal's other errors."""
        decided: list[tuple[str, _Case | _Claims]] = [*self._cases.items()]
        decided += [(resident_subject(resident), claims) for resident, claims in self._claims.items()]
        for _, entity in decided:
            if entity.before:  # it is stored by now
                entity.last_seq, entity.before = entity.before.last_seq, None
        changes = [
            Change(subject, entity.last_seq, entity.bodies, held=True) for subject, entity in decided if entity.bodies
        ]
        seqs = iter(await self._store.append(*changes) if changes else [])
        for _, entity in decided:
            for _ in entity.bodies:
                entity.last_seq = next(seqs)
        self.is_stored = True
        for subject, case in self._cases.items():
            if case.bodies:  # another's command may have moved the rest on
                self._store.hold_case(subject, HeldCase(case.state, case.last_seq))
        for resident, claims in self._claims.items():
            if claims.bodies:
                self._store.hold_claims(resident, HeldClaims(claims.cases, claims.last_seq))

    def _reject(self, line: int, name: tuple[str, str], problem: Problem) -> None:
        self.rejected.setdefault(name, line)
        self.outcome.rejected.append((line, problem))

    def _event(self, row: IdentifiedRow) -> Event | None:
        """What the row says happened; None when the journal has it. Raises the reason to reject it."""
        registered, state = row.row, self._cases[row.subject].state
        submits = registered.event == "submitted"
        if state.stage is None and not submits:
            raise NotSubmitted
        resident = self._residents[registered.nik].id if submits and state.stage is None else state.resident
        request = Request(
            event_id=row.event_id,
            digest=row.digest,
            receipt=row.receipt,
            command=command_of(registered, row.receipt),
            causation="import",
            resident=resident,
        )
        others = [self._cases[case].state for case in self._claims[resident].cases] if state.stage is None else ()
        rules = self._rules(registered.office, registered.at)
        try:
            events = decide(request, state, rules, self._now, others)
        except refusals.KeyReused:
            raise refusals.RowDiffers from None
        if not events:
            return None
        if state.stage is not None:
            self._same_case(registered, state)
        return events[0]

    def _same_case(self, row: RegisterRow, state: State) -> None:
        """A later row names the kind and the NIK with which its case was submitted."""
        if row.kind is not state.kind:
            raise CaseDiffers("kind")
        if self._store.resident(row.nik) != state.resident:
            raise CaseDiffers("nik")


async def _by_turns(items: Iterable[T]) -> AsyncIterator[T]:
    """Each of them, with a pause for others after some: the chunk before is to be sent, and desks wait."""
    for at, item in enumerate(items):
        if at % _ROWS_AT_A_TIME == 0:
            await asyncio.sleep(0)
        yield item
