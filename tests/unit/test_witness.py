"""A witness cosigns what continues the log that it knows, and answers everything else as C2SP tlog-witness says."""

import base64
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.data_folder import DataFolder, open_folder
from infra.folder_errors import FolderDamaged
from infra.tlog import merkle
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.merkle import leaf_hash, perfect_root
from infra.tlog.note import WITNESS, Note, Signer
from infra.tlog.tiles import Tiles
from infra.tlog.writer import LogWriter
from services.witness import Answer, add_checkpoint, cosign, read_request
from services.witness_notes import (
    Witness,
    ask_from_now_on,
    cosigned_by,
    cosigned_file,
    our_last,
    rolled_back,
    trust,
    witness_signer,
    witnesses,
)

NOW = 1_790_000_000
LOG = Signer("example.com/log", bytes(32))


class Tree:
    """A log of these entries, signed by LOG unless told otherwise."""

    def __init__(self, entries: str) -> None:
        self.leaves = [leaf_hash(entry.encode()) for entry in entries]

    def perfect(self, start: int, height: int) -> bytes:
        return perfect_root(self.leaves[start : start + (1 << height)])

    def root(self, size: int) -> bytes:
        return merkle.root(size, self.perfect)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        size = len(self.leaves) if size is None else size
        return Checkpoint(LOG.name, size, self.root(size))

    def proof(self, old: int, size: int | None = None) -> list[bytes]:
        return merkle.consistency(old, len(self.leaves) if size is None else size, self.perfect)


def request(old: int, proof: Sequence[bytes], checkpoint: Checkpoint, signer: Signer = LOG) -> bytes:
    hashes = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
    return f"old {old}\n{hashes}\n{checkpoint.signed(signer)}".encode()


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    """A witness of LOG that has cosigned `abc`."""
    folder = open_folder(tmp_path / "witness")
    trust(folder, LOG.verifier)
    assert add_checkpoint(folder, request(0, [], Tree("abc").checkpoint()), NOW).status == 200
    return folder


def test_what_continues_the_last_one_is_cosigned_and_remembered(folder: DataFolder) -> None:
    tree = Tree("abcdefg")
    answer = add_checkpoint(folder, request(3, tree.proof(3), tree.checkpoint()), NOW)
    assert answer.status == 200
    key = witness_signer(folder).verifier
    assert (key.name, key.type) == ("ektp/3672/witness", WITNESS)
    assert Note(tree.checkpoint().text, (answer.body,)).signed_by([key]) == {key.name: NOW}
    stored, note = our_last(folder, LOG.name)
    assert stored == tree.checkpoint()
    assert note
    assert note.signed_by([LOG.verifier, key]) == {LOG.name: None, key.name: NOW}


def test_the_same_checkpoint_is_cosigned_again_with_a_new_time(folder: DataFolder) -> None:
    same = request(3, [], Tree("abc").checkpoint())
    assert add_checkpoint(folder, same, NOW + 1).body != add_checkpoint(folder, same, NOW + 2).body


