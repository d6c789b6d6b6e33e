"""Entry bundles: 256 entries in a file. C2SP's entry tile (each entry behind its length, 16 bits big-endian) under zstd."""

from collections.abc import Sequence

import zstandard

ENTRIES = 256  # of a full bundle or tile
_LEVEL = 3  # 256 events of one month become a tenth; higher levels take longer and save little
_BYTES_MAX = ENTRIES * (2 + 65_535)


class BadBundle(Exception):
    """The file is not what was written."""


def pack(entries: Sequence[bytes]) -> bytes:
    """The plain entry tile, as it is served and exported."""
    return b"".join([len(entry).to_bytes(2) + entry for entry in entries])


def compress(tile: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(tile)


def decompress(stored: bytes) -> bytes:
    """The plain entry tile. Raises BadBundle."""
    try:
        return zstandard.ZstdDecompressor().decompress(stored, max_output_size=_BYTES_MAX)
    except zstandard.ZstdError:
        raise BadBundle from None


def unpack(tile: bytes) -> list[bytes]:
    """The entries of a plain entry tile. Raises BadBundle."""
    entries, at, end = [], 0, len(tile)
    while at < end:
        begins = at + 2
        at = begins + int.from_bytes(tile[at:begins])
        if at > end or begins > end:
            raise BadBundle
        entries.append(tile[begins:at])
    return entries
