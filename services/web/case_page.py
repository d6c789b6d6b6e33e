"""An auditor's case: what happened, when by both clocks, by whom and why; and which of it is proven by the signed log."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import PlainTextResponse

from events.envelope import case_subject, decode, subject
from events.receipt import InvalidReceipt, case_id, office_of, parse_receipt
from infra.data_folder import DataFolder
from infra.journal import Journal, Stored
from infra.tlog.tiles import read_head
from services.access import Caller, requires
from services.audit.event_line import event_line
from services.audit.export import NothingSigned
from services.audit.proofs import prove
from services.web.page import page
from services.witness_notes import cosigned_by, witnesses

Auditor = Annotated[Caller, Depends(requires("auditor"))]


def case_router(folder: DataFolder, journal: Journal) -> APIRouter:
    """`/case/{receipt}`, its proof, and the signed checkpoint."""
    router = APIRouter(include_in_schema=False)

    @router.get("/case/{receipt}")
    async def case(request: Request, receipt: str, _: Auditor) -> Response:
        """Raises InvalidReceipt, LogDamaged."""
        code = parse_receipt(receipt)
        messages = await _history(code)
        told = await journal.messages(subject(office_of(code).code, "sla", case_id(code)))
        events = sorted((decode(stored.body, stored.seq) for stored in messages + told), key=lambda event: event.seq)
        head = await asyncio.to_thread(read_head, folder.log)
        keys = [witness.key for witness in witnesses(folder)]
        return page(
            request,
            "case.html",
            receipt=code,
            case=case_id(code),
            office=office_of(code),
            lines=[event_line(event) for event in events],
            signed_size=head[0].size if head else 0,
            cosigned=cosigned_by(folder.log, head[0], keys) if head else [],
        )

    @router.get("/case/{receipt}/proof")
    async def proof(receipt: str, _: Auditor) -> Response:
        """For `ektp audit check`. Raises InvalidReceipt, NotAnchored, LogDamaged."""
        code = parse_receipt(receipt)
        proofs = await asyncio.to_thread(prove, folder.log, await _history(code))
        return PlainTextResponse(proofs, headers={"content-disposition": f'attachment; filename="{code}.tlog-proof"'})

    @router.get("/log/checkpoint")
    async def checkpoint(_: Auditor) -> Response:
        """The newest signed checkpoint (C2SP tlog-checkpoint). Raises NothingSigned, LogDamaged."""
        head = await asyncio.to_thread(read_head, folder.log)
        if head is None:
            raise NothingSigned
        return PlainTextResponse(str(head[1]))

    async def _history(code: str) -> list[Stored]:
        messages = await journal.messages(case_subject(office_of(code).code, case_id(code)))
        if not messages:
            raise InvalidReceipt
        return messages

    return router
