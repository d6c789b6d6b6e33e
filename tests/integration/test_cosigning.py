"""One backbone cosigns for another: over HTTP, again after either was away, and never for a second history."""

import base64
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from infra.data_folder import open_folder
from infra.tlog import merkle
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.identity import log_signer
from infra.tlog.merkle import leaf_hash
from infra.tlog.note import WITNESS, Signer
from infra.tlog.tiles import Tiles, read_head
from services.witness_notes import our_last, rolled_back, witnesses
from tests.command import Up, ektp, eventually, head, running, submission

ORIGIN = "ektp/3672/1"


@pytest.fixture
def inspectorate(tmp_path: Path) -> Iterator[Up]:
    with running(tmp_path / "inspectorate", "--http", 0) as up:
        yield up


@pytest.fixture
def office(tmp_path: Path, inspectorate: Up) -> Iterator[Up]:
    """Its log has two events, and the inspectorate cosigned them."""
    with running(tmp_path / "office", "--http", 0) as office:
        ektp(office.data, *submission())
        key = office.data / "log" / "key"
        assert eventually(key.exists)
        assert ektp(inspectorate.data, "witness", "add", key).document["origin"] == ORIGIN
        url, witness_key = f"{inspectorate.http}/witness", inspectorate.data / "log" / "witness-key"
        assert ektp(office.data, "witness", "of", url, "--key", witness_key).document["url"] == url
        assert eventually(lambda: cosigned_size(office.data) == 2)
        yield office


def cosigned_size(data: Path) -> int:
    (witness,) = ektp(data, "witness").document["witnesses"]
    return int(witness["size"] or 0)


def newest(data: Path) -> Checkpoint:
    found = read_head(data / "log")
    assert found
    return found[0]


def witnessed_size(inspectorate: Path) -> int:
    (log,) = ektp(inspectorate, "witness").document["witnessed"]
    return int(log["size"])


def cosignature_age_s(office: Up) -> float:
    shown = httpx.get(f"{office.http}/metrics").text.splitlines()
    name = 'ektp_witness_cosignature_age_seconds{witness="ektp/3672/witness"} '
    (age,) = (line.removeprefix(name) for line in shown if line.startswith(name))
    return float(age)


def rolled_back_by(data: Path) -> list[str]:
    keys = [witness.key for witness in witnesses(open_folder(data))]
    return [each["name"] for each in rolled_back(Tiles(data / "log", newest(data)), newest(data).origin, keys)]


def test_each_new_checkpoint_is_cosigned_also_after_the_witness_was_away(office: Up, inspectorate: Up) -> None:
    assert eventually(lambda: cosignature_age_s(office) < 60)
    assert witnessed_size(inspectorate.data) == 2
    assert rolled_back_by(office.data) == []

    port = urlsplit(inspectorate.http).port
    inspectorate.stop()
    ektp(office.data, *submission())
    assert eventually(lambda: "away" in (office.data / "run" / "reader.log").read_text())
    assert cosigned_size(office.data) == 2
    with running(inspectorate.data, "--http", port):
        assert eventually(lambda: cosigned_size(office.data) == head(office.data) == 4)
        assert witnessed_size(inspectorate.data) == 4
    assert rolled_back_by(office.data) == []


def test_a_key_of_another_kind_and_an_address_that_is_none_are_refused(tmp_path: Path) -> None:
    data, log_key, witness_key = tmp_path / "data", tmp_path / "log-key", tmp_path / "witness-key"
    log_key.write_text(Signer("example.com/log", bytes(32)).verifier.vkey)
    witness_key.write_text(Signer("example.com/witness", bytes(32), WITNESS).verifier.vkey)
    assert ektp(data, "witness", "add", witness_key).error == "invalid_key"
    assert ektp(data, "witness", "of", "http://a/witness", "--key", log_key).error == "invalid_key"
    assert ektp(data, "witness", "of", "ftp://a/witness", "--key", witness_key).error == "invalid_witness_url"
    assert ektp(data, "witness").document == {"witnessed": [], "witnesses": []}


def ask(inspectorate: Up, old: int, proof: list[bytes], checkpoint: Checkpoint, signer: Signer) -> httpx.Response:
    lines = "".join(f"{base64.b64encode(each).decode()}\n" for each in proof)
    body = f"old {old}\n{lines}\n{checkpoint.signed(signer)}"
    return httpx.post(f"{inspectorate.http}/witness/add-checkpoint", content=body.encode())


def test_a_log_that_is_cut_back_or_forked_is_refused_though_its_own_key_signed(office: Up, inspectorate: Up) -> None:
    signer, now = log_signer(open_folder(office.data)), newest(office.data)
    first = merkle.root(1, Tiles(office.data / "log", now).perfect)
    cut, forked = Checkpoint(ORIGIN, 1, first), Checkpoint(ORIGIN, 2, leaf_hash(b"another"))
    longer = Checkpoint(ORIGIN, 3, leaf_hash(b"another"))

    answer = ask(inspectorate, 1, [], cut, signer)
    assert (answer.status_code, answer.headers["content-type"], answer.text) == (409, "text/x.tlog.size", "2\n")
    assert ask(inspectorate, 2, [], cut, signer).status_code == 400
    assert ask(inspectorate, 2, [], forked, signer).status_code == 422
    assert ask(inspectorate, 2, [leaf_hash(b"c")], longer, signer).status_code == 422
    assert ask(inspectorate, 2, [], now, Signer(ORIGIN, bytes(32))).status_code == 403
    assert (
        ask(inspectorate, 0, [], Checkpoint("ektp/9999/1", 2, now.root), Signer("ektp/9999/1", bytes(32))).status_code == 404
    )
    assert httpx.post(f"{inspectorate.http}/witness/add-checkpoint", content=b"x" * 300_000).status_code == 413
    assert our_last(open_folder(inspectorate.data), ORIGIN)[0] == now

    again = ask(inspectorate, 2, [], now, signer)
    assert (again.status_code, again.text.split()[:2]) == (200, ["—", "ektp/3672/witness"])


def test_a_backbone_that_was_put_back_from_a_copy_hears_of_it_from_its_witness(
    tmp_path: Path, office: Up, inspectorate: Up
) -> None:
    office.stop()
    shutil.copytree(office.data, tmp_path / "copy")
    with running(office.data):
        ektp(office.data, *submission())
        assert eventually(lambda: cosigned_size(office.data) == 4)
    seen = newest(office.data)
    evidence = shutil.copytree(office.data / "log" / "cosigned", tmp_path / "evidence")
    shutil.rmtree(office.data)
    shutil.move(tmp_path / "copy", office.data)

    with running(office.data):
        says = office.data / "run" / "reader.log"
        ektp(office.data, "cancel", ektp(office.data, *submission()).document["receipt"], "--reason", "x")
        assert eventually(lambda: "another history" in says.read_text())
        assert cosigned_size(office.data) == 2
    assert our_last(open_folder(inspectorate.data), ORIGIN)[0] == seen
    shutil.copytree(evidence, office.data / "log" / "cosigned", dirs_exist_ok=True)
    assert rolled_back_by(office.data) == ["ektp/3672/witness"]
