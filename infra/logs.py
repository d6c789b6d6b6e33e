"""Logs of the services: one JSON document per line on stderr, never a name, a NIK or a receipt."""

import logging
import sys
from contextlib import suppress

import structlog
from structlog.tracebacks import ExceptionDictTransformer


class _Log(structlog.PrintLogger):
    """To stderr. Where that is a file on a full disk, the line is lost, and not the answer to a request."""

    def msg(self, message: str) -> None:
        with suppress(OSError):
            super().msg(message)

    info = warning = error = critical = exception = msg


def configure_logs() -> None:
    """For the processes of a backbone. Commands of a person say what they have to say themselves."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level,
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),  # they hold names and NIKs
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=lambda *_: _Log(sys.stderr),
    )
