"""What the reader serves over HTTP, put together. (Apart from the reader, as it loads slowly and only --http needs it.)"""

import asyncio
import socket
from functools import partial
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI

from events.offices import BACKBONE_ID
from infra.canary import require_storing
from infra.data_folder import DataFolder
from infra.guard.halt import require_recordable
from infra.journal import Journal
from infra.keystore import Keystore
from infra.nats_connection import end
from projections.feed import Feed
from services import asyncapi
from services.api.app import add_api
from services.desk import Desk
from services.http import HttpServer, http_app
from services.question_service import Questions
from services.web.live import Live
from services.web.pages import add_pages
from services.witness import witness_router


def whole_app(
    folder: DataFolder,
    journal: Journal,
    engine: sa.Engine,
    questions: Questions,
    keystore: Keystore,
    feed: Feed,
    desk: Desk,
    live: Live,
) -> FastAPI:
    """Everything that is served; questions are answered here, commands go by `desk`. `live` must run."""

    async def lag() -> dict[str, Any]:
        known = await questions.lag()
        feed.tell_lag(known["head"])
        return known

    async def writer_metrics() -> bytes:
        reply = await journal.connection.request(f"cmd.ektp.{BACKBONE_ID}.metrics", timeout=2)
        return bytes(reply.data)

    app = http_app(lag, writer_metrics, partial(require_recordable, folder), partial(require_storing, journal.connection))
    add_api(app, folder, desk, questions, journal, keystore, lambda: feed.position)
    add_pages(app, folder, journal, engine, questions, live)
    app.include_router(witness_router(folder))
    app.add_api_route("/asyncapi.json", asyncapi.document, methods=["GET"], include_in_schema=False)
    return app


async def serve_http(
    listening: socket.socket,
    stop: asyncio.Event,
    folder: DataFolder,
    journal: Journal,
    engine: sa.Engine,
    questions: Questions,
    keystore: Keystore,
    feed: Feed,
) -> None:
    """Serve until `stop`, and what is under way then for a second more."""
    desk, live = Desk(folder), Live(questions.lag)
    app = whole_app(folder, journal, engine, questions, keystore, feed, desk, live)
    server = HttpServer(app, listening)
    serving, looking = asyncio.create_task(server.run()), asyncio.create_task(live.run())
    await stop.wait()
    live.stop()
    await end(looking)
    server.should_exit = True
    await serving
    await desk.close()
