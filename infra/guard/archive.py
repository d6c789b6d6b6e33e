"""What the transparency log knows of the journal: how far it reaches, the hash of each event, the events themselves."""

import structlog

from events.problem import Problem
from infra.data_folder import DataFolder
from infra.tlog.identity import last_signed, log_signer
from infra.tlog.note import BadNote
from infra.tlog.tiles import WIDTH, LogDamaged, Tiles, read_head

log = structlog.get_logger()


class Archive:
    """The log of a data folder. What of it is damaged counts as not there: the log's own task mends it."""

    def __init__(self, folder: DataFolder) -> None:
        self.size = 0  # a checkpoint was signed over so many, whatever became of the log
        self._tiles: Tiles | None = None
        try:
            signer = log_signer(folder)
            if known := last_signed(folder.keys / "checkpoint", [signer.verifier]):
                self.size = known.size
            if head := read_head(folder.log):
                checkpoint, note = head
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

    @property
    def bundles(self) -> range:
        """Numbers of the bundles that it should have."""
        return self._tiles.bundles if self._tiles else range(0)

    def entries(self, number: int) -> list[bytes]:
        """The events of one bundle; none where it is damaged."""
        assert self._tiles
        try:
            return self._tiles.entries(number)
        except LogDamaged:
            return []
