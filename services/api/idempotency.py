"""The header Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-08): the same command again does nothing twice.

A structured-field string (RFC 9651, 3.3.3), or the bare characters that most clients send. The key goes into the command's
id, so it is known for as long as the journal is, and by whatever way the command comes again.
"""

import re
from dataclasses import dataclass
from typing import Annotated, ClassVar

from fastapi import Depends, Header

from events.problem import Problem

_CHARS_MAX = 200
_STRING = re.compile(r'"((?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])+)"')
_BARE = re.compile(r"[A-Za-z0-9._~:/+=-]+")


@dataclass(eq=False)
class InvalidIdempotencyKey(Problem):
    """Neither a structured-field string nor bare; nothing was done."""

    chars_max: int = _CHARS_MAX
    code: ClassVar[str] = "invalid_idempotency_key"
    status: ClassVar[int] = 400
    sentence_id: ClassVar[str] = (
        'Idempotency-Key tidak terbaca; tidak ada yang dikerjakan. Tulis seperti "7f3a-1", maksimal {chars_max} karakter.'
    )
    sentence_en: ClassVar[str] = (
        'The Idempotency-Key cannot be read; nothing was done. Write it as "7f3a-1", of at most {chars_max} characters.'
    )


def parse_key(header: str) -> str:
    """The key that the header's value says. Raises InvalidIdempotencyKey."""
    string = _STRING.fullmatch(header)
    if len(header) > _CHARS_MAX or not (string or _BARE.fullmatch(header)):
        raise InvalidIdempotencyKey
    return re.sub(r"\\(.)", r"\1", string[1]) if string else header


async def _key(
    value: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key", description="The same key again: the same answer, nothing twice.", examples=['"7f3a-1"']
        ),
    ] = None,
) -> str | None:
    return None if value is None else parse_key(value)


IdempotencyKey = Annotated[str | None, Depends(_key)]
