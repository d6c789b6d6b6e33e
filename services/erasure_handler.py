"""The way of one erasure: load, decide, append the order, and only then destroy the key. A crash between the two is made up
for when the writer starts again, and by asking again."""

from collections.abc import Callable
from datetime import datetime
from functools import reduce
from typing import Any

import structlog

from events.envelope import Event, case_subject, erasure_subject, resident_subject
from events.erasure import ErasureOrdered
from events.receipt import InvalidReceipt, case_id, command_id, event_id, keyed_hash, office_of, parse_receipt
from infra.journal_errors import Conflict
from infra.keystore import ErasureUnfinished
from services.case_store import CaseStore
from services.erasure import Erase, Request, State, decide, evolve

log = structlog.get_logger()
_ATTEMPTS_MAX = 8


class ErasureHandler:
    """Many may be asked at once, also for the same person."""

    def __init__(self, store: CaseStore, secret: bytes, now: Callable[[], datetime]) -> None:
        self._store, self._secret, self._now = store, secret, now

    async def erase(self, command: Erase, key: str, correlation: str = "") -> dict[str, Any]:
        """Erase the person behind a receipt; who is erased already is answered the same again, and nothing is added.

        Raises InvalidReceipt, the refusals of services.erasure, ErasureUnfinished, and the journal's errors.
        """
        receipt = parse_receipt(command.receipt)
        case = await self._store.case(case_subject(office_of(receipt).code, case_id(receipt)))
        if not case.last_seq:
            raise InvalidReceipt
        causation = command_id(self._secret, command.command, receipt, key)
        digest = keyed_hash(self._secret, "digest", command.model_dump_json(), size=12).hex()
        request = Request(event_id(causation, 0), digest, command, causation, correlation)
        order = await self._order(request, case.state.resident)
        self._store.erase(case.state.resident)
        assert isinstance(order.fact, ErasureOrdered)
        return {"receipt": receipt, "erased": order.occurred, "cases": order.fact.cases, "seq": order.seq}

    async def _order(self, request: Request, resident: str) -> Event:
        """The order to erase this resident, of now or before."""
        for _ in range(_ATTEMPTS_MAX - 1):
            try:
                return await self._attempt(request, resident)
            except Conflict:  # another case was claimed a moment ago, or another asked for the same
                self._store.forget(resident_subject(resident))
        return await self._attempt(request, resident)

    async def _attempt(self, request: Request, resident: str) -> Event:
        history = await self._store.journal.load(erasure_subject(resident))
        state = reduce(evolve, history, State())
        if history:
            decide(request, state, resident, (), self._now())
            return history[0]
        claims = await self._store.claims(resident)
        cases = [(await self._store.case(claimed)).state for claimed in claims.cases]
        order, closed = decide(request, state, resident, cases, self._now())
        seq, _ = await self._store.append(
            self._store.change(order.subject, 0, [order], resident),
            self._store.change(closed.subject, claims.last_seq, [closed], resident),
        )
        return order._replace(seq=seq)


async def finish_erasures(store: CaseStore) -> None:
    """Destroy the keys that an earlier life of the writer was to destroy. Destroying what is gone costs next to nothing.

    Raises JournalBusy.
    """
    ordered = (await store.journal.info(erasure_subject("*")))["state"].get("subjects") or {}
    for subject in ordered:
        try:
            store.erase(subject.rpartition(".")[2])
        except ErasureUnfinished:  # the key is gone from its table; the next erasure or start overwrites the rest
            log.warning("erasure unfinished: the keystore is being read")
