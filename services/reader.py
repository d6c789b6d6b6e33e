"""The reader: runs the views, answers questions, serves HTTP. `python -m services.part reader DIR URL [HTTP_FD]`."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from events.offices import BACKBONE_ID
from infra import tracing
from infra.data_folder import open_folder, require_room
from infra.database import open_database
from infra.journal import Journal
from infra.keystore import Keystore
from infra.logs import configure_logs
from infra.nats_broker import broker
from infra.nats_connection import connect, end, to_the_end
from projections import coverage, sla, status
from projections.audit_log import AuditLog
from projections.feed import Feed
from projections.runner import Runner
from projections.views import Views
from services.answering import Answering, Answers
from services.maintenance import Maintenance, serve_maintenance
from services.question_service import Questions, serve_questions
from services.scrub import Scrub
from services.witness_client import keep_cosigned

log = structlog.get_logger()
_NICE = 10  # a view may be a moment late; the writer may not
_ARCHIVE_S_MAX = 6.0  # at the end; what is not archived then is at the next start
VIEWS = (status, coverage, sla)


async def serve(data: Path, url: str, serve_http: Callable[..., Coroutine[Any, Any, None]] | None) -> None:
    """Follow the journal and answer until SIGTERM; then finish what is under way and end."""
    os.nice(_NICE)
    folder = open_folder(data)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    connection = await connect(folder, "reader", url)
    journal = Journal(connection)
    engine = open_database(folder.views / "views.sqlite")
    runner = Runner(journal, engine, Views(engine, VIEWS))
    following = asyncio.create_task(runner.run())

    def ended(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()):  # a mistake of ours: `up` starts the reader again
            log.error("a part of the reader died", why=type(error).__name__)
            stop.set()

    following.add_done_callback(ended)
    audit_log = AuditLog(journal, folder)
    archiving = asyncio.create_task(audit_log.run())
    archiving.add_done_callback(ended)
    feed = Feed(journal, partial(require_room, folder))
    telling = asyncio.create_task(feed.run())
    keystore = Keystore(folder.keys / "keystore.sqlite", folder.secret())
    questions = Questions(journal, engine, runner, keystore, folder.secret())
    answers = Answers()
    service = broker(folder, "reader", url, middlewares=[Answering])
    serve_questions(service, questions, answers)
    maintenance = Maintenance(journal, engine, runner, VIEWS)
    serve_maintenance(service, maintenance, answers)
    scrub = Scrub(journal, folder, audit_log)
    answers.serve(service, f"ask.ektp.{BACKBONE_ID}.scrub", scrub.scrub)
    scrubbing = asyncio.create_task(scrub.run())
    await service.start()
    cosigning = asyncio.create_task(keep_cosigned(folder))
    if serve_http:
        serving = asyncio.create_task(serve_http(stop, folder, journal, engine, questions, keystore, feed))
        serving.add_done_callback(ended)
    await stop.wait()
    if serve_http:
        await asyncio.wait([serving])
    await answers.finish()
    await service.stop()
    await maintenance.stop()
    await audit_log.finish(_ARCHIVE_S_MAX)
    await end(following, cosigning, telling, archiving, scrubbing)
    keystore.close()
    engine.dispose()
    await connection.close()
    tracing.stop()


def part(data: str, url: str, http_fd: str = "") -> Coroutine[Any, Any, None]:
    """What `services.part` runs; `http_fd` is of a listening socket."""
    configure_logs()
    tracing.start("reader")
    if not http_fd:
        return to_the_end(serve(Path(data), url, None))
    from services.serving import serve_http  # noqa: PLC0415 (0.4 s of imports that only --http needs)

    return to_the_end(serve(Path(data), url, partial(serve_http, socket.socket(fileno=int(http_fd)))))
