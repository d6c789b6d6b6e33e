"""Whether the server can store anything now: a durable message into a stream of one message, of its own."""

import asyncio
from typing import Any, Final

import orjson

from infra.journal import Journal, raise_error
from infra.nats_client import QuickClient

SUBJECT: Final = "canary.ektp"
STREAM_CONFIG: Final[dict[str, Any]] = {
    "name": "EKTP_CANARY",
    "subjects": [SUBJECT],
    "storage": "file",
    "retention": "limits",
    "discard": "old",
    "max_msgs": 1,
    "num_replicas": 1,
}
_S_MAX = 2.0


async def require_storing(connection: QuickClient) -> None:
    """Acknowledged means on disk, as for the journal. Raises Problem, nats' errors, TimeoutError after 2 s."""
    async with asyncio.timeout(_S_MAX):
        await Journal(connection, _S_MAX, STREAM_CONFIG).create()
        reply = await connection.request(SUBJECT, b"", _S_MAX)
    raise_error(orjson.loads(reply.data), _S_MAX)
