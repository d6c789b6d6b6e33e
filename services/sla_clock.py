"""The SLA clock tells operations, by an event, when a target's time is mostly gone or over. It runs in `ektp up`'s writer.

The views' due table says whom to look at and when; the case itself is then loaded and decided anew, so that a stale table,
a restart or a second clock tells nothing twice and nothing wrong. What fell due while it stood still is told late.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import structlog
from prometheus_client import Counter, Histogram

from events.envelope import case_subject, subject
from events.outage import OfficeOutages
from events.sla import Breached, Warned
from events.timers import Case, evolve
from infra.group_commit import Change
from infra.journal_errors import Conflict
from infra.metrics import REGISTRY
from services.case_store import CaseStore
from services.office_outages import office_outages
from services.rules_in_force import RulesInForce
from services.sla_decision import decide

log = structlog.get_logger()

TOLD = Counter("ektp_sla_events", "Warnings and breaches told to operations.", ["event", "target"], registry=REGISTRY)
LATENESS = Histogram(
    "ektp_sla_lateness_seconds",
    "From when operations should be told to when they were.",
    buckets=(0.1, 0.5, 1, 2, 5, 10, 30, 60, 600, 3_600),
    registry=REGISTRY,
)
PAUSE_S_MAX = 1.0
_AT_ONCE = 200  # cases looked at together
Due = tuple[str, str]  # office, case


class SlaClock:
    """`due(now)` tells which cases have something to tell by then, at most some hundreds, and when it is next asked for."""

    def __init__(
        self,
        store: CaseStore,
        in_force: RulesInForce,
        now: Callable[[], datetime],
        due: Callable[[datetime], Awaitable[tuple[list[Due], datetime | None]]],
    ) -> None:
        self._store, self._in_force, self._now, self._due = store, in_force, now, due

    async def run(self) -> None:
        """Until cancelled, when what is under way is finished. Whatever fails is tried again."""
        task = asyncio.current_task()
        assert task is not None
        while not task.cancelling():  # Python 3.11's wait_for, of which clients are full, may swallow what it raises
            pause_s = PAUSE_S_MAX
            try:
                cases, then = await self._due(self._now())
                telling = asyncio.create_task(self.tell_all(cases))
                try:
                    told = await asyncio.shield(telling)
                finally:
                    await asyncio.wait({telling})
                if told:
                    pause_s = 0  # there may be more
                elif then:
                    pause_s = min(max((then - self._now()).total_seconds(), 0), PAUSE_S_MAX)
            except Exception as trouble:  # nobody would notice that the clock has died
                log.warning("sla clock waits", why=type(trouble).__name__)
            await asyncio.sleep(pause_s)

    async def tell_all(self, cases: Sequence[Due]) -> int:
        """As `tell`, for each of these. One that fails keeps nobody waiting; it is looked at again."""
        if not cases:
            return 0
        offices = {office for office, _ in cases}
        outages = {office: asyncio.create_task(office_outages(self._store.journal, office)) for office in offices}
        await asyncio.wait(outages.values())
        told = 0
        for start in range(0, len(cases), _AT_ONCE):
            some = cases[start : start + _AT_ONCE]
            answers = await asyncio.gather(*(self.tell(*case, outages[case[0]]) for case in some), return_exceptions=True)
            told += sum(answer for answer in answers if isinstance(answer, int))
            if troubles := {type(answer).__name__ for answer in answers if isinstance(answer, BaseException)}:
                log.warning("sla clock leaves cases for later", why=sorted(troubles))
        return told

    async def tell(self, office: str, case: str, outages: Awaitable[OfficeOutages]) -> int:
        """Append what must be told of this case now, its office having had these outages; returns how many events.

        Raises the journal's errors.
        """
        journal, on = self._store.journal, subject(office, "sla", case)
        history, told = await asyncio.gather(journal.load(case_subject(office, case)), journal.load(on))
        state = Case()
        for event in history:
            state = evolve(state, event, self._in_force.rulebook)
        now = self._now()
        events = decide(state, told, await outages, now)
        if events:
            try:
                await self._store.append(Change(on, told[-1].seq if told else 0, self._store.bodies(events, "")))
            except Conflict:  # somebody else told it: looked at again in a moment
                return 0
        for event in events:
            assert isinstance(event.fact, Warned | Breached)
            TOLD.labels(event.name, event.fact.target).inc()
            at = event.fact.reached if isinstance(event.fact, Warned) else event.fact.due
            LATENESS.observe((now - at).total_seconds())
        return len(events)
