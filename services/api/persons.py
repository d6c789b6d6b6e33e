"""Who is behind a case, and which cases someone has: for who needs to know, seldom, and noted each time."""

from typing import Annotated, Self

import structlog
from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from events.envelope import case_subject
from events.nik import Nik
from events.receipt import InvalidReceipt, case_id, office_of, parse_receipt
from infra.journal import Journal
from infra.keystore import Keystore
from services.access import Caller, requires
from services.api.answer import document
from services.api.documented import QUESTION, answers
from services.person import open_person
from services.question_service import Questions
from services.questions import AskFind
from services.rate_limits import limited

log = structlog.get_logger()
_MayOpen = Annotated[Caller, Depends(requires("desk", "auditor"))]
_PERSON = {"nik": "3672036010990003", "name": "Siti Aminah", "born": "1999-10-20"}


class Find(BaseModel):
    """By resident or by register number, one of the two."""

    model_config = ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [{"nik": "3672036010990003"}]})
    nik: Nik | None = None
    case: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    office: str | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.nik is None) == (self.case is None):
            raise ValueError("give nik or case")
        return self


def person_router(journal: Journal, keystore: Keystore, questions: Questions) -> APIRouter:
    """`/find` and `/cases/…/person`."""
    router = APIRouter(tags=["persons"])
    sparingly = Depends(limited("person", 60))

    @router.get("/cases/{receipt}/person", responses=answers(404, 410, 429, *QUESTION, example=_PERSON))
    async def person(receipt: str, caller: _MayOpen, _: Annotated[None, sparingly]) -> Response:
        """Name, NIK and date of birth: the one place that opens them. Who opened which case is logged, before it is told."""
        wanted = parse_receipt(receipt)
        case = case_id(wanted)
        history = await journal.load(case_subject(office_of(wanted).code, case))
        if not history:
            raise InvalidReceipt
        log.info("person opened", by=caller.name, role=caller.role, case=case)
        opened = open_person(keystore, history)
        return document({"nik": opened.nik, "name": opened.name, "born": opened.born})

    @router.post("/find", responses=answers(400, 413, 429, *QUESTION, example={"receipts": ["PM-7VPX-4TZ9-GQ1MC"]}))
    async def find(body: Find, caller: _MayOpen, _: Annotated[None, sparingly]) -> Response:
        """The receipts of a resident or register number. It is a POST, as addresses stand in logs and a NIK must not."""
        ask = AskFind(by="nik" if body.nik else "case", nik=body.nik, case=body.case, office=body.office)
        return document(await questions.find(ask))

    return router
