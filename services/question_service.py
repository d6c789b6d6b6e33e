"""Questions as request and reply on `ask.ektp.<backbone>.<question>`; answers hold what was in the journal when asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from faststream.nats import NatsBroker

from events.offices import BACKBONE_ID, OFFICES, office
from events.problem import Problem
from events.receipt import InvalidReceipt, parse_receipt, receipt
from events.stages import Stage
from infra.journal import Journal
from infra.keystore import Keystore
from projections import as_of, coverage, desk, status
from projections.runner import Runner
from projections.views import Projection
from services.answering import Answers
from services.coverage_document import AGES_DAYS, coverage_document, desk_document, uncollected_document
from services.questions import AskCoverage, AskDesk, AskFind, AskStatus, AsOf
from services.status_document import status_document

WITHOUT_PROGRESS_S = 60.0


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

    async def status(self, ask: AskStatus) -> dict[str, Any]:
        """Raises InvalidReceipt also for a case that was not yet known then."""
        wanted = parse_receipt(ask.receipt)
        async with self._view(status, ask) as db:
            found = status.status(db, wanted)
        if found is None:
            raise InvalidReceipt
        return status_document(found, ask.lang)

    async def find(self, ask: AskFind) -> dict[str, Any]:
        """The receipts of a person, or of a register number (which need not be unique among offices)."""
        if ask.office:
            office(ask.office)
        async with self._view(status, AsOf()) as db:
            if ask.nik:
                resident = self._keystore.resident(ask.nik)
                return {"receipts": status.receipts_of(db, resident, ask.office) if resident else []}
            places = [OFFICES[ask.office]] if ask.office else OFFICES.values()
            derived = [receipt(self._secret, place, "case", ask.case or "") for place in places]
            return {"receipts": [each for each in derived if status.status(db, each)]}

    async def coverage(self, ask: AskCoverage) -> dict[str, Any]:
        """Persons recorded and cards printed per office. Raises UnknownOffice."""
        offices = [office(ask.office).code] if ask.office else list(OFFICES)
        async with self._view(coverage, ask) as db:
            counts = await asyncio.to_thread(coverage.counts, db)
        return coverage_document(counts, _time(ask), offices)

    async def desk(self, ask: AskDesk) -> dict[str, Any]:
        """One page of the queue of each open stage. Raises UnknownOffice."""
        place = office(ask.office).code if ask.office else None
        async with self._view(status, ask) as db:
            queues = {stage: await asyncio.to_thread(desk.queue, db, stage, place, ask.page) for stage in desk.OPEN}
        return desk_document(queues, _time(ask), ask.page)

    async def uncollected(self, ask: AskDesk) -> dict[str, Any]:
        """One page of the printed cards that nobody has fetched. Raises UnknownOffice."""
        place = office(ask.office).code if ask.office else None
        async with self._view(status, ask) as db:
            cards = await asyncio.to_thread(desk.queue, db, Stage.PRINTED, place, ask.page)
            at = _time(ask)
            older = await asyncio.to_thread(desk.older, db, Stage.PRINTED, place, at, AGES_DAYS)
        return uncollected_document(cards, older, at, ask.page)

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

    @asynccontextmanager
    async def _view(self, projection: Projection, ask: AsOf) -> AsyncIterator[sa.Connection]:
        head = await self._journal.last_seq()
        if not await self._runner.wait_for(head, WITHOUT_PROGRESS_S):
            raise ViewsLag(head - self._runner.views.position)
        engine = self._engine
        if ask.as_of or ask.as_recorded:
            engine = await as_of.fold(self._journal, self._engine, projection, head, ask.as_of, ask.as_recorded)
        with engine.connect() as db:
            yield db
        if engine is not self._engine:
            engine.dispose()


def _time(ask: AsOf) -> datetime:
    """The time that an answer is about, and ages are counted up to."""
    return ask.as_of or ask.as_recorded or datetime.now(UTC)


def serve_questions(broker: NatsBroker, questions: Questions, answers: Answers) -> None:
    """Register the subscribers of the question service, on a broker with the middleware Answering, before it is started."""

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.status", no_reply=True)
    async def ask_status(body: AskStatus) -> None:
        answers.start(questions.status(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.find", no_reply=True)
    async def ask_find(body: AskFind) -> None:
        answers.start(questions.find(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.coverage", no_reply=True)
    async def ask_coverage(body: AskCoverage) -> None:
        answers.start(questions.coverage(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.desk", no_reply=True)
    async def ask_desk(body: AskDesk) -> None:
        answers.start(questions.desk(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.uncollected", no_reply=True)
    async def ask_uncollected(body: AskDesk) -> None:
        answers.start(questions.uncollected(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.lag", no_reply=True)
    async def ask_lag() -> None:
        answers.start(questions.lag())

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.ping", no_reply=True)
    async def ping() -> None:
        answers.start(answers.ping())
