"""Every request is answered: by a document, or by a typed problem, also where the answer cannot be written."""

from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from services import answering
from services.answering import Answers
from services.refusals import CaseCollected
from services.wire import PROBLEM_HEADER


async def answered(work: Any, reply: str = "_INBOX_desk.1") -> list[tuple[bytes, dict[str, str] | None]]:
    """What is sent to the asker of a request that is answered by `work`."""
    sent = []

    async def publish(subject: str, body: bytes, headers: dict[str, str] | None) -> None:
        sent.append((body, headers))

    raw = SimpleNamespace(
        reply=reply, subject="ask.ektp.3672.status", headers=None, _client=SimpleNamespace(publish=publish)
    )
    answering._message.set(cast(Any, SimpleNamespace(raw_message=raw)))
    answers = Answers()
    answers.start("ask.ektp.3672.status", work)
    await answers.finish()
    return sent


async def says(document: Any) -> Any:
    return document


async def refuses() -> Any:
    raise CaseCollected


async def test_a_document_is_sent_as_json_and_bytes_as_they_are() -> None:
    assert await answered(says({"seq": 1})) == [(b'{"seq":1}', None)]
    assert await answered(says(b"# metrics")) == [(b"# metrics", None)]


@pytest.mark.parametrize(("work", "code"), [(refuses, "case_collected"), (lambda: says({1, 2}), "unexpected")])
async def test_a_refusal_and_an_answer_that_cannot_be_written_are_told_as_problems(work: Any, code: str) -> None:
    ((body, headers),) = await answered(work())
    assert headers is not None
    assert (headers[PROBLEM_HEADER], orjson.loads(body)["code"]) == (code, code)


async def test_nothing_is_sent_to_a_subject_that_is_no_inbox() -> None:
    assert await answered(says({"seq": 1}), reply="ektp.367203.application.x") == []
