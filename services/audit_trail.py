"""What is done to the journal becomes audit facts in it: what the guard noted, and what the server tells of its own API.

The server's advisories come once, to whoever listens; so each is noted on disk first, and recorded from there.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson
import structlog
from nats.aio.msg import Msg

from events.audit import TRAIL, AdministrativeCall
from events.envelope import Event, subject
from events.offices import BACKBONE_ID
from events.problem import Problem
from infra.audit_notes import Note, drop, leave, notes
from infra.data_folder import DataFolder
from infra.group_commit import Change
from infra.journal import STREAM
from infra.nats_client import QuickClient
from services.case_store import CaseStore

log = structlog.get_logger()

ADVISORIES = "$JS.EVENT.ADVISORY.API"  # nats-server 2.15.1: every call but direct gets, in the account of who called
_CHANGING = {f"STREAM.{call}" for call in ("CREATE", "UPDATE", "DELETE", "PURGE", "RESTORE", "MSG.DELETE")}
_LOOK_S = 30.0  # how often it is looked for notes of the guard, which also works while the writer lives on
_SUBJECT = subject(BACKBONE_ID, "audit", TRAIL)


async def record_notes(folder: DataFolder, store: CaseStore) -> None:
    """Append what was noted, oldest first. What cannot be appended now stays noted. Raises OSError."""
    noted = await asyncio.to_thread(notes, folder)
    if not noted:
        return
    try:
        history = await store.journal.load(_SUBJECT)
        stored, seq = {event.id for event in history}, history[-1].seq if history else 0
        for note in noted:
            if note.id not in stored:
                event = Event(note.id, BACKBONE_ID, TRAIL, len(stored) + 1, note.noticed, note.fact)
                (seq,) = await store.append(Change(_SUBJECT, seq, store.bodies([event], "")))
                stored.add(note.id)
            await asyncio.to_thread(drop, folder, note)
    except Problem as problem:
        log.warning("audit facts wait", count=len(noted), why=str(problem))


async def follow_calls(folder: DataFolder, store: CaseStore, connection: QuickClient) -> None:
    """Note and record what is asked of the journal's stream, and what the guard notes meanwhile, until cancelled.

    Once the stream was deleted, nothing of this is recorded until the backbone starts again, and the guard has looked: in
    a stream that took its place it would get a position that another event has.
    """
    noted, deleted = asyncio.Event(), False

    async def heard(message: Msg) -> None:
        nonlocal deleted
        advisory = orjson.loads(message.data)
        if call := administrative_call(advisory):
            deleted = deleted or (call.call, call.outcome) == ("STREAM.DELETE", "done")
            log.warning("someone asked to change the journal", **call.model_dump(exclude_none=True))
            event_id = blake2b(advisory["id"].encode(), digest_size=16).hexdigest()
            try:
                await asyncio.to_thread(leave, folder, Note(event_id, datetime.fromisoformat(advisory["timestamp"]), call))
            except OSError:
                log.exception("it could not be noted")
            noted.set()

    await connection.subscribe(ADVISORIES, cb=heard)
    while True:
        try:
            async with asyncio.timeout(_LOOK_S):
                await noted.wait()
        except TimeoutError:
            pass
        noted.clear()
        if not deleted:
            await record_notes(folder, store)


def administrative_call(advisory: Mapping[str, Any]) -> AdministrativeCall | None:
    """The call that an advisory tells of, where it changes the journal's stream."""
    call, _, stream = advisory["subject"].removeprefix("$JS.API.").rpartition(".")
    if stream != STREAM or call not in _CHANGING:
        return None
    account, user = (advisory["client"].get(what, "") for what in ("acc", "user"))
    if call == "STREAM.CREATE" and user == "writer":
        return None  # every start asks so; the server answers `did_create` also where it was there
    error = orjson.loads(advisory["response"]).get("error")
    return AdministrativeCall(
        call=call,
        stream=stream,
        account=account,
        user=user,
        outcome=f"{error['err_code']} {error['description']}" if error else "done",
    )
