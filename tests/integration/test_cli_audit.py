"""What auditors type: verify, prove, check, export, case; on a running backbone, a stopped one, a copy and an export."""

import shutil
from pathlib import Path

import pytest

from infra.data_folder import DataFolder
from infra.nats_configuration import stream_directory
from tests.command import ektp, running, submission


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped backbone with a case that went all the way, and two that only began."""
    data = tmp_path_factory.mktemp("audit") / "data"
    with running(data):
        receipt = ektp(data, *submission()).document["receipt"]
        for step in ("record", "queue", "print", "collect"):
            ektp(data, step, receipt, "--actor", "ani")
        for _ in range(2):
            ektp(data, *submission())
    (data.parent / "receipt").write_text(receipt)
    return data


def snapshot(directory: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_a_stopped_backbone_is_whole_and_verifying_it_writes_nothing(data: Path) -> None:
    before = snapshot(data)
    verified = ektp(data, "audit", "verify")
    assert verified.code == 0
    document = verified.document
    assert (document["ok"], document["size"], document["unanchored"], document["first_wrong"]) == (True, 10, 0, None)
    assert document["key_from"] == str(data / "log" / "key")
    assert snapshot(data) == before


def test_a_running_backbone_is_verified_as_it_runs(data: Path, tmp_path: Path) -> None:
    shutil.copytree(data, tmp_path / "data")
    with running(tmp_path / "data"):
        ektp(tmp_path / "data", *submission())
        document = ektp(tmp_path / "data", "audit", "verify").document
        assert document["ok"]
        assert document["size"] + document["unanchored"] == 12


@pytest.mark.parametrize(
    ("place", "why"), [("body", "altered"), ("tail", "truncated"), ("archive", None), ("key", "wrong_key")]
)
def test_a_copy_that_was_changed_is_found_by_the_public_key_alone(
    data: Path, tmp_path: Path, place: str, why: str | None
) -> None:
    copy, pinned = tmp_path / "copy", tmp_path / "pinned"
    shutil.copytree(data, copy)
    shutil.copy(data / "log" / "key", pinned)
    block = stream_directory(DataFolder(copy, "3672"), "EKTP") / "msgs" / "1.blk"
    match place:
        case "body":
            block.write_bytes(block.read_bytes().replace(b'"actor":"ani"', b'"actor":"eve"', 1))
        case "tail":
            block.write_bytes(block.read_bytes()[:2_000])
        case "archive":
            (archive,) = (copy / "log" / "tile" / "entries").rglob("*.zst")
            archive.write_bytes(archive.read_bytes()[:-1])
        case _:
            ektp(tmp_path / "other", *submission())
            shutil.copy(tmp_path / "other" / "log" / "key", pinned)
    verified = ektp(tmp_path, "audit", "verify", copy, "--key", pinned)
    assert verified.code == 1
    assert verified.document["ok"] is False
    if why:
        assert verified.document["first_wrong"]["why"] == why
        assert "NOT whole" in ektp(tmp_path, "audit", "verify", copy, "--key", pinned, json=False).stdout
    else:
        assert [file["path"] for file in verified.document["files"]] == ["log/tile/entries/000.p/10.zst"]


def test_a_case_is_proven_to_whoever_has_the_public_key(data: Path, tmp_path: Path) -> None:
    receipt, file = (data.parent / "receipt").read_text(), tmp_path / "case.tlog-proof"
    assert ektp(data, "audit", "prove", receipt, "--out", file).document["events"] == 5
    shutil.copy(data / "log" / "key", tmp_path / "key")
    checked = ektp(tmp_path / "nothing", "audit", "check", file, "--key", tmp_path / "key")
    assert [event["event"] for event in checked.document["events"]] == [
        *("submitted", "recorded", "queued", "printed", "collected")
    ]
    assert not (tmp_path / "nothing").exists()
    whole, proofs = file.read_text(), file.read_text().split("c2sp.org/tlog-proof@v1\n")[1:]
    for spoilt in (
        whole.replace("\nindex 0\n", "\nindex 1\n"),
        "".join("c2sp.org/tlog-proof@v1\n" + proof for proof in [proofs[0], *proofs[2:]]),  # one event left out
        whole.replace(proofs[1].split("\n")[0], proofs[2].split("\n")[0]),  # another event in its place
        "hello",
    ):
        assert spoilt != whole
        file.write_text(spoilt)
        assert ektp(tmp_path, "audit", "check", file, "--key", tmp_path / "key").error == "not_proven"


def test_an_export_is_accepted_until_a_file_of_it_is_changed_or_added(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "export"
    position = ektp(data, "audit", "export", out).document["position"]
    assert position == 10
    assert ektp(data, "audit", "export", out).error == "not_empty"
    assert ektp(tmp_path, "audit", "verify", out).document["ok"]
    rows = (out / "coverage_rows.csv").read_text().splitlines()[1:]
    assert [row.split(",")[:2] for row in rows] == [["recorded", "367203"], ["printed", "367203"]]
    for path in sorted(snapshot(out)):
        file = Path(path)
        content = file.read_bytes()
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        found = ektp(tmp_path, "audit", "verify", out)
        assert found.code == 1, path
        file.write_bytes(content)
    (out / "more.csv").write_text("")
    assert ektp(tmp_path, "audit", "verify", out).document["files"] == [{"path": "more.csv", "why": "extra"}]


def test_what_happened_in_a_case_is_told_with_its_proof_state(data: Path) -> None:
    receipt = (data.parent / "receipt").read_text()
    events = ektp(data, "audit", "case", receipt).document["events"]
    assert [(event["event"], event["actor"], event["proof"]) for event in events] == [
        ("submitted", None, "signed"),
        *((step, "ani", "signed") for step in ("recorded", "queued", "printed", "collected")),
    ]
    assert all(event["office"] == "367203" and event["occurred"] and event["recorded"] for event in events)


def test_a_folder_without_a_trail_is_told_so(tmp_path: Path) -> None:
    assert ektp(tmp_path, "audit", "verify", tmp_path).error == "not_a_trail"
