"""docs/examples, in JavaScript: all events, once, also after kill -9; it sees a hole; a proof holds, an altered one not.

Needs node and npm (Debian's `nodejs` and `npm`); in .ci/run they are required where they are there.
"""

import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from infra.data_folder import DataFolder
from infra.nats_server import NatsServer, start
from infra.tlog.note import WITNESS, Signer, read_vkey
from tests.command import ektp, eventually, running, submission
from tests.subscriber import Bank, bank_of, message_of
from tests.support import flip_bit

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
STEPS = ("submitted", "recorded", "queued")
REQUIRED = os.environ.get("EKTP_NODE") == "required"


def not_run(why: str) -> None:
    """Skip, loudly; where node is required, fail."""
    (pytest.fail if REQUIRED else pytest.skip)(f"NO TEST OF THE SUBSCRIBER IN JAVASCRIPT WAS RUN: {why}")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The subscriber with its packages, in a folder of its own, where nothing that happens changes docs/examples."""
    if not (shutil.which("node") and shutil.which("npm")):
        not_run("node or npm is not on the path; apt-get install -y nodejs npm")
    copy = tmp_path_factory.mktemp("nodejs")
    for name in ("package.json", "package-lock.json", "subscriber.mjs", "check_proof.mjs"):
        shutil.copy(EXAMPLES / name, copy)
    quick = ("--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1", "--fetch-timeout=20000")
    npm = ("npm", "ci", "--ignore-scripts", *quick)
    installed = subprocess.run(npm, cwd=copy, capture_output=True, text=True, check=False)
    if installed.returncode:
        not_run(f"npm has no packages in its cache and reaches no registry: {installed.stderr}")
    return copy / "subscriber.mjs"


@pytest.fixture
async def bank(server: NatsServer, tmp_path: Path) -> AsyncIterator[Bank]:
    async with bank_of(server, tmp_path) as bank:
        yield bank


def runs(bank: Bank, program: Path) -> AbstractContextManager["subprocess.Popen[str]"]:
    return bank.runs("node", str(program), "bank.json", "bank.jsonl")


def changed(program: Path, old: str, new: str) -> Path:
    """The program with one place changed."""
    text = program.read_text()
    assert text.count(old) == 1
    other = program.with_name("changed.mjs")
    other.write_text(text.replace(old, new))
    return other


def knows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "bank.jsonl").read_text().splitlines()]


def sequences(bank: Bank) -> list[int]:
    return [int(event["sequence"]) for event in knows(bank.folder)]


def ends_saying(bank: Bank, program: Path, says: str) -> None:
    with runs(bank, program) as process:
        assert process.wait(30) == 2
        assert process.stderr is not None
        assert process.stderr.read() == f"{says}: please tell the operator of the backbone\n"


async def test_it_hears_history_and_what_comes_also_from_the_server_s_next_start(
    bank: Bank, program: Path, server: NatsServer, folder: DataFolder
) -> None:
    await bank.is_told(3, 5)
    with runs(bank, program):
        eventually(lambda: sequences(bank) == [3, 5])
        await bank.is_told(6)
        eventually(lambda: sequences(bank) == [3, 5, 6])
        await server.stop()
        again = await start(folder, server.port)
        await bank.is_told(9)
        eventually(lambda: sequences(bank) == [3, 5, 6, 9])
    assert knows(bank.folder)[0] == json.loads(message_of(3).body)
    await again.stop()


@pytest.mark.parametrize("before", ["appendFileSync(out,", "fsyncSync(out);", "message.ack();"])
async def test_killed_in_the_middle_it_goes_on_with_nothing_twice_and_nothing_missing(
    bank: Bank, program: Path, before: str
) -> None:
    await bank.is_told_again_after(ack_wait_s=1)
    await bank.is_told(*range(1, 11))
    killed = changed(program, before, f"if (had.size === 4) process.kill(process.pid, 'SIGKILL'); {before}")
    with runs(bank, killed) as process:
        assert process.wait(30) == -9
    assert 0 < len(sequences(bank)) < 10
    with (bank.folder / "bank.jsonl").open("a") as file:
        file.write('{"specversion":"1.0","id":"torn')
    await bank.is_told(11, 12)  # these come before what is told again
    with runs(bank, program):
        eventually(lambda: sorted(sequences(bank)) == list(range(1, 13)))


async def test_it_ends_where_the_server_counts_what_it_does_not_send(
    bank: Bank, program: Path, server: NatsServer, folder: DataFolder
) -> None:
    await bank.is_told(3, 5, 6)
    await server.stop()
    flip_bit(folder, 2, "EKTP_FEED")
    again = await start(folder, server.port)
    hasty = changed(program, "SILENCE_MS = 5_000", "SILENCE_MS = 1_000")
    ends_saying(bank, hasty, "1 events are counted and do not come")
    assert sequences(bank) == [3, 6]
    await again.stop()


async def test_it_ends_at_what_it_cannot_read_and_does_not_acknowledge_it(bank: Bank, program: Path) -> None:
    await bank.is_told_again_after(ack_wait_s=1)
    await bank.is_told(3)
    await bank.is_sent(message_of(5).subject, b'{"id":"5"}')
    says = "message 2 of the feed is unreadable (neither sequence nor id) and was not acknowledged"
    for _ in range(2):
        ends_saying(bank, program, says)
        assert sequences(bank) == [3]


async def test_it_ends_where_the_feed_was_cut_and_written_anew(bank: Bank, program: Path) -> None:
    await bank.is_told(3, 5)
    await bank.is_sent(*message_of(5, event_id="f" * 32))
    ends_saying(bank, program, f"event {5:020} is another than it was: the feed was cut")
    assert sequences(bank) == [3, 5]


@pytest.fixture(scope="module")
def proven(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the proof of a case, the log's key, and what a subscriber heard meanwhile."""
    folder = tmp_path_factory.mktemp("proven")
    data = folder / "data"
    with running(data):
        add = ("subscriber", "add", "bank", "--office", "all", "--events", ",".join(STEPS), "--out", folder / "bank.json")
        ektp(data, *submission())  # so that the tree has more than one case
        ektp(data, *add)
        with subprocess.Popen(["node", str(program), "bank.json", "bank.jsonl"], cwd=folder) as process:
            receipt = ektp(data, *submission()).document["receipt"]
            for step in ("record", "queue"):
                ektp(data, step, receipt)
            eventually(lambda: len(knows(folder)) == 1 + len(STEPS))
            process.kill()
    ektp(data, "audit", "prove", receipt, "--out", folder / "case.tlog-proof")
    shutil.copy(data / "log" / "key", folder / "ombudsman.key")
    return folder


