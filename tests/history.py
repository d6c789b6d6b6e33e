"""What clients asked and were told, against what the journal holds: a checker as those of etcd and Jepsen.

Clients log their calls with `History.asking`. After the fault the journal is read from its first event: `History.findings`
says where it does not agree with what was told, `unlawful` what no journal may hold whatever was asked. Both give plain
sentences; a test asserts that there are none.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Literal

import orjson

from events.application import CaseFact, Corrected, Returned, Submitted, stage_reached
from events.envelope import Event, case_subject
from events.offices import office
from events.problem import Problem
from events.receipt import command_id, event_id
from events.resident import CaseClaimed
from events.stages import FINAL, ORDER, REPRINTS, Stage
from infra.group_commit import Change, GroupCommit
from infra.journal import Stored
from services.application import State, evolve
from services.commands import AnyCommand, Submit

_IN_DOUBT = {"backbone_gone", "journal_damaged", "unexpected"}  # codes that do not say whether anything was stored


@dataclass(eq=False)
class Call:
    """One call of one client: unknown, until it is told something."""

    ids: tuple[str, ...]  # of the events that it wants stored, all or none
    seqs: Sequence[int] = ()  # positions it was told, in the order of the ids; a command is told only the first
    refused: Problem | None = None
    head: int = 0  # the highest position that anybody had been told when this call was refused
    rivals: int = 0  # how many calls had been asked by then

    @property
    def outcome(self) -> Literal["done", "nothing", "unknown"]:
        """What the client may rely on."""
        if self.seqs:
            return "done"
        if self.refused is None or self.refused.code in _IN_DOUBT:
            return "unknown"
        return "unknown" if self.refused.document().get("stored") == "unknown" else "nothing"


def ids_of(secret: bytes, command: AnyCommand, key: str) -> tuple[str, ...]:
    """The event ids of one command: its own, and of a submission also the claim's."""
    place = office(command.office).code if isinstance(command, Submit) else command.receipt
    own = event_id(command_id(secret, command.command, place, key), 0)
    return (own, event_id(own, 1)) if isinstance(command, Submit) else (own,)


