"""Questions as request and reply on `ask.ektp.<backbone>.<question>`; answers hold what was in the journal when asked."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa
from faststream.nats import NatsBroker, NatsMessage

from events.offices import BACKBONE_ID, OFFICES, office
from events.problem import Problem
from events.receipt import InvalidReceipt, parse_receipt, receipt
from infra.journal import Journal
from infra.keystore import Keystore
from projections import as_of, status
from projections.runner import Projection, Runner
from services.answering import Answers
from services.questions import AskFind, AskStatus, AsOf
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

    async def lag(self) -> dict[str, Any]:
        """How far the views are, for the doctor and for readiness."""
        head = await self._journal.last_seq()
        stopped_by = self._runner.stopped_by
        return {
            "head": head,
            "position": self._runner.position,
            "lag_events": head - self._runner.position,
            "stopped_by": stopped_by.document() if stopped_by else None,
        }

    @asynccontextmanager
    async def _view(self, projection: Projection, ask: AsOf) -> AsyncIterator[sa.Connection]:
        head = await self._journal.last_seq()
        if not await self._runner.wait_for(head, WITHOUT_PROGRESS_S):
            raise ViewsLag(head - self._runner.position)
        engine = self._engine
        if ask.as_of or ask.as_recorded:
            engine = await as_of.fold(self._journal, self._engine, projection, head, ask.as_of, ask.as_recorded)
        with engine.connect() as db:
            yield db
        if engine is not self._engine:
            engine.dispose()


def serve_questions(broker: NatsBroker, questions: Questions, answers: Answers) -> None:
    """Register the subscribers of the question service, on a broker with the middleware Answering, before it is started."""

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.status", no_reply=True)
    async def ask_status(body: AskStatus, message: NatsMessage) -> None:
        answers.start(message, questions.status(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.find", no_reply=True)
    async def ask_find(body: AskFind, message: NatsMessage) -> None:
        answers.start(message, questions.find(body))

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.lag", no_reply=True)
    async def ask_lag(message: NatsMessage) -> None:
        answers.start(message, questions.lag())

    @broker.subscriber(f"ask.ektp.{BACKBONE_ID}.ping", no_reply=True)
    async def ping(message: NatsMessage) -> None:
        answers.start(message, answers.ping())
