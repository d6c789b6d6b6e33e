"""Cases and residents' claims as the writer sees them: loaded from the journal, kept while they are in use, and the way
back: an event sealed and encoded as a change of the journal."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TypeVar

import orjson

from events.envelope import Event, case_subject, encode, resident_subject
from events.fact import split
from events.offices import BACKBONE_ID
from events.receipt import event_id
from events.resident import CaseClaimed, ClaimsClosed
from infra.group_commit import Change, GroupCommit
from infra.journal import Journal
from infra.journal_errors import Conflict
from infra.keystore import Keystore, Resident
from infra.overflow import Overflowing
from services.application import State, evolve
from services.person import bound_to

Held = TypeVar("Held", "HeldCase", "HeldClaims")
_CASES_HELD_MAX = 40_000  # some 2.5 KB each; older ones overflow into a file
_CLAIMS_HELD_MAX = 20_000
_RESIDENTS_HELD_MAX = 100_000


@dataclass(frozen=True, slots=True)
class HeldCase:
    """A case and the position of its last event (0: never submitted)."""

    state: State
    last_seq: int


NEVER_SUBMITTED = HeldCase(State(), 0)


@dataclass(frozen=True, slots=True)
class HeldClaims:
    """The subjects of all cases that a resident ever claimed, oldest first, and the position of the last claim."""

    cases: tuple[str, ...] = ()
    last_seq: int = 0


class CaseStore:
    """Loads and holds; the newest in use stay. Only the writer appends, so what is held is true until it says otherwise."""

    def __init__(self, journal: Journal, commits: GroupCommit, keystore: Keystore, overflow_to: Path | None = None) -> None:
        """`overflow_to`: a folder for what does not fit in memory; not given: the system's, which may be memory, too."""
        self.journal, self.commits, self.keystore = journal, commits, keystore
        self._cases: Overflowing[HeldCase] = Overflowing(_CASES_HELD_MAX, overflow_to)
        self._claims: Overflowing[HeldClaims] = Overflowing(_CLAIMS_HELD_MAX, overflow_to)
        self._residents: OrderedDict[str, str] = OrderedDict()

    def held_case(self, subject: str) -> HeldCase | None:
        """The case if it is in memory."""
        return self._cases.get(subject)

    async def case(self, subject: str) -> HeldCase:
        """The case on this subject. Raises JournalDamaged, JournalBusy."""
        held = self._cases.get(subject)
        if held is None:
            history = await self.journal.load(subject)
            held = HeldCase(reduce(evolve, history, State()), history[-1].seq) if history else NEVER_SUBMITTED
            held = _newer(held, self._cases.get(subject))
            self.hold_case(subject, held)
        return held

    async def is_new(self, subject: str) -> bool:
        """Whether nothing was ever on this subject: in one round trip where it is so, as loading takes two.

        Raises JournalDamaged, JournalBusy.
        """
        return self._cases.get(subject) is None and not await self.journal.last([subject])

    async def claims(self, resident: str) -> HeldClaims:
        """The resident's claims. Raises JournalDamaged, JournalBusy, and Conflict for somebody who is just being erased:
        once the key is gone, the same NIK is somebody new."""
        held = self._claims.get(resident)
        if held is None:
            history = await self.journal.load(resident_subject(resident))
            if history and isinstance(history[-1].fact, ClaimsClosed):
                raise Conflict([resident_subject(resident)])
            cases = tuple(
                case_subject(event.fact.office, event.fact.case) for event in history if isinstance(event.fact, CaseClaimed)
            )
            held = _newer(HeldClaims(cases, history[-1].seq) if history else HeldClaims(), self._claims.get(resident))
            self.hold_claims(resident, held)
        return held

    def resident(self, nik: str) -> str | None:
        """The id of a resident who is known; None for a NIK that never came or was erased."""
        held = self._residents.get(nik) or self.keystore.resident(nik)
        if held:
            self._hold_resident(nik, held)
        return held

    def residents(self, niks: Iterable[str]) -> dict[str, Resident]:
        """As Keystore.residents; they are held. Raises what an append is to be refused with: a new one is written, too."""
        self.commits.may_append()
        found = self.keystore.residents(niks)
        for nik, resident in found.items():
            self._hold_resident(nik, resident.id)
        return found

    def erase(self, resident: str) -> None:
        """Destroy the resident's key, and forget whose it was. Raises ErasureUnfinished."""
        self._residents = OrderedDict((nik, held) for nik, held in self._residents.items() if held != resident)
        self.forget(resident_subject(resident))
        self.keystore.destroy(resident)

    def _hold_resident(self, nik: str, resident: str) -> None:
        self._residents[nik] = resident
        self._residents.move_to_end(nik)
        if len(self._residents) > _RESIDENTS_HELD_MAX:
            self._residents.popitem(last=False)

    def hold_case(self, subject: str, held: HeldCase) -> None:
        self._cases.put(subject, held)

    def hold_claims(self, resident: str, held: HeldClaims) -> None:
        self._claims.put(resident, held)

    def forget(self, *subjects: str) -> None:
        """These moved on without us, or may have: load them afresh next time."""
        for moved in subjects:
            self._cases.forget(moved)
            self._claims.forget(moved.rpartition(".")[2])

    async def append(self, *changes: Change) -> list[int]:
        """As GroupCommit.append; what is held of subjects that moved on, or may have, is forgotten."""
        try:
            return await self.commits.append(*changes)
        except Conflict as conflict:
            self.forget(*conflict.subjects)
            raise
        except BaseException:  # it may have been stored: a second case for this resident must not be decided without it
            self.forget(*(change.subject for change in changes))
            raise

    def change(self, subject: str, expected_seq: int, events: list[Event], resident: str) -> Change:
        """Events of one subject as they go into the journal, personal fields sealed with the resident's key."""
        return Change(subject, expected_seq, self.bodies(events, resident), held=True)

    def bodies(self, events: list[Event], resident: str) -> list[bytes]:
        """Messages without their stamp, personal fields sealed with the resident's key."""
        return [self._body(event, resident) for event in events]

    def _body(self, event: Event, resident: str) -> bytes:
        public, personal = split(event.fact)
        if personal:
            public["sealed"] = self.keystore.seal(resident, orjson.dumps(personal), bound_to(event))
        return encode(event, public)


def claim(submitted: Event, version: int, resident: str) -> Event:
    """The resident's claim that stands or falls together with this submission."""
    fact = CaseClaimed(case=submitted.entity_id, office=submitted.place)
    return Event(
        id=event_id(submitted.id, 1),
        place=BACKBONE_ID,
        entity_id=resident,
        version=version,
        occurred=submitted.occurred,
        fact=fact,
        actor=submitted.actor,
        causation=submitted.causation,
        correlation=submitted.correlation,
    )


def _newer(loaded: Held, held: Held | None) -> Held:
    """While it was loaded someone may have appended, and hold what came of it already."""
    return held if held and held.last_seq > loaded.last_seq else loaded
