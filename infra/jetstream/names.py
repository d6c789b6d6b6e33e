"""How an event of `eventsourcing` stands on NATS: stream `ES_<APPLICATION>`, subject
`es.<application>.<purpose>.<originator>.<version>`, topic in a header, state as it comes.

Whatever would end or widen a subject's token is written as %XX (RFC 3986, 2.1): a UUID and nearly every other name stand
there as they are, and can be read back.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from eventsourcing.persistence import Notification

from infra.journal import STREAM_CONFIG, Stored

TOPIC = "Es-Topic"
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_unquote = lru_cache(maxsize=10_000)(unquote)


def _token(text: str) -> str:
    """Letters, digits, `_`, `-` and `~` as they are, every other byte of the UTF-8 as %XX."""
    return quote(text, safe="").replace(".", "%2E")


def _application(name: str) -> str:
    """As in the library's own modules, names that differ by case are one, and no name is `stored`."""
    return _token(name.lower() or "stored")


def prefix(application: str, purpose: str) -> str:
    """What the subjects of an application's events or snapshots begin with."""
    return f"es.{_application(application)}.{_token(purpose)}"


def stream_config(application: str, purpose: str) -> Mapping[str, Any]:
    """`ES_<APPLICATION>` holds the events; every other purpose has a stream, and so positions, of its own."""
    name = _application(application) if purpose == "events" else f"{_application(application)}={_token(purpose)}"
    return {**STREAM_CONFIG, "name": f"ES_{name.upper()}", "subjects": [f"{prefix(application, purpose)}.*.*"]}


def originator_token(originator_id: UUID | str) -> str:
    """A UUID as it is usually written; another id as a token that is never taken for a UUID."""
    if isinstance(originator_id, UUID):
        return str(originator_id)
    text = _token(originator_id)
    return f"%{ord(text[0]):02X}{text[1:]}" if _UUID.fullmatch(text) else text


@lru_cache(maxsize=10_000)
def _originator_id(token: str) -> UUID | str:
    return UUID(token) if _UUID.fullmatch(token) else unquote(token)


@lru_cache(maxsize=10_000)
def quoted_topic(text: str) -> str:
    """As a header's value."""
    return quote(text, safe=":<>[],")


def topic(stored: Stored) -> str:
    """The topic of a stored event."""
    return _unquote((stored.headers or {})[TOPIC])


def version(stored: Stored) -> int:
    """The originator's version at a stored event."""
    return int(stored.subject.rpartition(".")[2])


def notification(stored: Stored) -> Notification:
    """A stored event as the library wants it, with its position."""
    *_, originator, version_ = stored.subject.split(".")
    return Notification(_originator_id(originator), int(version_), topic(stored), stored.body, stored.seq)
