"""The tree's hashes and proofs, beside the recursive definitions of RFC 6962, written down a second time here."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.tlog import merkle
from infra.tlog.merkle import NotProven, check_consistency, check_inclusion, leaf_hash

# Certificate Transparency's reference tree: eight entries, and the root of the first n of them (RFC 6962 test vectors)
ENTRIES = [bytes.fromhex(entry) for entry in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes.fromhex("606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(entries: list[bytes]) -> bytes:
    """MTH(D[n])."""
    if len(entries) < 2:
        return sha256(b"\0" + entries[0]).digest() if entries else sha256().digest()
    k = split(len(entries))
    return sha256(b"\1" + mth(entries[:k]) + mth(entries[k:])).digest()


def path(m: int, entries: list[bytes]) -> list[bytes]:
    """PATH(m, D[n])."""
    if len(entries) == 1:
        return []
    k = split(len(entries))
    if m < k:
        return [*path(m, entries[:k]), mth(entries[k:])]
    return [*path(m - k, entries[k:]), mth(entries[:k])]


def subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF(m, D[n], b)."""
    if m == len(entries):
        return [] if whole else [mth(entries)]
    k = split(len(entries))
    if m <= k:
        return [*subproof(m, entries[:k], whole), mth(entries[k:])]
    return [*subproof(m - k, entries[k:], False), mth(entries[:k])]


def split(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def perfect_of(entries: list[bytes]) -> merkle.Perfect:
    return lambda start, height: mth(entries[start : start + (1 << height)])


TREES = st.integers(1, 70).map(lambda size: [f"entry {number}".encode() for number in range(size)])


@pytest.mark.parametrize("size", range(1, 9))
def test_the_reference_tree_has_the_published_roots(size: int) -> None:
    assert merkle.root(size, perfect_of(ENTRIES)).hex() == ROOTS[size - 1]
    assert merkle.perfect_root([leaf_hash(entry) for entry in ENTRIES]).hex() == ROOTS[7]


@given(TREES, st.data())
def test_an_entry_is_proven_by_the_path_of_rfc_6962_and_by_no_other(entries: list[bytes], data: st.DataObject) -> None:
    size = len(entries)
    index = data.draw(st.integers(0, size - 1))
    proof, root = merkle.inclusion(index, size, perfect_of(entries)), mth(entries)
    assert proof == path(index, entries)
    check_inclusion(leaf_hash(entries[index]), index, size, proof, root)
    wrong = data.draw(st.sampled_from(["index", "leaf", "root", "shorter", "longer", "hash"]))
    asked = {
        "index": (leaf_hash(entries[index]), index + 1, size, proof, root),
        "leaf": (leaf_hash(b"another"), index, size, proof, root),
        "root": (leaf_hash(entries[index]), index, size, proof, sha256(root).digest()),
        "shorter": (leaf_hash(entries[index]), index, size, proof[:-1] if proof else [root], root),
        "longer": (leaf_hash(entries[index]), index, size, [*proof, root], root),
        "hash": (leaf_hash(entries[index]), index, size, [sha256(each).digest() for each in proof] or [root], root),
    }[wrong]
    with pytest.raises(NotProven):
        check_inclusion(*asked)


@given(TREES, st.data())
def test_an_older_tree_is_proven_to_be_the_beginning_and_a_forked_one_is_not(
    entries: list[bytes], data: st.DataObject
) -> None:
    size = len(entries)
    old = data.draw(st.integers(0, size))
    proof = merkle.consistency(old, size, perfect_of(entries))
    assert proof == (subproof(old, entries, True) if old else [])
    check_consistency(old, mth(entries[:old]), size, mth(entries), proof)
    if old:
        forked = [*entries[: old - 1], b"another"]
        with pytest.raises(NotProven):
            check_consistency(old, mth(forked), size, mth(entries), proof)
        with pytest.raises(NotProven):
            check_consistency(old, mth(entries[:old]), size, mth([*entries[:-1], b"another"]), [*proof])
    with pytest.raises(NotProven):
        check_consistency(size + 1, mth(entries), size, mth(entries), proof)
