"""Traces: one command is followed from HTTP through the writer and its append to views and feed, and names nobody."""

import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from infra import tracing
from infra.data_folder import open_folder
from infra.journal import Stored
from services.backbone import Backbone
from tests.command import PERSONAL, Up, ektp, eventually, history, running_on, start_up
from tests.over_http import Asker, application, tokens_for

APPEND, VIEWS, FEED = "append ektp.journal", "process ektp.views", "process ektp.feed"
HTTP, WRITER = "POST /api/cases", "process cmd.ektp.{place}.submit"


class Collector:
    """An OTLP/HTTP collector: every byte that came, and the spans in them by service and name."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

        class Take(BaseHTTPRequestHandler):
            def do_POST(taken) -> None:  # noqa: N805
                assert taken.path == "/v1/traces"
                self.bodies.append(taken.rfile.read(int(taken.headers["content-length"])))
                taken.send_response(200)
                taken.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Take)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def spans(self) -> list[tuple[str, Span]]:
        """(service, span) of all that came."""
        resources = [each for body in self.bodies for each in ExportTraceServiceRequest.FromString(body).resource_spans]
        return [
            (next(a.value.string_value for a in each.resource.attributes if a.key == "service.name"), span)
            for each in resources
            for scope in each.scope_spans
            for span in scope.spans
        ]

    def of(self, trace: str) -> dict[str, tuple[str, Span]]:
        """By name: the (service, span)s that belong to a trace or are linked with it."""
        return {
            span.name: (service, span)
            for service, span in self.spans()
            if trace in {span.trace_id.hex(), *(link.trace_id.hex() for link in span.links)}
        }


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.server.shutdown()


@pytest.fixture(scope="module")
def up(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Asker]]:
    data = tmp_path_factory.mktemp("traced") / "data"
    tokens = tokens_for(data)
    up = start_up(data, "--http", 0, **{tracing.VARIABLE: collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"})
    yield up, Asker(up.http, tokens["desk"])
    up.stop()


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """The spans of this process."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_provider", provider)
    tracing._tracer.cache_clear()
    yield exporter
    tracing._tracer.cache_clear()


