"""The writer: the one process that appends to a journal. `python -m services.part writer DIR URL [--sla-clock]`."""

import asyncio
import signal
from collections.abc import Coroutine
from datetime import datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nats.errors
import orjson
from prometheus_client import Gauge, Info

from events.calendar import CALENDAR_V1
from events.offices import BACKBONE_ID
from infra import tracing
from infra.data_folder import free_bytes, open_folder
from infra.group_commit import GroupCommit
from infra.guard.halt import require_recordable
from infra.journal import Journal
from infra.keystore import Keystore
from infra.logs import configure_logs
from infra.metrics import REGISTRY
from infra.nats_broker import broker
from infra.nats_client import QuickClient
from infra.nats_configuration import batch_directories
from infra.nats_connection import connect, end, to_the_end
from services.answering import Answering, Answers
from services.audit_trail import follow_calls, record_notes
from services.case_store import CaseStore
from services.command_handler import CommandHandler
from services.command_service import serve_commands, serve_erasure, serve_office_commands
from services.erasure_handler import ErasureHandler, finish_erasures
from services.office_handler import OfficeHandler
from services.register.importer import Importer
from services.rules_in_force import RulesInForce, stored_rulebook
from services.sla_clock import Due, SlaClock
from services.wire import PROBLEM_HEADER

DISK_FREE = Gauge("ektp_disk_free_bytes", "What may still be written to the data folder's disk.", registry=REGISTRY)
BATCH_DIRECTORIES = Gauge(
    "ektp_batch_directories", "Atomic batches in the server's store, left-over ones included.", registry=REGISTRY
)
BUILD = Info("ektp_build", "Which version runs.", registry=REGISTRY)


async def serve(data: Path, url: str, with_sla_clock: bool) -> None:
    """Answer commands until SIGTERM; then finish what is under way and end."""
    folder = open_folder(data)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = await connect(folder, "writer", url)
    journal = Journal(connection)
    DISK_FREE.set_function(lambda: free_bytes(folder))
    BATCH_DIRECTORIES.set_function(lambda: batch_directories(folder))
    BUILD.info({"version": version("ektp-backbone")})
    keystore = Keystore(folder.keys / "keystore.sqlite", folder.secret())
    async with GroupCommit(journal, may_append=partial(require_recordable, folder)) as commits:
        store = CaseStore(journal, commits, keystore, folder.path / "run")
        rules = RulesInForce(await stored_rulebook(journal))
        await finish_erasures(store)
        await record_notes(folder, store)
        answers = Answers()
        service = broker(folder, "writer", url, middlewares=[Answering])
        handler = CommandHandler(store, folder.secret(), rules, _now)
        serve_commands(service, handler, Importer(store, folder.secret(), rules, _now), answers)
        serve_office_commands(service, OfficeHandler(store, folder.secret(), rules, _now), answers)
        serve_erasure(service, ErasureHandler(store, folder.secret(), _now), answers)
        await service.start()
        trail = asyncio.create_task(follow_calls(folder, store, connection))
        clock = (
            asyncio.create_task(SlaClock(store, rules, _now, partial(_due, connection)).run()) if with_sla_clock else None
        )
        await stop.wait()
        await end(*(task for task in (trail, clock) if task))
        await answers.finish()
        await service.stop()
    keystore.close()
    await connection.close()
    tracing.stop()


async def _due(connection: QuickClient, now: datetime) -> tuple[list[Due], datetime | None]:
    """Whom the SLA clock must look at, by the reader's due table. Raises TimeoutError while no reader can tell."""
    try:
        reply = await connection.request(f"ask.ektp.{BACKBONE_ID}.due", orjson.dumps({"now": now}), timeout=5)
    except nats.errors.Error:
        raise TimeoutError from None
    if reply.headers and PROBLEM_HEADER in reply.headers:
        raise TimeoutError
    answer = orjson.loads(reply.data)
    then = answer["next"] and datetime.fromisoformat(answer["next"])
    return [(office, case) for office, case in answer["cases"]], then


def _now() -> datetime:
    return datetime.now(CALENDAR_V1.zone)


def part(data: str, url: str, *options: str) -> Coroutine[Any, Any, None]:
    """What `services.part` runs."""
    configure_logs()
    tracing.start("writer")
    return to_the_end(serve(Path(data), url, "--sla-clock" in options))
