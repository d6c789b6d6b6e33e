"""Signed notes (C2SP signed-note): text that one or more Ed25519 keys signed, and the keys as they are written down.

A key is written as `<name>+<key id>+<base64 of type and public key>` ("vkey"). Type 0x01 signs the text itself; 0x04 is a
witness, who signs text and time (C2SP tlog-cosignature, cosignature/v1).
"""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

LOG, WITNESS = 0x01, 0x04
_DASH = "— "
_SIGNATURES_MAX = 64


class BadNote(Exception):
    """Not a signed note, not a key, or a signature by a known key that is wrong."""


@dataclass(frozen=True)
class Verifier:
    """A public key that is trusted under a name."""

    name: str
    public: bytes  # 32
    type: int = LOG

    def __post_init__(self) -> None:
        if not self.name or "+" in self.name or len(self.name.split()) != 1 or len(self.public) != 32:
            raise BadNote("not a key")

    @property
    def id(self) -> bytes:
        return sha256(self.name.encode() + b"\n" + bytes([self.type]) + self.public).digest()[:4]

    @property
    def vkey(self) -> str:
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(bytes([self.type]) + self.public).decode()}"

    def check(self, text: str, signature: bytes) -> int | None:
        """When a witness signed (POSIX seconds); None for the log. Raises BadNote."""
        signed_at, message = None, text.encode()
        if self.type == WITNESS:
            signed_at, signature = int.from_bytes(signature[:8]), signature[8:]
            message = _cosigned(text, signed_at)
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            raise BadNote(f"the signature by {self.name} is wrong") from None
        return signed_at


@dataclass(frozen=True)
class Signer:
    """A private key, and the name it signs under."""

    name: str
    seed: bytes  # 32, as RFC 8032 has it
    type: int = LOG

    @property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self._key.public_key().public_bytes_raw(), self.type)

    @property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def line(self, text: str, now: int = 0) -> str:
        """The signature line under this text; `now`, in POSIX seconds, is part of what a witness signs."""
        if self.type == WITNESS:
            signature = now.to_bytes(8) + self._key.sign(_cosigned(text, now))
        else:
            signature = self._key.sign(text.encode())
        return f"{_DASH}{self.name} {base64.b64encode(self.verifier.id + signature).decode()}\n"


@dataclass(frozen=True)
class Note:
    """Text and signature lines, of which nothing is verified yet."""

    text: str  # ends with a newline
    signatures: tuple[str, ...]  # lines with their newline

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(self.signatures)}"

    def signed_by(self, known: Iterable[Verifier]) -> dict[str, int | None]:
        """Which of these keys signed: name, and when, where the signature tells. Unknown signatures are ignored.

        Raises BadNote where a signature of one of them is wrong.
        """
        by_key, found = {(key.name, key.id): key for key in known}, dict[str, int | None]()
        for line in self.signatures:
            name, _, encoded = line.removeprefix(_DASH).rstrip("\n").partition(" ")
            blob = _unbase64(encoded)
            if key := by_key.get((name, blob[:4])):
                found[name] = key.check(self.text, blob[4:])
        return found


def read_note(raw: str) -> Note:
    """Raises BadNote."""
    text, blank, tail = raw.rpartition("\n\n")
    lines = tail.splitlines(keepends=True)
    if not blank or not lines or len(lines) > _SIGNATURES_MAX or any(ord(char) < 32 and char != "\n" for char in raw):
        raise BadNote("not a signed note")
    for line in lines:
        name, _, encoded = line.removeprefix(_DASH).rstrip("\n").partition(" ")
        if not (line.startswith(_DASH) and line.endswith("\n") and name) or len(_unbase64(encoded)) < 5:
            raise BadNote("not a signature line")
    return Note(text + "\n", tuple(lines))


def read_vkey(vkey: str) -> Verifier:
    """Raises BadNote."""
    name, _, rest = vkey.strip().partition("+")
    key_id, _, encoded = rest.partition("+")
    material = _unbase64(encoded)
    if material[:1] not in {bytes([LOG]), bytes([WITNESS])}:
        raise BadNote("not a key of a known type")
    found = Verifier(name, material[1:], material[0])
    if found.id.hex() != key_id:
        raise BadNote("the key does not belong to this name and id")
    return found


def _cosigned(text: str, now: int) -> bytes:
    return f"cosignature/v1\ntime {now}\n{text}".encode()


def _unbase64(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise BadNote("not base64") from None
