"""Proofs that are checked off-line (C2SP tlog-proof): an entry's place, the hashes up to the root, and the checkpoint."""

import base64
import binascii
from dataclasses import dataclass

from infra.tlog.note import BadNote

_HEADER = "c2sp.org/tlog-proof@v1"
_HASHES_MAX = 63


@dataclass(frozen=True)
class Proof:
    """`extra` is not authenticated by the format: here the entry itself, whose hash must be the leaf."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: str  # the signed note, verbatim
    extra: bytes = b""

    def __str__(self) -> str:
        extra = [f"extra {base64.b64encode(self.extra).decode()}"] if self.extra else []
        path = [base64.b64encode(each).decode() for each in self.hashes]
        return "\n".join([_HEADER, *extra, f"index {self.index}", *path, "", self.checkpoint])


def read_proof(raw: str) -> Proof:
    """Raises BadNote."""
    head, _, checkpoint = raw.partition("\n\n")
    header, *lines = head.split("\n")
    try:
        extra = base64.b64decode(lines.pop(0)[6:], validate=True) if lines[0].startswith("extra ") else b""
        word, _, index = lines.pop(0).partition(" ")
        hashes = tuple(base64.b64decode(line, validate=True) for line in lines)
        if header != _HEADER or word != "index" or str(int(index)) != index or len(hashes) > _HASHES_MAX:
            raise ValueError
        if any(len(each) != 32 for each in hashes):
            raise ValueError
    except (IndexError, ValueError, binascii.Error):
        raise BadNote("not a tlog-proof") from None
    return Proof(int(index), hashes, checkpoint, extra)
