"""Walking the server's own files: the records of a stream in its block files, while no server runs.

A block `msgs/<n>.blk` (nats-server 2.15.1, neither compressed nor encrypted) is one record after the other, little-endian:

    u32 length (top bit: has headers), u64 sequence, i64 time (ns), u16 subject length,
    subject, [u32 header length, headers,] body, 8 bytes HighwayHash-64

The hash does not cover the length. Its key is SHA-256 of "<stream>-<n>".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from struct import Struct
from typing import Literal, NamedTuple

from infra.guard.highwayhash import highwayhash64

_HEAD, _LENGTH, _SEQ = Struct("<IQqH"), Struct("<I"), Struct("<Q")
_HAS_HEADERS = 1 << 31
_HASH_SIZE = 8
_LEAST = _HEAD.size + _HASH_SIZE
_SEQ_AT = 4
_LOST_MAX = 1 << 16  # records that a block may lack between two that are whole


class Record(NamedTuple):
    """One message as it lies in a block."""

    seq: int
    subject: str
    headers: bytes  # b"" for none
    body: bytes
    block: int
    stamp: bytes  # sequence and time, as the hash covers them
    checksum: bytes

    def is_sound(self, stream: str) -> bool:
        """Whether the server's own checksum fits: some 7,000 a second."""
        return highwayhash64(_key(stream, self.block), self._covered) == self.checksum

    @property
    def _covered(self) -> bytes:
        return b"".join((self.stamp, self.subject.encode("latin-1"), self.headers, self.body))


class Damage(NamedTuple):
    """A place in a block that is no record."""

    seq: int  # first position that cannot be read
    block: int
    why: Literal["torn", "damaged"]  # torn: the file ends within a record, as after a power cut, and nothing is behind it
    mended: Record | None  # the record at `seq`, where only its length or sequence is wrong: its checksum fits


def block_files(directory: Path) -> list[tuple[int, Path]]:
    """The blocks of a stream, in order: (number, file). Also those set aside, under `…-<n>.block`."""
    numbered = ((re.fullmatch(r"(?:.*-)?(\d+)\.(?:blk|block)", file.name), file) for file in directory.glob("*.bl*"))
    return sorted((int(match[1]), file) for match, file in numbered if match)


def records(msgs_directory: Path, stream: str) -> Iterator[Record | Damage]:
    """All records in the order in which they lie there, over 100,000 a second. Raises OSError.

    Checked: that a record fits its place and the next follows it. Left to the caller: checksums, positions that are left
    out between two whole records, and whether anything is missing at the end.
    """
    previous = 0
    for number, file in block_files(msgs_directory):
        for found in block_records(file.read_bytes(), number, stream, previous):
            yield found
            previous = found.seq


def block_records(content: bytes, block: int, stream: str, previous: int) -> Iterator[Record | Damage]:
    """The records of one block, the first of which should have the position `previous` + 1."""
    at, end, unpack_seq = 0, len(content), _SEQ.unpack_from
    while at < end:
        found = _record(content, at, end, block)
        if found and found[0].seq == previous + 1:
            record, behind = found
            # Where the next does not follow, it may be this one's length that is wrong.
            follows = behind + _LEAST <= end and unpack_seq(content, behind + _SEQ_AT)[0] == record.seq + 1
            if behind == end or follows or record.is_sound(stream):
                yield record
                at, previous = behind, record.seq
                continue
        elif found and found[0].is_sound(stream):  # a whole record, though not the one that was to come
            yield found[0]
            at, previous = found[1], found[0].seq
            continue
        search = _Search(content, block, stream)
        following = search.next_whole(at + 1, previous)
        mended = search.mended(at, following or end, previous + 1)
        if following is None and mended is None and search.is_torn(at):
            yield Damage(previous + 1, block, "torn", None)
        else:
            yield Damage(previous + 1, block, "damaged", mended)
        if following is None:
            return
        at, previous = following, unpack_seq(content, following + _SEQ_AT)[0] - 1


@dataclass(frozen=True)
class _Search:
    """Finding step again in a damaged block."""

    content: bytes
    block: int
    stream: str

    def next_whole(self, start: int, previous: int) -> int | None:
        """Where the next record with a right checksum begins. Found by the upper bytes of its sequence."""
        upper = {(previous + lost) >> 16 for lost in (1, _LOST_MAX)}
        places = sorted(at for each in upper for at in self._places(each.to_bytes(6, "little"), start + _SEQ_AT + 2))
        for at in places:
            found = _record(self.content, at - _SEQ_AT - 2, len(self.content), self.block)
            if found and previous < found[0].seq <= previous + _LOST_MAX and found[0].is_sound(self.stream):
                return at - _SEQ_AT - 2
        return None

    def _places(self, pattern: bytes, start: int) -> Iterator[int]:
        at = self.content.find(pattern, start)
        while at >= 0:
            yield at
            at = self.content.find(pattern, at + 1)

    def mended(self, at: int, end: int, seq: int) -> Record | None:
        """The record between `at` and `end` with the length that follows from that, and the sequence `seq` if it must be."""
        if end - at < _LEAST:
            return None
        for has_headers in (_HAS_HEADERS, 0):
            raw = bytearray(self.content[at:end])
            _LENGTH.pack_into(raw, 0, len(raw) | has_headers)
            for as_it_should_be in (False, True):
                if as_it_should_be:
                    _SEQ.pack_into(raw, _SEQ_AT, seq)
                found = _record(bytes(raw), 0, len(raw), self.block)
                if found and found[0].seq == seq and found[0].is_sound(self.stream):
                    return found[0]
        return None

    def is_torn(self, at: int) -> bool:
        """Whether the file simply ends here: within a record, or in zeros that were never written."""
        rest = self.content[at:]
        if not any(rest):
            return True
        return len(rest) < _LEAST or _LENGTH.unpack_from(rest)[0] & ~_HAS_HEADERS > len(rest)


def _record(content: bytes, at: int, end: int, block: int) -> tuple[Record, int] | None:
    """The record that begins here and where it ends, if what is written there can be one."""
    if at + _LEAST > end:
        return None
    length, seq, _, subject_size = _HEAD.unpack_from(content, at)
    subject_at = at + 22
    headers_at, behind = subject_at + subject_size, at + (length & 0x7FFF_FFFF)
    body_end = behind - 8
    if behind > end or headers_at > body_end or not subject_size:
        return None
    headers, body_at = b"", headers_at
    if length & 0x8000_0000:
        if headers_at + 4 > body_end:
            return None
        body_at = headers_at + 4 + _LENGTH.unpack_from(content, headers_at)[0]
        if body_at > body_end:
            return None
        headers = content[headers_at + 4 : body_at]
    subject, stamp = content[subject_at:headers_at].decode("latin-1"), content[at + 4 : at + 20]
    return Record(seq, subject, headers, content[body_at:body_end], block, stamp, content[body_end:behind]), behind


def _key(stream: str, block: int) -> bytes:
    return sha256(f"{stream}-{block}".encode()).digest()
