"""Making a log grow: entries become tiles and bundles, and a signed checkpoint over what is on disk.

Whole tiles are written as they fill up and never again; unfinished ones with each checkpoint, which is written last. So a
kill at any moment leaves the log of the checkpoint before. After an OSError throw the object away and open the log again.
"""

from collections.abc import Sequence
from pathlib import Path

from infra.data_folder import sync_names, write_durably
from infra.tlog import merkle
from infra.tlog.bundle import compress, pack
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.merkle import leaf_hash, perfect_root
from infra.tlog.note import BadNote, Signer
from infra.tlog.tiles import WIDTH, LogDamaged, Tiles, bundle_path, read_head, tile_path


class LogWriter:
    """One process at a time. Not thread-safe."""

    def __init__(self, directory: Path, signer: Signer) -> None:
        """Goes on from the newest checkpoint. Raises LogDamaged, OSError."""
        self.directory, self._signer = directory, signer
        self._levels: list[list[bytes]] = [[]]  # of each level the hashes of its unfinished tile
        self._entries: list[bytes] = []  # of the unfinished bundle
        self._partial: list[str] = []  # files of the checkpoint's unfinished tiles and bundle
        self.size = self.signed_size = 0
        if head := read_head(directory):
            checkpoint, note = head
            try:
                if checkpoint.origin != signer.name or signer.name not in note.signed_by([signer.verifier]):
                    raise LogDamaged("checkpoint", "it is not signed by this log's key")
            except BadNote as bad:
                raise LogDamaged("checkpoint", str(bad)) from None
            self._load(Tiles(directory, checkpoint))

    def _load(self, tiles: Tiles) -> None:
        self.size = self.signed_size = tiles.size
        for level, count in _counts(tiles.size):
            number, width = divmod(count, WIDTH)
            self._levels[level:] = [tiles.hashes(level, number) if width else []]
            self._partial += [tile_path(level, number, width)] if width else []
        if width := tiles.size % WIDTH:
            self._entries = tiles.entries(tiles.size // WIDTH)
            self._partial.append(bundle_path(tiles.size // WIDTH, width))

    @property
    def checkpoint(self) -> Checkpoint:
        """Of everything added so far, signed or not."""
        return Checkpoint(self._signer.name, self.size, merkle.root(self.size, self._perfect))

    def add(self, entries: Sequence[bytes]) -> None:
        """Append entries, of at most 65,535 bytes each; whole tiles are on disk when it returns. Raises OSError."""
        while entries:
            some, entries = entries[: WIDTH - len(self._entries)], entries[WIDTH - len(self._entries) :]
            self._entries += some
            self._levels[0] += [leaf_hash(entry) for entry in some]
            self.size += len(some)
            if len(self._entries) == WIDTH:
                self._finish()

    def sign(self) -> str:
        """Put the unfinished tiles and then a signed checkpoint on disk; returns it. Raises OSError."""
        written = list[str]()
        for level, count in _counts(self.size):
            if width := count % WIDTH:
                written.append(tile_path(level, count // WIDTH, width))
                self._write(written[-1], b"".join(self._levels[level]))
        if self._entries:
            written.append(bundle_path(self.size // WIDTH, len(self._entries)))
            self._write(written[-1], compress(pack(self._entries)))
        note = str(self.checkpoint.signed(self._signer))
        self._write("checkpoint", note.encode())
        for path in set(self._partial) - set(written):  # a shorter one is the beginning of what is there now
            (self.directory / path).unlink(missing_ok=True)
        self._partial, self.signed_size = written, self.size
        return note

    def _finish(self) -> None:
        """The last bundle and tile are whole."""
        number = self.size // WIDTH - 1
        self._write(bundle_path(number), compress(pack(self._entries)))
        self._entries = []
        for level, count in _counts(self.size):
            if count % WIDTH:
                break
            self._write(tile_path(level, count // WIDTH - 1), b"".join(self._levels[level]))
            if level + 1 == len(self._levels):
                self._levels.append([])
            self._levels[level + 1].append(perfect_root(self._levels[level]))
            self._levels[level] = []

    def _perfect(self, start: int, height: int) -> bytes:
        level, inner = divmod(height, 8)
        at = (start >> 8 * level) % WIDTH
        return perfect_root(self._levels[level][at : at + (1 << inner)])

    def _write(self, path: str, content: bytes) -> None:
        file = self.directory / path
        if not file.parent.exists():
            file.parent.mkdir(mode=0o700, parents=True)
            for parent in file.parent.relative_to(self.directory).parents:
                sync_names(self.directory / parent)
        write_durably(file, content)


def _counts(size: int) -> list[tuple[int, int]]:
    """(level, hashes of that level) of a log of this size; none of the highest is left out."""
    counts = [(0, size)]
    while counts[-1][1] >= WIDTH:
        counts.append((len(counts), counts[-1][1] // WIDTH))
    return counts
