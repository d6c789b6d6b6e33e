"""Traces (OpenTelemetry): one from a request over HTTP through the writer and its append to the views.

Off, and nothing of it loaded, unless the environment names a collector. A trace begins where HTTP asks, or with whoever
sends a command with a `traceparent`; what belongs to none costs nothing and is not told. Spans have names and codes of
ours: never a receipt, a case, a name or a NIK, nor the text of an error, which may hold them.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from threading import Thread
from typing import TYPE_CHECKING, Any, ClassVar

import structlog

from events.problem import Problem

if TYPE_CHECKING:
    from fastapi.telemetry import TelemetryConfig
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext, Tracer

    from infra.journal import Stored

log = structlog.get_logger()

VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_CARRIED = "traceparent"  # W3C Trace Context; `tracestate` and `baggage` may say anything, and go no further than HTTP
_LINKS_MAX = 128  # as many as the SDK keeps of a span
_STOP_S_MAX = 1.0
_NO_SPAN = nullcontext(None)
_TOLD_OF_HTTP = {"http.request.method", "url.scheme", "network.protocol.version"}
_HEALTH = {"/livez", "/readyz", "/metrics"}

_provider: "TracerProvider | None" = None


@dataclass(eq=False)
class TracingNotInstalled(Problem):
    """Traces are asked for, and what sends them is not there; nothing was started."""

    variable: str = VARIABLE
    code: ClassVar[str] = "tracing_not_installed"
    sentence_id: ClassVar[str] = (
        'Untuk {variable} diperlukan: pip install "ektp-backbone[tracing]". Tidak ada yang dijalankan. '
        "Pasang, atau hapus variabel itu."
    )
    sentence_en: ClassVar[str] = (
        '{variable} needs: pip install "ektp-backbone[tracing]". Nothing was started. Install it, or unset the variable.'
    )


def require_installed() -> None:
    """Raises TracingNotInstalled where traces are asked for in vain."""
    if os.environ.get(VARIABLE):
        try:
            version("opentelemetry-exporter-otlp-proto-http")
        except PackageNotFoundError:
            raise TracingNotInstalled from None


def start(part: str) -> None:
    """Have this process send its traces as the service `ektp-<part>`, if the environment asks for it."""
    global _provider  # noqa: PLW0603 (one a process, as its environment is)
    if not os.environ.get(VARIABLE):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import Span, SpanProcessor, TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    class WithoutAddress(SpanProcessor):
        """FastAPI tells path and query, and receipts stand in both."""

        def on_start(self, span: Span, parent_context: object = None) -> None:
            for name in (span.attributes or {}).keys() - _TOLD_OF_HTTP if span.kind.name == "SERVER" else ():
                span.set_attribute(name, "REDACTED")

    about = {"service.name": f"ektp-{part}", "service.version": version("ektp-backbone")}
    _provider = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
    _provider.add_span_processor(WithoutAddress())
    _provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    told = logging.getLogger("opentelemetry")
    told.setLevel(logging.ERROR)
    told.propagate = False
    told.addHandler(_Told())


class _Told(logging.Handler):
    """A collector that is away is told in our log; nobody waits for it."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("traces not sent", why=record.getMessage())


def stop() -> None:
    """Send what is left, for a second at most."""
    if _provider:
        sending = Thread(target=_provider.shutdown, daemon=True)
        sending.start()
        sending.join(_STOP_S_MAX)


def of_http() -> "TelemetryConfig":
    """FastAPI's own telemetry, of which we take the span of each request that is not a look at our health."""
    return {
        "auto_configure": False,
        "metrics": False,
        "logs": False,  # with the text of exceptions
        "operation_spans": False,
        "tracing": _provider is not None,
        "tracer_provider": _provider,
        "exclude": lambda asked: asked["path"] in _HEALTH,
    }


def span(operation: str, destination: str, carried: Mapping[str, str] | None = None) -> AbstractContextManager[Any]:
    """A span below the one that a message's headers carry, or (None) the current one; no span where there is none above.

    `destination` is a template or a stream of ours. (FastStream's middleware would tell how long a request takes to be
    taken, and the subject it came on.)
    """
    if _provider is None:
        return _NO_SPAN
    context = None if carried is None else _extracted(carried)
    return _started(operation, destination, context=context) if _above(context).is_valid else _NO_SPAN


def batch(destination: str, messages: "Sequence[Stored]") -> AbstractContextManager[Any]:
    """A span for working on these messages, linked with the spans that their headers carry; none where none does."""
    if _provider is None:
        return _NO_SPAN
    told = (stored.headers for stored in messages)
    carried = {headers[_CARRIED]: headers for headers in told if headers and _CARRIED in headers}
    found = [_above(_extracted(headers)) for headers in list(carried.values())[-_LINKS_MAX:]]
    if not any(one.is_valid for one in found):
        return _NO_SPAN
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace import Link  # noqa: PLC0415

    links = [Link(one) for one in found if one.is_valid]
    return _started("process", destination, len(messages), context=Context(), links=links)


def headers(only_sampled: bool = False) -> dict[str, str]:
    """What carries the current span to who reads a message; empty where there is none."""
    if _provider is None or not (current := _above(None)).is_valid or (only_sampled and not current.trace_flags.sampled):
        return {}
    return {_CARRIED: f"00-{current.trace_id:032x}-{current.span_id:016x}-{current.trace_flags:02x}"}


def trace_id() -> str:
    """32 hex digits; "" where there is no trace."""
    return headers().get(_CARRIED, "")[3:35]


def _above(context: "Context | None") -> "SpanContext":
    from opentelemetry.trace import get_current_span  # noqa: PLC0415

    return get_current_span(context).get_span_context()


def _extracted(carried: Mapping[str, str]) -> "Context":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({_CARRIED: carried.get(_CARRIED, "")})


def _started(operation: str, destination: str, count: int = 0, **more: Any) -> AbstractContextManager[Any]:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    working = operation == "process"
    attributes: dict[str, str | int] = {
        "messaging.system": "nats",
        "messaging.operation.name": operation,
        "messaging.operation.type": "process" if working else "send",
        "messaging.destination.name": destination,
        **({"messaging.batch.message_count": count} if count else {}),
    }
    return _tracer().start_as_current_span(
        f"{operation} {destination}",
        kind=SpanKind.CONSUMER if working else SpanKind.PRODUCER,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
        **more,
    )


@cache
def _tracer() -> "Tracer":
    assert _provider is not None
    return _provider.get_tracer("ektp")
