"""Hashes and proofs of the Merkle tree of RFC 6962 (SHA-256), and their verification as RFC 9162 describes it.

A proof here is built from hashes of aligned perfect subtrees, however they are stored; verifying needs the proof alone.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
# The root of leaves [start, start + 2**height), start a multiple of 2**height: what a proof is made of.
Perfect = Callable[[int, int], bytes]  # (start, height)


class NotProven(Exception):
    """The hashes do not lead to the root: the proof is wrong, or what it is for."""


def leaf_hash(entry: bytes) -> bytes:
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The root over 2**k hashes of equal height."""
    level = list(hashes)
    while len(level) > 1:
        level = [sha256(b"\x01" + level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
    return level[0]


def root(size: int, perfect: Perfect) -> bytes:
    """The root of the first `size` leaves."""
    return _range_root(0, size, perfect) if size else EMPTY_ROOT


def inclusion(index: int, size: int, perfect: Perfect) -> list[bytes]:
    """The audit path of the leaf at `index` in the tree of `size` leaves (RFC 6962, 2.1.1), from the leaf up."""
    start, end, path = 0, size, list[bytes]()
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, perfect))
            end = middle
        else:
            path.append(_range_root(start, middle, perfect))
            start = middle
    return path[::-1]


def consistency(old: int, size: int, perfect: Perfect) -> list[bytes]:
    """The proof that the tree of `old` leaves is the beginning of that of `size` leaves (RFC 6962, 2.1.2)."""
    if old in {0, size}:
        return []
    start, end, whole, path = 0, size, True, list[bytes]()
    while old != end:  # `whole`: the old tree is this subtree's beginning and is known to the verifier as its root
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(middle, end, perfect))
            end = middle
        else:
            path.append(_range_root(start, middle, perfect))
            start, whole = middle, False
    return (path if whole else [*path, _range_root(start, end, perfect)])[::-1]


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], claimed: bytes) -> None:
    """Raises NotProven unless the leaf hash at `index` is part of the tree with this root (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise NotProven
    number, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise NotProven
        if number % 2 or number == last:
            found = node_hash(sibling, found)
            while number and not number % 2:
                number, last = number >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        number, last = number >> 1, last >> 1
    if last or found != claimed:
        raise NotProven


def check_consistency(old: int, old_root: bytes, size: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Raises NotProven unless the old tree is the beginning of the new one (RFC 9162, 2.1.4.2)."""
    if old in {0, size}:
        if proof or not 0 <= old <= size or old_root != (new_root if old == size else EMPTY_ROOT):
            raise NotProven
        return
    if not 0 < old < size or not proof:
        raise NotProven
    hashes = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    number, last = old - 1, size - 1
    while number % 2:
        number, last = number >> 1, last >> 1
    of_old = of_new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            raise NotProven
        if number % 2 or number == last:
            of_old, of_new = node_hash(sibling, of_old), node_hash(sibling, of_new)
            while number and not number % 2:
                number, last = number >> 1, last >> 1
        else:
            of_new = node_hash(of_new, sibling)
        number, last = number >> 1, last >> 1
    if last or of_old != old_root or of_new != new_root:
        raise NotProven


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def _range_root(start: int, end: int, perfect: Perfect) -> bytes:
    """The root of leaves [start, end), of which `start` is aligned to a power of two that is at least as large."""
    found = None
    pieces = list[tuple[int, int]]()
    while start < end:
        height = (end - start).bit_length() - 1
        pieces.append((start, height))
        start += 1 << height
    for begin, height in reversed(pieces):
        found = perfect(begin, height) if found is None else node_hash(perfect(begin, height), found)
    assert found is not None
    return found
