"""What is not about a case: an office's outages, and the standard and calendar of the backbone. Seldom asked, so each time
loaded, decided and appended afresh."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from functools import reduce
from typing import Any

from events.envelope import Event, subject
from events.offices import BACKBONE_ID, office
from events.receipt import command_id, event_id, keyed_hash
from events.rules import CalendarSet, StandardSet
from events.rules import evolve as with_version
from infra.group_commit import Change
from infra.journal_errors import Conflict
from services import outage, rules
from services.case_store import CaseStore
from services.outage import OutageBegin, OutageEnd
from services.refusals import KeyReused
from services.rules import SetRule
from services.rules_in_force import RulesInForce, stored_rulebook

_ATTEMPTS_MAX = 8


class OfficeHandler:
    """Many may be asked at once; what is set is in force for what comes next."""

    def __init__(self, store: CaseStore, secret: bytes, in_force: RulesInForce, now: Callable[[], datetime]) -> None:
        self._store, self._secret, self._in_force, self._now = store, secret, in_force, now
        self._setting = asyncio.Lock()  # two versions set at once: the second must know of the first

    async def outage(self, command: OutageBegin | OutageEnd, key: str, correlation: str = "") -> dict[str, Any]:
        """An outage began or ended. Raises UnknownOffice, the refusals of services.outage, the journal's errors."""
        place, causation = office(command.office).code, command_id(self._secret, command.command, command.office, key)
        digest = keyed_hash(self._secret, "digest", command.model_dump_json(), size=12).hex()
        request = outage.Request(event_id(causation, 0), digest, command, causation, correlation)
        on = subject(place, "outage", command.cause)
        for attempt in range(_ATTEMPTS_MAX):
            history = await self._store.journal.load(on)
            state = reduce(outage.evolve, history, outage.State())
            seq = history[-1].seq if history else 0
            events = outage.decide(request, state, self._now())
            try:
                seq = await self._append(on, seq, events)
                break
            except Conflict:
                if attempt == _ATTEMPTS_MAX - 1:
                    raise
        state = reduce(outage.evolve, events, state)
        open_ = next((one.began for one in state.outages if one.ended is None), None)
        return {"office": place, "cause": command.cause, "open_since": open_, "seq": seq}

    async def set_rule(self, command: SetRule, key: str) -> dict[str, Any]:
        """Set a version. Raises the refusals of services.rules, KeyReused, and the journal's errors."""
        async with self._setting:
            return await self._set_rule(command, key)

    async def _set_rule(self, command: SetRule, key: str) -> dict[str, Any]:
        calendar = command.command == "calendar_set"
        on = rules.CALENDAR_SUBJECT if calendar else rules.STANDARD_SUBJECT
        asked = rules.read_calendar(command.document) if calendar else rules.read_standard(command.document)
        causation, now = command_id(self._secret, command.command, BACKBONE_ID, key), self._now()
        valid_from = command.valid_from or now
        rulebook = await stored_rulebook(self._store.journal)
        history = await self._store.journal.load(on)
        done = next((event for event in history if event.id == event_id(causation, 0)), None)
        facts = rules.decide_set(asked, rulebook, valid_from, now) if done is None else []
        if done and not _says(done, asked.model_dump(mode="json"), command.valid_from):
            raise KeyReused
        events = [
            Event(event_id(causation, 0), BACKBONE_ID, "base", len(history) + 1, now, fact, command.actor, causation)
            for fact in facts
        ]
        seq = await self._append(on, history[-1].seq if history else 0, events)
        self._in_force.rulebook = reduce(with_version, facts, rulebook)
        versions = self._in_force.rulebook.calendars if calendar else self._in_force.rulebook.standards
        return {"version": versions[-1].rule.version, "valid_from": versions[-1].valid_from, "seq": seq}

    async def _append(self, on: str, seq: int, events: list[Event]) -> int:
        if not events:
            return seq
        return (await self._store.append(Change(on, seq, self._store.bodies(events, ""))))[-1]


def _says(done: Event, document: dict[str, Any], valid_from: datetime | None) -> bool:
    """Whether the event holds what this command asks for."""
    assert isinstance(done.fact, CalendarSet | StandardSet)
    said = done.fact.calendar if isinstance(done.fact, CalendarSet) else done.fact.standard
    return said | {"version": 0} == document | {"version": 0} and valid_from in {None, done.fact.valid_from}