ABCD = Tree("abcd")
REFUSED = {
    "an unknown origin is 404": (404, request(0, [], Checkpoint("example.com/other", 1, bytes(32)))),
    "another key is 403": (403, request(3, ABCD.proof(3), ABCD.checkpoint(), Signer(LOG.name, bytes([1]) * 32))),
    "a wrong signature by the known key is 403": (
        403,
        request(3, ABCD.proof(3), ABCD.checkpoint()).replace(b"\n4\n", b"\n5\n"),
    ),
    "an old size above the new one is 400": (400, request(4, [], Tree("abc").checkpoint())),
    "a log that was cut back and knows it is 400": (400, request(3, [], Tree("ab").checkpoint())),
    "a log that was cut back and does not know it is 409": (409, request(2, [], Tree("ab").checkpoint())),
    "an old size that is not the known one is 409": (409, request(2, ABCD.proof(2), ABCD.checkpoint())),
    "beginning anew is 409": (409, request(0, [], ABCD.checkpoint())),
    "another tree of the same size is 422": (422, request(3, [], Tree("abx").checkpoint())),
    "another history is 422": (422, request(3, Tree("abxd").proof(3), Tree("abxd").checkpoint())),
    "a proof of something else is 422": (422, request(3, ABCD.proof(2), ABCD.checkpoint())),
    "no proof is 422": (422, request(3, [], ABCD.checkpoint())),
    "a proof for the same size is 422": (422, request(3, [bytes(32)], Tree("abc").checkpoint())),
    "no request is 400": (400, b"\xff"),
    "a size with a zero before it is 400": (400, request(3, ABCD.proof(3), ABCD.checkpoint()).replace(b"old ", b"old 0")),
    "a size below nothing is 400": (400, request(-1, [], ABCD.checkpoint())),
    "64 hashes are 400": (400, request(3, [bytes(32)] * 64, ABCD.checkpoint())),
    "a hash of 31 bytes is 400": (400, request(3, [bytes(31)], ABCD.checkpoint())),
    "no checkpoint is 400": (400, b"old 3\n\nexample.com/log\n"),
}


@pytest.mark.parametrize(("status", "body"), REFUSED.values(), ids=REFUSED)
def test_a_refusal_has_its_code_and_changes_nothing(folder: DataFolder, status: int, body: bytes) -> None:
    answer = add_checkpoint(folder, body, NOW + 1)
    assert (answer.status, answer.cosigned) == (status, None)
    assert our_last(folder, LOG.name)[0] == Tree("abc").checkpoint()
    if status == 409:
        assert (answer.body, answer.content_type) == ("3\n", "text/x.tlog.size")


@pytest.mark.parametrize("size", [0, 1])
def test_a_first_checkpoint_needs_no_proof_and_may_have_none(tmp_path: Path, size: int) -> None:
    folder = open_folder(tmp_path)
    trust(folder, LOG.verifier)
    first = Tree("abc").checkpoint(size)
    assert add_checkpoint(folder, request(0, [bytes(32)], first), NOW).status == 422
    assert add_checkpoint(folder, request(0, [], first), NOW).status == 200


def test_an_empty_tree_has_one_root(tmp_path: Path) -> None:
    trust(folder := open_folder(tmp_path), LOG.verifier)
    assert add_checkpoint(folder, request(0, [], Checkpoint(LOG.name, 0, bytes(32))), NOW).status == 422


def test_nobody_who_is_unknown_makes_the_witness_write(tmp_path: Path) -> None:
    folder = open_folder(tmp_path)
    before = sorted(folder.path.rglob("*"))
    assert add_checkpoint(folder, request(0, [], ABCD.checkpoint()), NOW).status == 404
    assert sorted(folder.path.rglob("*")) == before


@pytest.mark.parametrize("lost", ["keys/witness-seed", "keys/witnessed/*.cosigned"])
def test_a_witness_whose_memory_is_damaged_cosigns_nothing(folder: DataFolder, lost: str) -> None:
    (file,) = folder.path.glob(lost)
    if file.suffix:
        file.write_bytes(b"")
    else:
        file.unlink()
    with pytest.raises(FolderDamaged):
        add_checkpoint(folder, request(3, ABCD.proof(3), ABCD.checkpoint()), NOW)


BRANCHES = [Tree("abcdefgh"), Tree("abcdefxy"), Tree("abxdefgh"), Tree("xbcdefgh")]  # they part at 6, 2 and 0
sizes, branches = st.integers(0, 8), st.sampled_from(BRANCHES)


