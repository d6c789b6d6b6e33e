"""Questions as request and reply on `ask.ektp.<backbone>.<question>`; answers hold what was in the journal when asked."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from faststream.nats import NatsBroker
from pydantic import BaseModel

from events.calendar import for_office
from events.offices import BACKBONE_ID, OFFICES, office
from events.outage import OUTAGE_CAUSES, OutageCause, Outages
from events.problem import Problem
from events.receipt import InvalidReceipt, office_of, parse_receipt, receipt
from events.rules import in_force
from events.stages import OPEN, Stage
from infra.journal import Journal
from infra.keystore import Keystore
from projections import as_of, coverage, desk, sla, sla_report, status
from projections.compare import compare
from projections.forecast import Forecast, forecast
from projections.runner import Runner
from projections.status import CaseStatus
from projections.views import Projection
from services.answering import Answers
from services.coverage_document import AGES_DAYS, coverage_document, desk_document, uncollected_document
from services.office_outages import office_outages
from services.questions import AskCoverage, AskDesk, AskDue, AskFind, AskRest, AskSla, AskStatus, AsOf
from services.sla_document import Parts, sla_document
from services.status_document import status_document
from services.wording import OFFICE_WORKS

WITHOUT_PROGRESS_S = 60.0
BREACHED_WITHIN = timedelta(days=90)
_ASKING_MAX = 6  # at once: a question may take two of the pool's 15 connections, and waiting for one blocks all
_DUE_WAIT_S = 1.0  # the SLA clock asks again; a table that lags is only slower


@dataclass(eq=False)
class ViewsLag(Problem):
    """The views did not come on for a minute; an answer would be stale."""

    lag_events: int
    code: ClassVar[str] = "views_lag"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Tampilan tertinggal {lag_events} kejadian dan tidak bergerak. Jalankan: ektp doctor."
    sentence_en: ClassVar[str] = "The views lag {lag_events} events behind and do not move. Run: ektp doctor."


class Questions:
    """Answers questions from the views, or from a fold of the journal where they are about another time."""

    def __init__(self, journal: Journal, engine: sa.Engine, runner: Runner, keystore: Keystore, secret: bytes) -> None:
        self._journal, self._engine, self._runner = journal, engine, runner
        self._keystore, self._secret = keystore, secret
        self._comparing = asyncio.Lock()
        self._asking = asyncio.Semaphore(_ASKING_MAX)
        self._parts = Parts()

    async def status(self, ask: AskStatus) -> dict[str, Any]:
        """Raises InvalidReceipt also for a case that was not yet known then."""
        wanted, at = parse_receipt(ask.receipt), min(_time(ask), datetime.now(UTC))
        place = office_of(wanted).code
        async with self.view(status, ask, place) as db:
            found = await asyncio.to_thread(status.status, db, wanted)
            if found is None:
                raise InvalidReceipt
            expected = await asyncio.to_thread(self._forecast, db, found, at)
        outage = await self._outage(place, at, ask) if found.stage in OFFICE_WORKS else None
        return status_document(found, expected, outage, ask.lang)

    async def find(self, ask: AskFind) -> dict[str, Any]:
        """The receipts of a person, or of a register number (which need not be unique among offices)."""
        if ask.office:
            office(ask.office)
        async with self.view(status, AsOf()) as db:
            if ask.nik:
                resident = self._keystore.resident(ask.nik)
                return {"receipts": status.receipts_of(db, resident, ask.office) if resident else []}
            places = [OFFICES[ask.office]] if ask.office else OFFICES.values()
            derived = [receipt(self._secret, place, "case", ask.case or "") for place in places]
            return {"receipts": [each for each in derived if status.status(db, each)]}

    async def coverage(self, ask: AskCoverage) -> dict[str, Any]:
        """Persons recorded and cards printed per office. Raises UnknownOffice."""
        offices = [office(ask.office).code] if ask.office else list(OFFICES)
        async with self.view(coverage, ask) as db:
            counts = await asyncio.to_thread(coverage.counts, db)
        return coverage_document(counts, _time(ask), offices)

    async def desk(self, ask: AskDesk) -> dict[str, Any]:
        """One page of the queue of each open stage. Raises UnknownOffice."""
        place = office(ask.office).code if ask.office else None
        async with self.view(status, ask, place) as db:
            queues = {stage: await asyncio.to_thread(desk.queue, db, stage, place, ask.page) for stage in OPEN}
        return desk_document(queues, _time(ask), ask.page)

    async def uncollected(self, ask: AskDesk) -> dict[str, Any]:
        """One page of the printed cards that nobody has fetched. Raises UnknownOffice."""
        place = office(ask.office).code if ask.office else None
        async with self.view(status, ask, place) as db:
            cards = await asyncio.to_thread(desk.queue, db, Stage.PRINTED, place, ask.page)
            at = _time(ask)
            older = await asyncio.to_thread(desk.older, db, Stage.PRINTED, place, at, AGES_DAYS)
        return uncollected_document(cards, older, at, ask.page)

    async def sla(self, ask: AskSla) -> dict[str, Any]:
        """What runs, is at risk, was breached or stands still; its first part. Raises UnknownOffice."""
        place = office(ask.office).code if ask.office else None
        async with self.view(sla, ask, place) as db:
            at = _time(ask)
            since = ask.since or at - BREACHED_WITHIN
            report = await asyncio.to_thread(sla_report.sla, db, at, place, since, ask.recomputed)
            document = await asyncio.to_thread(sla_document, report, at, ask.recomputed)
        return self._parts.first(document)

    async def rest(self, ask: AskRest) -> dict[str, Any]:
        """The next part. Raises NoRest."""
        return self._parts.next(ask.rest)

    async def due(self, ask: AskDue) -> dict[str, Any]:
        """For the SLA clock: whom to look at now, and when to ask again."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_DUE_WAIT_S):  # so that it is not sent again to what it has just told
                await self._runner.wait_for(await self._journal.last_seq(), _DUE_WAIT_S)
        cases, then = await asyncio.to_thread(self._due, ask.now)
        return {"cases": cases, "next": then}

    async def lag(self) -> dict[str, Any]:
        """How far the views are, for the doctor and for readiness."""
        head = await self._journal.last_seq()
        stopped_by = self._runner.stopped_by
        return {
            "head": head,
            "position": self._runner.views.position,
            "lag_events": head - self._runner.views.position,
            "stopped_by": stopped_by.document() if stopped_by else None,
            "set_aside": {name: len(marked) for name, marked in self._runner.views.marked.items() if marked},
        }

    async def compare(self) -> dict[str, Any]:
        """All views with a fold of the journal, one comparison at a time."""
        async with self._comparing, self.view(status, AsOf()):
            found = await compare(self._journal, self._engine, self._runner.views.projections)
        return vars(found) | {"differences": [vars(difference) for difference in found.differences]}

    def _forecast(self, db: sa.Connection, found: CaseStatus, at: datetime) -> Forecast | None:
        """By the office's calendar that is in force then."""
        with self._engine.connect() as live:
            calendar = for_office(in_force(sla.rulebook(live).calendars, at), found.office)
        return forecast(db, calendar, at, found.office, found.stage, found.since, found.place and found.place[0])

    async def _outage(self, place: str, at: datetime, ask: AsOf) -> OutageCause | None:
        """Why that office cannot work then: the first cause that counts."""
        known = await office_outages(self._journal, place, lambda event: as_of.counts(event, ask.as_of, ask.as_recorded))
        return next((cause for cause in OUTAGE_CAUSES if _lasts(known.get(cause, ()), at)), None)

    def _due(self, now: datetime) -> tuple[list[tuple[str, str]], datetime | None]:
        with self._engine.connect() as db:
            return sla.due(db, now)

    @asynccontextmanager
    async def view(self, projection: Projection, ask: AsOf, place: str | None = None) -> AsyncIterator[sa.Connection]:
        """The rows that a question is about; `place`: only those of that office are asked for."""
        head = await self._journal.last_seq()
        if not await self._runner.wait_for(head, WITHOUT_PROGRESS_S):
            raise ViewsLag(head - self._runner.views.position)
        engine = self._engine
        if ask.as_of or ask.as_recorded:
            then = (ask.as_of, ask.as_recorded)
            engine = await as_of.fold(self._journal, self._engine, projection, head, *then, office=place)
        try:
            async with self._asking if engine is self._engine else contextlib.nullcontext():
                with engine.connect() as db:
                    yield db
        finally:
            if engine is not self._engine:
                engine.dispose()


def _lasts(outages: Outages, at: datetime) -> bool:
    began = [outage for outage in outages if outage.began <= at]
    return bool(began) and (began[-1].ended is None or at < began[-1].ended)


def _time(ask: AsOf) -> datetime:
    """The time that an answer is about, and ages are counted up to."""
    return ask.as_of or ask.as_recorded or datetime.now(UTC)


def serve_questions(broker: NatsBroker, questions: Questions, answers: Answers) -> None:
    """Register the subscribers of the question service."""
    asked: dict[str, tuple[Callable[..., Awaitable[Any]], type[BaseModel] | None]] = {
        "status": (questions.status, AskStatus),
        "find": (questions.find, AskFind),
        "coverage": (questions.coverage, AskCoverage),
        "desk": (questions.desk, AskDesk),
        "uncollected": (questions.uncollected, AskDesk),
        "sla": (questions.sla, AskSla),
        "rest": (questions.rest, AskRest),
        "due": (questions.due, AskDue),
        "compare": (questions.compare, None),
        "lag": (questions.lag, None),
        "ping": (answers.ping, None),
    }
    for name, (answer, body) in asked.items():
        answers.serve(broker, f"ask.ektp.{BACKBONE_ID}.{name}", answer, body)
