"""Checkpoints (C2SP tlog-checkpoint): which log, how many entries, and the root of its tree, as a note's text."""

import base64
import binascii
from dataclasses import dataclass

from infra.tlog.note import BadNote, Note, Signer, read_note


@dataclass(frozen=True)
class Checkpoint:
    """The head of a log's tree."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    def signed(self, signer: Signer) -> Note:
        return Note(self.text, (signer.line(self.text),))


def read_checkpoint(raw: str) -> tuple[Checkpoint, Note]:
    """The checkpoint and the note that it is in, of which no signature is verified. Raises BadNote."""
    note = read_note(raw)
    lines = note.text.removesuffix("\n").split("\n")
    try:
        origin, size, root = lines[0], lines[1], base64.b64decode(lines[2], validate=True)
        if not origin or not all(lines) or str(int(size)) != size or int(size) < 0 or len(root) != 32:
            raise ValueError
    except (IndexError, ValueError, binascii.Error):
        raise BadNote("not a checkpoint") from None
    return Checkpoint(origin, int(size), root), note
