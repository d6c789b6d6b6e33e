"""What the transparency log knows of the journal: how far it reaches, the hash of each event, the events themselves."""

import structlog

from events.problem import Problem
from infra.data_folder import DataFolder
from infra.tlog.checkpoint import read_checkpoint
from infra.tlog.identity import log_signer
from infra.tlog.note import BadNote
from infra.tlog.tiles import WIDTH, LogDamaged, Tiles, read_head

log = structlog.get_logger()


class Archive:
    """The log of a data folder. What of it is damaged counts as not there: the log's own task mends it."""

    def __init__(self, folder: DataFolder) -> None:
        self.size = _last_signed_size(folder)  # a checkpoint was signed over so many, whatever became of the log
        self._tiles: Tiles | None = None
        try:
            if head := read_head(folder.log):
                checkpoint, note = head
                signer = log_signer(folder)
                if signer.name not in note.signed_by([signer.verifier]):
                    raise LogDamaged("checkpoint", "it is not signed by this log's key")
                self._tiles = Tiles(folder.log, checkpoint)
                self.size = max(self.size, checkpoint.size)
        except (LogDamaged, BadNote, Problem) as damage:
            log.warning("the audit log is damaged; the journal is checked without it", why=str(damage))

    def leaf(self, seq: int) -> bytes | None:
        """The leaf hash of the event at this position; None where the log cannot tell."""
        if self._tiles is None or seq > self._tiles.size:
            return None
        number, at = divmod(seq - 1, WIDTH)
        try:
            return self._tiles.hashes(0, number)[at]
        except LogDamaged:
            return None

    @property
    def archived(self) -> int:
        """How many events the archive has, where it is whole."""
        return self._tiles.size if self._tiles else 0

    def entries(self, number: int) -> list[bytes]:
        """The events of one bundle; none where it is damaged."""
        assert self._tiles
        try:
            return self._tiles.entries(number)
        except LogDamaged:
            return []


def _last_signed_size(folder: DataFolder) -> int:
    """By the copy of the last signed checkpoint that lies with the keys."""
    try:
        checkpoint, note = read_checkpoint((folder.keys / "checkpoint").read_text())
        return checkpoint.size if note.signed_by([log_signer(folder).verifier]) else 0  # a flipped bit must not halt
    except (OSError, BadNote, UnicodeDecodeError, Problem):
        return 0