@given(st.lists(st.tuples(branches, sizes, sizes, branches, sizes, sizes), max_size=30))
def test_whatever_is_asked_in_whatever_order_no_two_cosigned_trees_contradict_each_other(
    asked: list[tuple[Tree, int, int, Tree, int, int]],
) -> None:
    signer, last = Signer("example.com/witness", bytes(32), WITNESS), Checkpoint(LOG.name, 0, merkle.EMPTY_ROOT)
    cosigned: list[tuple[Tree, int]] = []
    for tree, size, old, proven, proven_size, proven_old in asked:
        proof = proven.proof(min(proven_old, proven_size), proven_size)
        for known, hashes in ((old, proof), (last.size, proof), (last.size, tree.proof(min(last.size, size), size))):
            body = request(known, hashes, tree.checkpoint(size))
            answer: Answer = cosign(read_request(body), [LOG.verifier], last, signer, NOW)
            if answer.cosigned:
                last = read_checkpoint(str(answer.cosigned))[0]
                cosigned.append((tree, size))
    for older, newer in pairwise(cosigned):
        assert older[1] <= newer[1]
        assert older[0].root(older[1]) == newer[0].root(older[1])


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads take turns so often that what is not locked goes wrong."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty_threads")
@pytest.mark.parametrize("_again", range(5))
def test_of_contradicting_trees_that_are_asked_for_at_once_one_is_cosigned(folder: DataFolder, _again: int) -> None:
    trees = [Tree(f"abc{last}") for last in "defghijk"]
    bodies = [request(3, tree.proof(3), tree.checkpoint()) for tree in trees]
    with ThreadPoolExecutor(len(bodies)) as threads:
        answers = list(threads.map(lambda body: add_checkpoint(folder, body, NOW).status, bodies))
    assert sorted(answers) == [200] + [409] * (len(bodies) - 1)


def test_a_key_of_several_for_one_origin_continues_what_another_began(folder: DataFolder) -> None:
    new = Signer(LOG.name, bytes([2]) * 32)
    body = request(3, ABCD.proof(3), ABCD.checkpoint(), new)
    assert add_checkpoint(folder, body, NOW).status == 403
    trust(folder, new.verifier)
    assert add_checkpoint(folder, body, NOW).status == 200


def test_a_witness_has_one_address_the_last_that_was_given(folder: DataFolder) -> None:
    ours, other = witness_signer(folder).verifier, Signer("example.com/witness", bytes(32), WITNESS).verifier
    for witness in (Witness("http://a/witness", ours), Witness("http://b/witness", other), Witness("http://c", ours)):
        ask_from_now_on(folder, witness)
    assert witnesses(folder) == [Witness("http://b/witness", other), Witness("http://c", ours)]


@pytest.mark.parametrize(
    ("seen", "is_rolled_back"),
    [("ab", False), ("abc", False), ("abcd", True), ("abx", True), ("ax", True)],
)
def test_a_cosignature_proves_that_a_log_was_cut_back_or_rewritten(tmp_path: Path, seen: str, is_rolled_back: bool) -> None:
    witness = Signer("example.com/witness", bytes(32), WITNESS)
    writer = LogWriter(tmp_path, LOG)
    writer.add([entry.encode() for entry in "abc"])
    writer.sign()
    assert cosigned_by(tmp_path, writer.checkpoint, [witness.verifier]) == []
    text = Tree(seen).checkpoint().text
    file = cosigned_file(tmp_path, witness.verifier)
    file.parent.mkdir()
    file.write_text(str(Note(text, (LOG.line(text), witness.line(text, NOW)))))
    by = [{"name": "example.com/witness", "size": len(seen), "time": "2026-09-21T21:13:20+07:00"}]
    assert cosigned_by(tmp_path, writer.checkpoint, [witness.verifier]) == by
    tiles = Tiles(tmp_path, writer.checkpoint)
    assert rolled_back(tiles, writer.checkpoint.origin, [witness.verifier]) == (by if is_rolled_back else [])

    stranger = Signer("example.com/witness", bytes([1]) * 32, WITNESS).verifier
    assert cosigned_by(tmp_path, writer.checkpoint, [stranger]) == []
    shutil.rmtree(file.parent)
    assert rolled_back(tiles, writer.checkpoint.origin, [witness.verifier]) == []
