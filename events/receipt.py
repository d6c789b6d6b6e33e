"""Receipts, and the ids that follow from them (design: journal, rule 6).

A receipt is what the citizen holds: `PM-7K4Q-9XYZ-ABCDE`: the office's mark, 60 unguessable bits in Crockford base 32,
one check character. It is a keyed hash, so the same command finds the same receipt without any look-up, and nobody
without the key can guess one. Case id = hash of the receipt; event ids = hash of command id and index.
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import orjson

from events.offices import BY_MARK, Office
from events.problem import Problem

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford: no I, L, O, U
_VALUE = {char: value for value, char in enumerate(ALPHABET)} | {"O": 0, "I": 1, "L": 1}
_BODY_CHARS = 12  # 5 bits each: 60 bits


@dataclass(eq=False)
class InvalidReceipt(Problem):
    """Not a receipt of ours: mistyped (the check character disagrees) or of another backbone. Same answer for both."""

    code: ClassVar[str] = "unknown_receipt"
    status: ClassVar[int] = 404
    sentence_id: ClassVar[str] = "Nomor resi ini tidak dikenal. Periksa setiap huruf dan angkanya pada resi."
    sentence_en: ClassVar[str] = "This receipt is not known here. Check each letter and digit against the paper."


def keyed_hash(key: bytes, *parts: str, size: int = 16) -> bytes:
    """`size` bytes of keyed BLAKE2b (RFC 7693) over `parts` as a JSON array, so that no two lists collide."""
    return hashlib.blake2b(orjson.dumps(parts), key=key, digest_size=size).digest()


def command_id(key: bytes, command: str, place: str, idempotency_key: str) -> str:
    """32 hex digits that stand for one command: its name, its receipt or office, and the caller's key."""
    return keyed_hash(key, "command", command, place, idempotency_key).hex()


def event_id(command_id: str, index: int) -> str:
    """32 hex digits for the `index`-th event (from 0) of a command."""
    return hashlib.blake2b(f"{command_id}:{index}".encode(), digest_size=16).hexdigest()


def receipt(key: bytes, office: Office, *parts: str) -> str:
    """The receipt that stands for `parts` (a command id; for imports the register's case number) at `office`."""
    number = int.from_bytes(keyed_hash(key, "receipt", office.code, *parts, size=8), "big")
    body = "".join(ALPHABET[number >> shift & 31] for shift in range(0, 5 * _BODY_CHARS, 5))
    body += _check_character(office.mark + body)
    return f"{office.mark}-{body[:4]}-{body[4:8]}-{body[8:]}"


def parse_receipt(text: str) -> str:
    """The receipt as printed, from what someone typed (any case, blanks, O for 0, I or L for 1). Raises InvalidReceipt."""
    chars = text.upper().replace("-", "").replace(" ", "")
    mark, body = chars[:2], "".join(ALPHABET[_VALUE[char]] if char in _VALUE else "?" for char in chars[2:])
    if mark not in BY_MARK or len(body) != _BODY_CHARS + 1 or "?" in body or _check_character(mark + body[:-1]) != body[-1]:
        raise InvalidReceipt
    return f"{mark}-{body[:4]}-{body[4:8]}-{body[8:]}"


def office_of(receipt: str) -> Office:
    """The office whose mark begins this receipt (as from parse_receipt)."""
    return BY_MARK[receipt[:2]]


@lru_cache(20_000)
def case_id(receipt: str) -> str:
    """32 hex digits (128 bits) that name the case everywhere a receipt must not stand."""
    return hashlib.sha256(receipt.encode()).hexdigest()[:32]


def _check_character(chars: str) -> str:
    """Horner's rule over GF(32), x^5 + x^2 + 1: finds every single wrong character and every swap of two neighbours."""
    total = 0
    for char in chars:
        total = (total ^ _VALUE[char]) << 1
        if total & 32:
            total ^= 0b100101
    return ALPHABET[total]
