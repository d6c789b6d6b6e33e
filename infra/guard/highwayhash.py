"""HighwayHash-64 (Alakuijala, Cox, Wassenberg 2016), the checksum of nats-server's records; some 7,000 records a second.

Four 64-bit lanes; of the reference's loops over them only the multiplications are written out lane by lane.
"""

from struct import Struct

_LANES, _HALVES = Struct("<4Q"), Struct("<8I")
_MASK, _LOW = (1 << 64) - 1, (1 << 32) - 1
_MUL0 = (0xDBE6D5D5FE4CCE2F, 0xA4093822299F31D0, 0x13198A2E03707344, 0x243F6A8885A308D3)
_MUL1 = (0x3BD39E10CB0EF593, 0xC0ACF169B5F18A8C, 0xBE5466CF34E90C6C, 0x452821E638D01377)
_SHUFFLE = (3, 12, 2, 5, 14, 1, 15, 0, 11, 4, 10, 13, 9, 6, 8, 7)  # of 16 bytes: the reference's ZipperMerge
_ZIPPER = bytes([*_SHUFFLE, *(16 + at for at in _SHUFFLE)])
_TABLE_REST = bytes(256 - 32)  # bytes.translate wants a whole table

_State = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]]  # v0, v1, mul0, mul1


def highwayhash64(key: bytes, data: bytes) -> bytes:
    """8 bytes, little-endian; `key` has 32."""
    lanes = _LANES.unpack(key)
    v0 = tuple(one ^ two for one, two in zip(_MUL0, lanes, strict=True))
    v1 = tuple(one ^ _swapped(two) for one, two in zip(_MUL1, lanes, strict=True))
    whole = len(data) & ~31
    v0, v1, mul0, mul1 = _update((v0, v1, _MUL0, _MUL1), data[:whole])
    if size := len(data) & 31:
        v0 = tuple(lane + (size << 32) + size & _MASK for lane in v0)
        halves = _HALVES.unpack(_LANES.pack(*v1))
        v1 = _LANES.unpack(_HALVES.pack(*((half << size | half >> 32 - size) & _LOW for half in halves)))
        v0, v1, mul0, mul1 = _update((v0, v1, mul0, mul1), _padded(data[whole:]))
    for _ in range(4):
        permuted = _LANES.pack(_swapped(v0[2]), _swapped(v0[3]), _swapped(v0[0]), _swapped(v0[1]))
        v0, v1, mul0, mul1 = _update((v0, v1, mul0, mul1), permuted)
    return (v0[0] + v1[0] + mul0[0] + mul1[0] & _MASK).to_bytes(8, "little")


def _swapped(lane: int) -> int:
    return lane >> 32 | (lane & _LOW) << 32


def _padded(rest: bytes) -> bytes:
    """The last 1 to 31 bytes as a packet of 32."""
    words, tail = rest[: len(rest) & ~3], rest[len(rest) & ~3 :]
    if len(rest) & 16:
        return words.ljust(28, b"\0") + rest[-4:]
    if tail:
        return words.ljust(16, b"\0") + bytes([tail[0], tail[len(tail) >> 1], tail[-1]]).ljust(16, b"\0")
    return words.ljust(32, b"\0")


def _update(state: _State, packets: bytes) -> _State:
    (a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3) = state
    pack, unpack, translate, rest = _LANES.pack, _LANES.unpack, _ZIPPER.translate, _TABLE_REST
    mask, low = _MASK, _LOW
    for p0, p1, p2, p3 in _LANES.iter_unpack(packets):
        b0, b1, b2, b3 = b0 + c0 + p0 & mask, b1 + c1 + p1 & mask, b2 + c2 + p2 & mask, b3 + c3 + p3 & mask
        c0 ^= (b0 & low) * (a0 >> 32)
        c1 ^= (b1 & low) * (a1 >> 32)
        c2 ^= (b2 & low) * (a2 >> 32)
        c3 ^= (b3 & low) * (a3 >> 32)
        a0, a1, a2, a3 = a0 + d0 & mask, a1 + d1 & mask, a2 + d2 & mask, a3 + d3 & mask
        d0 ^= (a0 & low) * (b0 >> 32)
        d1 ^= (a1 & low) * (b1 >> 32)
        d2 ^= (a2 & low) * (b2 >> 32)
        d3 ^= (a3 & low) * (b3 >> 32)
        z0, z1, z2, z3 = unpack(translate(pack(b0, b1, b2, b3) + rest))
        a0, a1, a2, a3 = a0 + z0 & mask, a1 + z1 & mask, a2 + z2 & mask, a3 + z3 & mask
        z0, z1, z2, z3 = unpack(translate(pack(a0, a1, a2, a3) + rest))
        b0, b1, b2, b3 = b0 + z0 & mask, b1 + z1 & mask, b2 + z2 & mask, b3 + z3 & mask
    return (a0, a1, a2, a3), (b0, b1, b2, b3), (c0, c1, c2, c3), (d0, d1, d2, d3)
