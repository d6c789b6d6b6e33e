"""Everything that README and docs show is run: each ```console block, in order, and its output compared.

What differs from run to run (receipts, ids, times, ports, rates) is compared by shape; a line `...` stands for any lines.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted(file for file in ROOT.glob("docs/**/*.md") if "node_modules" not in file.parts)]
SHAPES = [
    (r"[0-9a-f]{32}", "<id>"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\+\d\d:\d\d)?", "<time>"),
    (r"nats://127\.0\.0\.1:\d+", "<nats>"),
    (r"\d+\.\d s, \d+/s", "<pace>"),
    (r"--data \S+", "--data <folder>"),
]
RECEIPT = re.compile(r"\b[A-Z]{2}-\w{4}-\w{4}-\w{5}\b")
END = "__end__"


@dataclass
class Shown:
    command: str
    output: list[str]


def shown(document: Path) -> list[Shown]:
    """The commands of a document's console blocks, with the output that is shown for each."""
    found: list[Shown] = []
    for block in re.findall(r"^```console\n(.*?)^```", document.read_text(), re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Shown(line[2:], []))
            else:
                found[-1].output.append(line)
    return found


class Shell:
    """One bash for a whole document, in an empty folder, with receipts as they really came."""

    def __init__(self, folder: Path) -> None:
        environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "EKTP_LANG": "en",
            "EKTP_DATA": str(folder / "data"),
        }
        self.receipts: dict[str, str] = {}  # as shown: as it came
        self.bash = subprocess.Popen(
            ["bash"], stdin=-1, stdout=-1, stderr=subprocess.STDOUT, text=True, cwd=folder, env=environment
        )

    def run(self, step: Shown) -> None:
        command = RECEIPT.sub(lambda receipt: self.receipts.get(receipt[0], receipt[0]), step.command)
        if command == "make up":  # stays until it is stopped; stopped when all that is shown has come
            enough = f"[ $(grep -vc ^make up.log) -ge {len(step.output)} ]"
            command = f"make --no-print-directory -C {ROOT} up > up.log 2>&1 & "
            command += f"for i in $(seq 600); do {enough} && break; sleep .1; done; pkill -INT -P $!; wait; cat up.log"
        assert self.bash.stdin is not None
        assert self.bash.stdout is not None
        self.bash.stdin.write(f"{command}\n")
        self.bash.stdin.flush()
        came: list[str] = []
        if command.endswith("&"):
            came = [self.bash.stdout.readline().rstrip("\n") for _ in step.output]
        else:
            self.bash.stdin.write(f"echo; echo {END}\n")
            self.bash.stdin.flush()
            while (line := self.bash.stdout.readline().rstrip("\n")) != END:
                came.append(line)
        self.compare(step, [line for line in came if line])

    def compare(self, step: Shown, came: list[str]) -> None:
        expected = step.output
        if "..." in expected:
            expected, came = expected[: expected.index("...")], came[: expected.index("...")]
        assert len(came) == len(expected), f"$ {step.command}\n" + "\n".join(came)
        for line, real in zip(expected, came, strict=True):
            self.receipts |= dict(zip(RECEIPT.findall(line), RECEIPT.findall(real), strict=False))
            pattern = ".*".join(map(re.escape, shape(line).split("...")))
            assert re.fullmatch(pattern, shape(real)), f"$ {step.command}\nshown: {line}\ncame:  {real}"

    def close(self) -> None:
        assert self.bash.stdin is not None
        self.bash.stdin.write("kill $(jobs -p) 2>/dev/null; wait\n")
        self.bash.stdin.close()
        self.bash.wait(30)


def shape(line: str) -> str:
    line = RECEIPT.sub("<receipt>", line)
    for pattern, name in SHAPES:
        line = re.sub(pattern, name, line)
    return line.rstrip()


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if shown(d)], ids=lambda d: d.name)
def test_what_the_document_shows_is_what_happens(document: Path, tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    try:
        for step in shown(document):
            shell.run(step)
    finally:
        shell.close()


def test_every_make_target_and_file_that_a_document_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for document in DOCUMENTS:
        text = document.read_text()
        for target in re.findall(r"\bmake ([a-z]+)\b", re.sub(r"```.*?```", "", text, flags=re.S)):
            if f"`make {target}" in text:
                assert re.search(rf"^{target}:", makefile, re.M), f"{document.name}: make {target}"
        for name in re.findall(r"`((?:events|services|projections|infra|tests|docs)/[\w./-]+)`", text):
            assert (ROOT / name).exists(), f"{document.name}: {name}"
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
