"""A log in a directory: it grows, is taken up after any stop, and what was changed in it is noticed."""

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.tlog import merkle
from infra.tlog.note import BadNote, Signer
from infra.tlog.tiles import LogDamaged, Tiles, bundle_path, read_head, tile_path
from infra.tlog.writer import LogWriter
from tests.unit.test_merkle import mth

SIGNER = Signer("ektp/3672/1", bytes(range(32)))


def entry(number: int) -> bytes:
    return f"event {number} ".encode() * (number % 5)


def tiles(directory: Path) -> Tiles:
    head = read_head(directory)
    assert head
    assert head[1].signed_by([SIGNER.verifier]) == {SIGNER.name: None}
    return Tiles(directory, head[0])


@pytest.mark.parametrize(("number", "path"), [(0, "000"), (999, "999"), (1_000, "x001/000"), (1_234_067, "x001/x234/067")])
def test_paths_are_those_of_c2sp(number: int, path: str) -> None:
    assert tile_path(3, number) == f"tile/3/{path}"
    assert tile_path(0, number, 112) == f"tile/0/{path}.p/112"
    assert bundle_path(number) == f"tile/entries/{path}.zst"


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([1, 2, 100, 255, 256, 257, 600]), st.booleans(), st.booleans()), max_size=8))
def test_a_log_is_the_tree_of_its_entries_whatever_comes_between(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, bool, bool]]
) -> None:
    directory, entries = tmp_path_factory.mktemp("log"), list[bytes]()
    writer = LogWriter(directory, SIGNER)
    for count, signs, is_opened_again in steps:
        entries += map(entry, range(len(entries), len(entries) + count))
        writer.add(entries[writer.size :])
        if signs:
            writer.sign()
        if is_opened_again:  # what no checkpoint covers is to come again
            writer = LogWriter(directory, SIGNER)
            entries = entries[: writer.size]
    writer.add([b"the last"])
    writer.sign()
    entries.append(b"the last")
    found = tiles(directory)
    assert (found.size, found.root) == (len(entries), mth(entries))
    assert [each for number in range((len(entries) + 255) // 256) for each in found.entries(number)] == entries
    for index in {0, len(entries) // 2, len(entries) - 1}:
        proof = merkle.inclusion(index, found.size, found.perfect)
        merkle.check_inclusion(merkle.leaf_hash(entries[index]), index, found.size, proof, found.root)
    partial = [path for path in directory.rglob("*") if path.is_file() and ".p" in str(path.relative_to(directory))]
    assert len(partial) <= 4  # one of each level, and a bundle: those of older checkpoints are gone


@pytest.mark.parametrize("size", [300, 70_000])
def test_a_changed_or_missing_file_is_named(tmp_path: Path, size: int) -> None:
    writer = LogWriter(tmp_path, SIGNER)
    writer.add([entry(number) for number in range(size)])
    writer.sign()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    for file in files if size < 1_000 else files[:: len(files) // 20]:
        whole = file.read_bytes()
        changes = [None, whole[:-1], bytes([whole[0] ^ 1]) + whole[1:], os.urandom(len(whole))]
        for changed in changes:
            if changed is None:
                file.unlink()
            else:
                file.write_bytes(changed)
            with pytest.raises((LogDamaged, BadNote, AssertionError)) as damage:  # AssertionError: nothing signed by it
                read_all(tmp_path)
            if isinstance(damage.value, LogDamaged) and file.name != "checkpoint":
                assert damage.value.path in {str(file.relative_to(tmp_path)), "checkpoint"}
            file.write_bytes(whole)
    read_all(tmp_path)


def read_all(directory: Path) -> None:
    found = tiles(directory)
    for number in range((found.size + 255) // 256):
        found.entries(number)


def test_a_log_of_another_key_is_not_gone_on_with(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, SIGNER)
    writer.add([b"one"])
    writer.sign()
    with pytest.raises(LogDamaged, match="not signed by this log's key"):
        LogWriter(tmp_path, Signer(SIGNER.name, bytes(32)))


def test_what_is_written_but_not_under_a_checkpoint_counts_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(tmp_path, SIGNER)
    writer.add([entry(number) for number in range(1_000)])
    writer.sign()
    writer.add([entry(number) for number in range(1_000, 1_400)])

    def write_durably(file: Path, content: bytes) -> None:
        if file.name == "checkpoint":
            raise OSError(28, "No space left on device")
        file.write_bytes(content)

    with monkeypatch.context() as full_disk:
        full_disk.setattr("infra.tlog.writer.write_durably", write_durably)
        with pytest.raises(OSError, match="No space"):
            writer.sign()
    again = LogWriter(tmp_path, SIGNER)
    assert (again.size, again.checkpoint.root) == (1_000, mth([entry(number) for number in range(1_000)]))
    again.add([b"another than before"])
    again.sign()
    assert tiles(tmp_path).root == mth([*[entry(number) for number in range(1_000)], b"another than before"])