def traceparent(trace: str, sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{secrets.token_hex(8)}-{'01' if sampled else '00'}"}


def journal(up: Up) -> bytes:
    """All that nats-server has written of messages."""
    return b"".join(file.read_bytes() for file in (up.data / "nats").rglob("*.blk"))


def test_a_command_is_followed_from_http_to_the_views_under_one_id(up: tuple[Up, Asker], collector: Collector) -> None:
    running, desk = up
    trace = secrets.token_hex(16)
    carried = traceparent(trace)
    answer = desk.ask("POST", "/api/cases", headers=carried, json=application())
    assert answer.status_code == 201
    found = eventually(lambda: (of := collector.of(trace)).keys() >= {HTTP, WRITER, APPEND, VIEWS, FEED} and of)

    assert {name: service for name, (service, _) in found.items()} == {
        **dict.fromkeys((HTTP, VIEWS, FEED), "ektp-reader"),
        **dict.fromkeys((WRITER, APPEND), "ektp-writer"),
    }
    (_, http), (_, writer), (_, append) = found[HTTP], found[WRITER], found[APPEND]
    assert http.parent_span_id.hex() == carried["traceparent"].split("-")[2]
    assert (writer.parent_span_id, append.parent_span_id) == (http.span_id, writer.span_id)
    for _, batch in (found[VIEWS], found[FEED]):
        assert batch.trace_id.hex() != trace
        assert append.span_id in [link.span_id for link in batch.links]
    assert {event.correlation for event in history(running.data) if event.entity_id == answer.json()["case"]} == {trace}


def test_a_refusal_is_told_by_its_code(up: tuple[Up, Asker], collector: Collector) -> None:
    _, desk = up
    body, trace = application(), secrets.token_hex(16)
    assert desk.post("/api/cases", body).status_code == 201
    assert desk.ask("POST", "/api/cases", headers=traceparent(trace), json=body).status_code == 409
    _, span = eventually(lambda: collector.of(trace)[WRITER])
    assert {"case_open"} == {each.value.string_value for each in span.attributes if each.key == "error.type"}


def test_no_receipt_case_name_or_nik_is_ever_sent(up: tuple[Up, Asker], collector: Collector) -> None:
    running, desk = up
    made, trace = application(), secrets.token_hex(16)
    answer = desk.post("/api/cases", made).json()
    desk.get(f"/?receipt={answer['receipt']}&nik={made['nik']}")
    desk.get(f"/api/cases/{answer['receipt']}")
    assert desk.ask("POST", "/api/cases", headers=traceparent(trace), json=made).status_code == 409  # says which is open
    desk.ask("POST", f"/api/cases/{answer['receipt']}/record", headers=traceparent(trace) | {"tracestate": "a=Ratna"})
    name = "POST /api/cases/{receipt}/record"
    eventually(lambda: collector.of(trace).keys() >= {WRITER, name, VIEWS})
    sent = b"".join(collector.bodies)
    secret = {*PERSONAL, answer["receipt"], answer["case"]}
    assert [word for word in secret if word.encode() in sent] == []
    stored = journal(running)
    assert f"traceparent: 00-{trace}".encode() in stored
    assert b"a=Ratna" not in stored


def test_what_nobody_follows_is_neither_told_nor_noted_in_the_journal(up: tuple[Up, Asker], collector: Collector) -> None:
    running, desk = up
    trace, last = secrets.token_hex(16), secrets.token_hex(16)
    httpx.get(f"{running.http}/livez", headers=traceparent(trace))
    assert ektp(running.data, "outage", "begin", "--office", "367203", "--cause", "power").code == 0
    assert desk.ask("POST", "/api/cases", headers=traceparent(trace, sampled=False), json=application()).status_code == 201
    assert desk.ask("POST", "/api/cases", headers=traceparent(last), json=application()).status_code == 201
    eventually(lambda: collector.of(last).keys() >= {HTTP, WRITER, APPEND, VIEWS, FEED})
    assert collector.of(trace) == {}
    assert f"traceparent: 00-{trace}".encode() not in journal(running)
    assert not [span for _, span in collector.spans() if "livez" in span.name or "outage" in span.name]


def test_a_collector_that_is_away_is_told_in_the_log_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    data = tmp_path / "data"
    tokens = tokens_for(data)
    away = {tracing.VARIABLE: "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "100"}
    up = start_up(data, "--http", 0, **away)
    desk = Asker(up.http, tokens["desk"])
    assert desk.ask("POST", "/api/cases", headers=traceparent("a" * 32), json=application()).status_code == 201
    assert eventually(lambda: "traces not sent" in (data / "run" / "writer.log").read_text())
    up.stop()


def test_a_batch_is_linked_with_each_span_that_it_comes_from_once_and_with_the_newest_of_many(
    told: InMemorySpanExporter,
) -> None:
    nobody = [Stored(1, "ektp.a.b.c", b"", headers) for headers in (None, {}, {"traceparent": "no"})]
    carried = [traceparent(f"{number:032x}") for number in range(1, 301)]
    each_twice = [Stored(2, "ektp.a.b.c", b"", headers) for headers in carried for _ in range(2)]
    with tracing.batch("ektp.views", [*nobody, *each_twice]):
        pass
    (span,) = told.get_finished_spans()
    assert [link.context.trace_id for link in span.links] == list(range(173, 301))
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 603
    with tracing.batch("ektp.views", nobody) as none, tracing.batch("ektp.views", []) as neither:
        assert (none, neither) == (None, None)


async def test_who_asks_for_traces_without_what_sends_them_is_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(tracing, "version", missing)
    async with Backbone(open_folder(tmp_path / "data")):  # nobody asks
        pass
    monkeypatch.setenv(tracing.VARIABLE, "http://127.0.0.1:9")
    with pytest.raises(tracing.TracingNotInstalled, match="Nothing was started"):
        await Backbone(open_folder(tmp_path / "data")).__aenter__()
    assert running_on(tmp_path / "data") == []


@pytest.mark.parametrize("part", ["writer", "reader"])
def test_without_a_collector_nothing_of_it_is_loaded(part: str) -> None:
    loaded = f"""
import sys
import services.{part}
from infra import tracing
tracing.start("{part}")
with tracing.span("append", "x", {{"traceparent": "00-{"1" * 32}-{"1" * 16}-01"}}), tracing.batch("x", []):
    print(tracing.headers(), "opentelemetry.trace" in sys.modules)
import services.serving  # FastAPI itself loads the API
print("opentelemetry.sdk" in sys.modules)
"""
    said = subprocess.run([sys.executable, "-c", loaded], check=True, capture_output=True, text=True).stdout
    assert said.splitlines() == ["{} False", "False"]
