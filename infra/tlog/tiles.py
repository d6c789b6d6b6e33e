"""A log in a directory: the checkpoint, hash tiles and entry bundles, at the paths of C2SP tlog-tiles. Reading and proving.

checkpoint                       the newest; written last, so all it covers is there
key                              the log's public key (vkey)
tile/<level>/x001/234            256 hashes; level 0 holds leaf hashes, each level above the roots of whole tiles below
tile/<level>/x001/234.p/<width>  the last, unfinished one of a level
tile/entries/x001/234.zst        the entries themselves (bundle.py); unfinished: 234.p/<width>.zst
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from infra.tlog import merkle
from infra.tlog.bundle import BadBundle, decompress, unpack
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.merkle import leaf_hash, perfect_root
from infra.tlog.note import BadNote, Note

WIDTH = 256


class LogDamaged(Exception):
    """A file of the log is missing or is not what the checkpoint says. `path` is below the log's directory."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path, self.why = path, why


def number_path(number: int) -> str:
    """1234067 → x001/x234/067."""
    path = f"{number % 1000:03}"
    while number := number // 1000:
        path = f"x{number % 1000:03}/{path}"
    return path


def tile_path(level: int, number: int, width: int = WIDTH) -> str:
    """Of a hash tile, below the log's directory."""
    return f"tile/{level}/{number_path(number)}" + (f".p/{width}" if width < WIDTH else "")


def bundle_path(number: int, width: int = WIDTH) -> str:
    """Of a stored entry bundle, below the log's directory."""
    return f"tile/entries/{number_path(number)}" + (f".p/{width}" if width < WIDTH else "") + ".zst"


def read_head(directory: Path) -> tuple[Checkpoint, Note] | None:
    """The newest checkpoint, whose signatures are not verified; None for a log that was never begun. Raises LogDamaged."""
    try:
        return read_checkpoint((directory / "checkpoint").read_text())
    except FileNotFoundError:
        return None
    except (BadNote, UnicodeDecodeError, OSError) as error:
        raise LogDamaged("checkpoint", str(error) or type(error).__name__) from None


class Tiles:
    """The tree under one checkpoint. Each hash that is handed out leads to the root: tiles are checked when read."""

    def __init__(self, directory: Path, checkpoint: Checkpoint) -> None:
        """Raises LogDamaged where the unfinished tiles do not lead to the checkpoint's root."""
        self.directory, self.size, self.root = directory, checkpoint.size, checkpoint.root
        self.hashes = lru_cache(maxsize=512)(self._hashes)  # 4 MB
        if merkle.root(self.size, self.perfect) != checkpoint.root:
            raise LogDamaged("checkpoint", "its root is not that of the tiles")

    def width(self, level: int, number: int) -> int:
        """How many hashes this tile has."""
        return min(WIDTH, (self.size >> 8 * level) - number * WIDTH)

    @property
    def bundles(self) -> range:
        """Numbers of all entry bundles, and of the tiles of level 0."""
        return _tiles_of(self.size)

    def perfect(self, start: int, height: int) -> bytes:
        """The root of leaves [start, start + 2**height). Raises LogDamaged."""
        level, inner = divmod(height, 8)
        first = start >> 8 * level
        number, at = divmod(first, WIDTH)
        return perfect_root(self.hashes(level, number)[at : at + (1 << inner)])

    def _hashes(self, level: int, number: int) -> list[bytes]:
        """What a tile holds; a whole one is checked against the level above. Raises LogDamaged."""
        width = self.width(level, number)
        path = tile_path(level, number, width)
        try:
            raw = (self.directory / path).read_bytes()
        except OSError:
            raise LogDamaged(path, "missing") from None
        hashes = [raw[at : at + 32] for at in range(0, len(raw), 32)]
        if len(raw) != 32 * width:
            raise LogDamaged(path, "wrong length")
        if width == WIDTH and perfect_root(hashes) != self.hashes(level + 1, number // WIDTH)[number % WIDTH]:
            raise LogDamaged(path, "its hashes do not lead to the level above")
        return hashes

    def files(self) -> Iterator[tuple[str, bytes]]:
        """(path, content) of every hash tile of the tree. Raises LogDamaged."""
        level = 0
        while count := self.size >> 8 * level:
            for number in _tiles_of(count):
                yield tile_path(level, number, self.width(level, number)), b"".join(self.hashes(level, number))
            level += 1

    def entries(self, number: int) -> list[bytes]:
        """The entries of a bundle, each compared with its leaf hash. Raises LogDamaged."""
        entries, hashes = self.stored_entries(number), self.hashes(0, number)
        if [leaf_hash(entry) for entry in entries] != hashes:
            raise LogDamaged(bundle_path(number, len(hashes)), "an entry does not have the hash that the log has of it")
        return entries

    def stored_entries(self, number: int) -> list[bytes]:
        """The entries of a bundle as they are, whatever the log says of them. Raises LogDamaged."""
        path = bundle_path(number, self.width(0, number))
        plain = self.directory / path.removesuffix(".zst")  # as it is exported
        try:
            return unpack(plain.read_bytes() if plain.is_file() else decompress((self.directory / path).read_bytes()))
        except OSError:
            raise LogDamaged(path, "missing") from None
        except BadBundle:
            raise LogDamaged(path, "not a bundle") from None


def _tiles_of(hashes: int) -> range:
    """Numbers of the tiles that so many hashes of a level take."""
    return range(-(-hashes // WIDTH))