class History:
    """What all clients of one journal asked and were told, and what was read of it so far."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._head = 0  # the highest position that anybody was told
        self._read: dict[int, bytes] = {}  # digest of what was read at each position

    @property
    def acknowledged(self) -> int:
        """How many calls were done."""
        return sum(call.outcome == "done" for call in self.calls)

    @contextmanager
    def asking(self, ids: tuple[str, ...]) -> Iterator[Call]:
        """Log a call for these events. The block sets `seqs` from the answer; a problem that it raises is the answer."""
        self.calls.append(call := Call(ids))
        try:
            yield call
        except Problem as problem:
            call.refused, call.head, call.rivals = problem, self._head, len(self.calls)
        self._head = max(self._head, *call.seqs, 0)

    async def append(self, commits: GroupCommit, *changes: Change) -> Call:
        """An append without a command behind it."""
        ids = tuple(orjson.loads(body)["id"] for change in changes for body in change.bodies)
        with self.asking(ids) as call:
            call.seqs = await commits.append(*changes)
        return call

    def findings(self, journal: Sequence[Stored]) -> list[str]:
        """Where this reading of the whole journal disagrees with what was told and with the readings before it."""
        ids = [str(orjson.loads(stored.body)["id"]) for stored in journal]
        return [*self._of_reading(journal, ids), *self._of_calls(dict(zip(ids, (one.seq for one in journal), strict=True)))]

    def _of_reading(self, journal: Sequence[Stored], ids: list[str]) -> Iterator[str]:
        first: dict[str, int] = {}
        for position, (stored, id_) in enumerate(zip(journal, ids, strict=True), 1):
            if stored.seq != position:
                yield f"position {position} is missing, {stored.seq} comes instead"
            if first.setdefault(id_, stored.seq) != stored.seq:
                yield f"{id_} is there twice, at {first[id_]} and {stored.seq}"
            digest = blake2b(f"{stored.subject} ".encode() + stored.body, digest_size=16).digest()
            if self._read.setdefault(stored.seq, digest) != digest:
                yield f"position {stored.seq} held another event before"
        there = {stored.seq for stored in journal}
        yield from (f"position {seq} was there before and is gone" for seq in self._read if seq not in there)

    def _of_calls(self, at: dict[str, int]) -> Iterator[str]:
        """`at`: where each event stands."""
        asked = {id_ for call in self.calls for id_ in call.ids}
        yield from (f"{id_} at {seq} was asked for by nobody" for id_, seq in at.items() if id_ not in asked)
        calls = reversed(list(enumerate(self.calls)))  # so that of each event the first call remains that may have stored it
        may_have_stored = {id_: index for index, call in calls if call.outcome != "nothing" for id_ in call.ids}
        told: dict[int, str] = {}
        for call in self.calls:
            match call.outcome:
                case "done":
                    for id_, seq in zip(call.ids, call.seqs, strict=False):
                        if told.setdefault(seq, id_) != id_:
                            yield f"position {seq} was acknowledged to {told[seq]} and to {id_}"
                        if at.get(id_, seq) != seq:
                            yield f"{id_} was acknowledged at {seq} and is at {at[id_]}"
                    yield from (f"{id_} was acknowledged and is not there" for id_ in call.ids if id_ not in at)
                case "nothing":  # unless the same command was asked before, or once more and then done
                    for id_ in call.ids:
                        first = may_have_stored.get(id_, len(self.calls))
                        if id_ in at and first >= call.rivals and (first == len(self.calls) or at[id_] <= call.head):
                            yield f"{id_} was refused ({call.refused}) and is at {at[id_]}"
                case "unknown":
                    missing = [id_ for id_ in call.ids if id_ not in at]
                    if 0 < len(missing) < len(call.ids):
                        yield f"of {', '.join(call.ids)} {', '.join(missing)} is not there"


def unlawful(events: Iterable[Event]) -> list[str]:
    """What is wrong in a whole journal by itself: versions and order of each case, claims, times, two open cases of one."""
    found: list[str] = []
    versions: dict[str, int] = defaultdict(int)
    cases: dict[str, State] = defaultdict(State)
    submitted, claimed = set[tuple[str, str]](), set[tuple[str, str]]()  # resident, subject of the case
    newest: dict[str, str] = {}  # subject of each resident's newest case
    recorded = datetime.min.replace(tzinfo=UTC)
    for event in events:
        where, fact = f"{event.seq} ({event.name} on {event.subject})", event.fact
        if event.version != (expected := versions[event.subject] + 1):
            found.append(f"{where} has version {event.version} instead of {expected}")
        versions[event.subject] = event.version
        assert event.recorded is not None
        if event.recorded < recorded:
            found.append(f"{where} was recorded before the event before it")
        recorded = event.recorded
        if isinstance(fact, CaseClaimed):
            claimed.add((event.entity_id, case_subject(fact.office, fact.case)))
        state = cases[event.subject]
        if isinstance(fact, Submitted):
            submitted.add((fact.resident, event.subject))
            other = newest.get(fact.resident, event.subject)
            if other != event.subject and cases[other].stage not in FINAL:
                found.append(f"{where} is of a resident whose case {other} is open")
            newest[fact.resident] = event.subject
        if isinstance(fact, CaseFact) and event.version == state.version + 1:
            if not _may_follow(state, event):
                found.append(f"{where} must not follow {state.stage}")
            if state.last_occurred and event.occurred < state.last_occurred and not isinstance(fact, Corrected):
                found.append(f"{where} occurred before the event before it")
            cases[event.subject] = evolve(state, event)
    found += [f"{subject} has no claim" for _, subject in sorted(submitted - claimed)]
    return found + [f"the claim on {subject} has no case" for _, subject in sorted(claimed - submitted)]


_NEXT: dict[Stage | None, set[Stage | None]] = {  # contract, section 4; cancelling is possible until the end
    None: {Stage.SUBMITTED},
    Stage.SUBMITTED: {Stage.RECORDED, Stage.CANCELLED},
    Stage.RECORDED: {Stage.QUEUED, Stage.CANCELLED},
    Stage.QUEUED: {Stage.PRINTED, Stage.CANCELLED},
    Stage.PRINTED: {Stage.COLLECTED, Stage.CANCELLED},
    Stage.COLLECTED: set(),
    Stage.CANCELLED: set(),
}


def _may_follow(state: State, event: Event) -> bool:
    match event.fact:
        case Corrected(corrects=corrected):
            return corrected in {noted.id for noted in state.noted if noted.stage}
        case Returned(back_to=stage):
            open_ = state.stage is not None and state.stage not in FINAL
            return open_ and stage in state.reached and ORDER.index(stage) < ORDER.index(state.stage or stage)
        case fact:
            skips = state.stage is Stage.SUBMITTED and state.kind in REPRINTS
            return stage_reached(fact) in _NEXT[state.stage] | ({Stage.QUEUED} if skips else set())
