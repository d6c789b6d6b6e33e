"""HTTP on loopback: liveness, readiness and metrics. Pages and the API are added by their own files."""

import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from typing import Any

import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest

from events.problem import Problem
from infra import tracing
from infra.metrics import REGISTRY
from services.questions import LAG_EVENTS_MAX

JOURNAL_HEAD = Gauge("ektp_journal_head", "Position of the journal's last event.", registry=REGISTRY)
LAG = Gauge("ektp_projection_lag_events", "How far the views are behind the journal's head.", registry=REGISTRY)
_STOP_S_MAX = 1  # at the end: who waits for events would hold up the signing of the log


def http_app(
    lag: Callable[[], Awaitable[dict[str, Any]]],
    writer_metrics: Callable[[], Awaitable[bytes]],
    require_room: Callable[[], None],
    require_storing: Callable[[], Awaitable[None]],
) -> FastAPI:
    """`lag` as Questions.lag; `writer_metrics` in the Prometheus text format. Both raise when their part is away.

    `require_room` raises why nothing can be recorded on this disk, `require_storing` why the server stores nothing.
    """
    release, telemetry = version("ektp-backbone"), tracing.of_http()
    app = FastAPI(title="e-KTP backbone", docs_url=None, redoc_url=None, version=release, telemetry=telemetry)

    @app.get("/livez")
    async def livez() -> dict[str, bool]:
        """The process runs."""
        return {"ok": True}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        """Journal and writer answer, there is room, the server stores, and the views are near the journal's head."""
        reasons = []
        try:
            known = await lag()
            if known["stopped_by"]:
                reasons.append(known["stopped_by"]["message_en"])
            if known["lag_events"] > LAG_EVENTS_MAX:
                reasons.append(f"the views lag {known['lag_events']} events behind")
        except Exception as error:
            reasons.append(f"journal: {error or type(error).__name__}")
        try:
            await writer_metrics()
        except Exception as error:
            reasons.append(f"writer: {error or type(error).__name__}")
        try:
            require_room()
        except Problem as problem:
            reasons.append(problem.message("en"))
        try:
            await require_storing()
        except Exception as error:
            reasons.append(f"storage: {error or type(error).__name__}")
        return JSONResponse({"ok": not reasons, "reasons": reasons}, status_code=503 if reasons else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Prometheus text: this process, and the writer where it answers."""
        with suppress(Exception):  # the journal is away: what is known of it is left out
            known = await lag()
            JOURNAL_HEAD.set(known["head"])
            LAG.set(known["lag_events"])
        text = generate_latest(REGISTRY)
        try:
            text += await writer_metrics()
        except Exception:  # whatever it is: the reader's own figures are told all the same
            text += b"# the writer does not answer\n"
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    return app


class HttpServer(uvicorn.Server):
    """Uvicorn inside the reader, which has its own signal handling."""

    def __init__(self, app: FastAPI, listening: socket.socket) -> None:
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=_STOP_S_MAX))
        self._listening = listening

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None are captured."""
        yield

    async def run(self) -> None:  # type: ignore[override]
        """Serve until `should_exit` is set."""
        await self.serve([self._listening])
