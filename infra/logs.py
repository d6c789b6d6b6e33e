"""Logs of the services: one JSON document per line on stderr, never a name, a NIK or a receipt."""

import logging
import sys

import structlog


def configure_logs() -> None:
    """For the processes of a backbone. Commands of a person say what they have to say themselves."""
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.add_log_level,
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