def checked(program: Path, proof: Path, key: Path) -> "subprocess.CompletedProcess[str]":
    command = ("node", str(program.with_name("check_proof.mjs")), str(proof), str(key))
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


def test_a_proof_shows_the_very_events_that_a_subscriber_heard(program: Path, proven: Path) -> None:
    answer = checked(program, proven / "case.tlog-proof", proven / "ombudsman.key")
    assert (answer.returncode, answer.stderr) == (0, "")
    events = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [event["type"].split(".")[4] for event in events] == list(STEPS)
    assert [(event["id"], event["source"]) for event in events] == [
        (event["id"], event["source"]) for event in knows(proven)[1:]
    ]


def test_a_proof_that_was_altered_is_refused(program: Path, proven: Path, tmp_path: Path) -> None:
    whole, key = (proven / "case.tlog-proof").read_text(), proven / "ombudsman.key"
    _, first, second, *others = whole.split("c2sp.org/tlog-proof@v1\n")
    path, size = first.split("\n")[1], first.split("\n\n")[1].split("\n")[1]
    for altered, says in (
        (whole.replace(first.split("\n")[0], second.split("\n")[0]), "the hashes do not lead to the checkpoint"),
        (whole.replace(path, path.replace("index ", "index 1")), "the hashes do not lead to the checkpoint"),
        (whole.replace(f"\n{size}\n", f"\n{size}1\n"), "its checkpoint is not signed by this key"),
        ("c2sp.org/tlog-proof@v1\n".join(["", first, *others]), "events of the case are left out, or are of another"),
        ("c2sp.org/tlog-proof@v1\n".join(["", second, *others]), "events of the case are left out, or are of another"),
        (whole.replace("\n—", "\n-"), "its checkpoint is not signed by this key"),
        (whole.replace("\nindex ", "\nindex  "), "not a number"),
        ("", "not a tlog-proof"),
    ):
        assert altered != whole
        (tmp_path / "altered").write_text(altered)
        answer = checked(program, tmp_path / "altered", key)
        assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", f"not proven: {says}\n"), says


def test_a_proof_is_refused_under_another_key_and_under_one_that_is_not_what_it_says(
    program: Path, proven: Path, tmp_path: Path
) -> None:
    key = read_vkey((proven / "ombudsman.key").read_text())
    for other, says in (
        (Signer(key.name, bytes(32)).verifier.vkey, "its checkpoint is not signed by this key"),
        (Signer(key.name, bytes(32), WITNESS).verifier.vkey, "not the public key of a log"),
        (f"x{key.vkey}", "the key does not belong to its name and id"),
    ):
        (tmp_path / "key").write_text(other)
        answer = checked(program, proven / "case.tlog-proof", tmp_path / "key")
        assert (answer.returncode, answer.stdout, answer.stderr) == (1, "", f"not proven: {says}\n")


def test_its_packages_are_pinned_with_their_hashes_and_from_no_registry_in_particular() -> None:
    package, lock = (json.loads((EXAMPLES / name).read_text()) for name in ("package.json", "package-lock.json"))
    assert all(version[0].isdigit() for version in package["dependencies"].values())
    installed = {path: entry for path, entry in lock["packages"].items() if path}
    assert {f"node_modules/{name}" for name in package["dependencies"]} <= set(installed)
    assert all("integrity" in entry and "resolved" not in entry for entry in installed.values())
