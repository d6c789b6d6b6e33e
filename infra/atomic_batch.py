"""Storing many messages behind a known end of a stream, all or none (ADR-50): for who is the stream's only writer.

At most infra.journal.BATCH_MESSAGES_MAX at once.
Commands, which expect where each subject ends and wait in groups, go by group_commit.py.
"""

import secrets
from collections.abc import Sequence

import orjson

from infra.journal import Journal, raise_error


async def store_behind(stream: Journal, last_seq: int, messages: Sequence[tuple[str, bytes]]) -> int:
    """Store (subject, body) of each in this order, where the stream still ends at `last_seq`; returns where it ends then.

    Raises JournalBusy, JournalFull, JournalRefused where they were not stored; nats' errors and TimeoutError where that is
    not known.
    """
    connection, batch_id, count = stream.connection, secrets.token_hex(12), len(messages)
    first = {"Nats-Expected-Last-Sequence": str(last_seq)}
    headers = [{"Nats-Batch-Id": batch_id, "Nats-Batch-Sequence": str(number)} for number in range(1, count + 1)]
    headers = [first] if count == 1 else [headers[0] | first, *headers[1:-1], headers[-1] | {"Nats-Batch-Commit": "1"}]
    members = [(subject, header, body) for (subject, body), header in zip(messages, headers, strict=True)]
    await connection.publish_all(members[:-1])
    subject, header, body = members[-1]
    reply = await connection.request(subject, body, timeout=stream.timeout_s, headers=header)
    answer = orjson.loads(reply.data)
    raise_error(answer, stream.timeout_s)
    return int(answer["seq"])
