"""The way of one command: load, decide, append, answer. A lost race is decided again; an answer is never guessed."""

import random
from asyncio import sleep
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from events.application import Submitted
from events.envelope import Event, case_subject, resident_subject
from events.offices import office
from events.receipt import InvalidReceipt, case_id, command_id, event_id, keyed_hash, office_of, parse_receipt, receipt
from events.stages import Stage
from infra.journal_errors import Conflict
from services.application import Request, Rules, RulesAt, decide, evolve
from services.case_store import NEVER_SUBMITTED, CaseStore, HeldCase, HeldClaims, claim
from services.commands import AnyCommand, Submit

_ATTEMPTS_MAX = 8


@dataclass(frozen=True)
class Done:
    """The answer to a command that was done, now or before."""

    receipt: str
    case: str
    stage: Stage
    seq: int  # journal position of its event
    promised: datetime | None  # of a submission


class CommandHandler:
    """Answers commands one by one; many may be on their way at once."""

    def __init__(self, store: CaseStore, secret: bytes, rules: RulesAt, now: Callable[[], datetime]) -> None:
        """`secret` keys receipts and ids; `now` tells the aware instant in the office's zone."""
        self._store, self._secret, self._rules, self._now = store, secret, rules, now

    async def handle(self, command: AnyCommand, key: str, correlation: str = "") -> Done:
        """Do the command, once however often it comes with this idempotency `key`.

        Raises one of services.refusals, UnknownOffice, InvalidReceipt, and the journal's errors.
        """
        place = office(command.office).code if isinstance(command, Submit) else parse_receipt(command.receipt)
        causation = command_id(self._secret, command.command, place, key)
        request = Request(
            event_id=event_id(causation, 0),
            digest=keyed_hash(self._secret, "digest", command.model_dump_json(), size=12).hex(),
            receipt=receipt(self._secret, office(place), causation) if isinstance(command, Submit) else place,
            command=command,
            causation=causation,
            correlation=correlation,
        )
        subject = case_subject(office_of(request.receipt).code, case_id(request.receipt))
        for attempt in range(_ATTEMPTS_MAX):
            try:
                return await self._attempt(request, subject)
            except Conflict:
                self._store.forget(subject)
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
                await sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311 (jitter)
        raise AssertionError("unreachable")

    async def _attempt(self, request: Request, subject: str) -> Done:
        is_new = isinstance(request.command, Submit) and await self._store.is_new(subject)
        held = NEVER_SUBMITTED if is_new else await self._store.case(subject)
        if isinstance(request.command, Submit):
            if held.last_seq:  # this very command was done before, or its key was used with other content
                decide(request, held.state, *self._rules_and_now(request))
                return await self._done_before(request, subject)
            return await self._submit(request, request.command, subject)
        if not held.last_seq:
            raise InvalidReceipt
        events = decide(request, held.state, *self._rules_and_now(request))
        if not events:
            return await self._done_before(request, subject)
        state = evolve(held.state, events[0])
        change = self._store.change(subject, held.last_seq, events, state.resident)
        (seq,) = await self._store.append(change)
        self._store.hold_case(subject, HeldCase(state, seq))
        return _done(events[0], state.receipt, state.stage, seq)

    async def _submit(self, request: Request, command: Submit, subject: str) -> Done:
        """A submission and the resident's claim stand or fall together."""
        resident, is_new = self._store.residents([command.nik])[command.nik]
        claims = HeldClaims() if is_new else await self._store.claims(resident)
        if subject in claims.cases:  # this very command was done a moment ago, or its key was used with other content
            raise Conflict([subject])
        others = [(await self._store.case(case)).state for case in claims.cases]
        request = request._replace(resident=resident)
        (event,) = decide(request, NEVER_SUBMITTED.state, *self._rules_and_now(request), others)
        state = evolve(NEVER_SUBMITTED.state, event)
        seq, claim_seq = await self._store.append(
            self._store.change(subject, 0, [event], resident),
            self._store.change(
                resident_subject(resident), claims.last_seq, [claim(event, len(claims.cases) + 1, resident)], resident
            ),
        )
        self._store.hold_case(subject, HeldCase(state, seq))
        self._store.hold_claims(resident, HeldClaims((*claims.cases, subject), claim_seq))
        return _done(event, state.receipt, state.stage, seq)

    def _rules_and_now(self, request: Request) -> tuple[Rules, datetime]:
        now = self._now()
        return self._rules(office_of(request.receipt).code, min(request.command.at or now, now)), now

    async def _done_before(self, request: Request, subject: str) -> Done:
        """The same answer as the first time, from the journal."""
        state = NEVER_SUBMITTED.state
        for event in await self._store.journal.load(subject):
            state = evolve(state, event)
            if event.id == request.event_id:
                return _done(event, state.receipt, state.stage, event.seq)
        raise Conflict([subject])  # what was held disagrees with the journal: load afresh


def _done(event: Event, receipt: str, stage: Stage | None, seq: int) -> Done:
    assert stage is not None
    promised = event.fact.promised if isinstance(event.fact, Submitted) else None
    return Done(receipt, event.entity_id, stage, seq, promised)
