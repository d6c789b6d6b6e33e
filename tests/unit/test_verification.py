"""Whatever is done to a trail, the first event that is wrong is named, and in which way."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from events.envelope import stamp
from infra.tlog.bundle import compress, decompress, pack, unpack
from infra.tlog.checkpoint import Checkpoint, read_checkpoint
from infra.tlog.note import Signer
from infra.tlog.tiles import bundle_path, tile_path
from infra.tlog.writer import LogWriter
from services.audit.verification import Message, Verdict, Verification, Wrong
from tests.support import change

SIGNER = Signer("ektp/3672/1", bytes(range(32)))
SIZE, SIGNED = 700, 690


def messages() -> list[Message]:
    now, found = datetime(2026, 11, 24, tzinfo=UTC), list[Message]()
    for number in range(SIZE):
        one = change(f"case{number}", serial=f"{number}")
        found.append((number + 1, one.subject, stamp(one.bodies, now)[0]))
    return found


@dataclass
class Trail:
    """A whole trail, for a test to spoil."""

    log: Path
    journal: list[Message] = field(default_factory=messages)
    keys: list[Signer] = field(default_factory=lambda: [SIGNER])
    known: list[Checkpoint] = field(default_factory=list)

    def verified(self) -> Verdict:
        keys = [signer.verifier for signer in self.keys]
        verification = Verification(self.log, keys, "a test", self.known)
        verification.archive(lambda _: None)
        verification.take(self.journal)
        return verification.ended()


@pytest.fixture
def trail(tmp_path: Path) -> Trail:
    trail = Trail(tmp_path)
    writer = LogWriter(tmp_path, SIGNER)
    writer.add([body for _, _, body in trail.journal[:SIGNED]])
    writer.sign()
    return trail


def test_a_whole_trail_is_whole_and_its_tail_is_told_apart(trail: Trail) -> None:
    verdict = trail.verified()
    assert verdict.ok
    assert (verdict.size, verdict.unanchored) == (SIGNED, SIZE - SIGNED)
    assert verdict.root == read_checkpoint((trail.log / "checkpoint").read_text())[0].root


def alter(trail: Trail) -> None:
    seq, subject, body = trail.journal[299]
    trail.journal[299] = (seq, subject, body.replace(b'"serial":"299"', b'"serial":"666"'))


def alter_subject(trail: Trail) -> None:
    seq, subject, body = trail.journal[299]
    trail.journal[299] = (seq, subject.replace("367203", "367204"), body)


def leave_out(trail: Trail) -> None:
    del trail.journal[299]


def swap(trail: Trail) -> None:
    (a, *one), (b, *other) = trail.journal[299], trail.journal[450]
    trail.journal[299], trail.journal[450] = (a, *other), (b, *one)  # type: ignore[assignment]


def cut(trail: Trail) -> None:
    del trail.journal[299:]


def roll_back(trail: Trail) -> None:
    trail.known.append(Checkpoint(SIGNER.name, SIGNED + 5, bytes(32)))


def begin_otherwise(trail: Trail) -> None:
    trail.known.append(Checkpoint(SIGNER.name, SIGNED, bytes(32)))


def pin_another_key(trail: Trail) -> None:
    trail.keys = [Signer(SIGNER.name, bytes(32))]


def alter_in_archive(trail: Trail) -> None:
    file = trail.log / bundle_path(1)
    entries = unpack(decompress(file.read_bytes()))
    entries[43] = entries[43].replace(b'"serial":"299"', b'"serial":"666"')
    file.write_bytes(compress(pack(entries)))


@pytest.mark.parametrize(
    ("spoil", "wrong"),
    [
        (alter, Wrong(300, "ektp.367203.application.case299", "altered")),
        (alter_subject, Wrong(300, "ektp.367204.application.case299", "altered")),
        (leave_out, Wrong(300, None, "missing")),
        (swap, Wrong(300, "ektp.367203.application.case450", "reordered")),
        (cut, Wrong(300, "ektp.367203.application.case299", "truncated")),
        (roll_back, Wrong(SIGNED + 1, None, "rolled_back")),
        (begin_otherwise, Wrong(1, None, "rolled_back")),
        (pin_another_key, Wrong(1, None, "wrong_key")),
        (alter_in_archive, Wrong(300, "ektp.367203.application.case299", "altered")),
    ],
)
def test_what_is_wrong_is_told_with_the_first_event(trail: Trail, spoil: Callable[[Trail], None], wrong: Wrong) -> None:
    spoil(trail)
    verdict = trail.verified()
    assert not verdict.ok
    assert verdict.first_wrong == wrong


def test_of_several_the_first_is_told(trail: Trail) -> None:
    swap(trail)
    alter(trail)
    trail.journal[10] = (11, *trail.journal[11][1:])
    assert trail.verified().first_wrong == Wrong(11, "ektp.367203.application.case11", "reordered")


@pytest.mark.parametrize("path", [tile_path(0, 1), tile_path(0, 2, 178), bundle_path(0), "checkpoint"])
@pytest.mark.parametrize("how", ["flipped", "missing"])
def test_a_damaged_file_is_named_though_the_journal_is_whole(trail: Trail, path: str, how: str) -> None:
    file = trail.log / path
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink() if how == "missing" else file.write_bytes(content)
    verdict = trail.verified()
    assert not verdict.ok
    named = [named for named, _ in verdict.files]
    assert path in named or "checkpoint" in named or verdict.first_wrong == Wrong(1, None, "wrong_key")


def test_what_does_not_belong_there_is_named(trail: Trail) -> None:
    (trail.log / "tile" / "notes.txt").write_text("hello")
    assert trail.verified().files == [("tile/notes.txt", "extra")]


def test_a_log_that_was_never_begun_is_no_fault(tmp_path: Path) -> None:
    verdict = Trail(tmp_path).verified()
    assert verdict.ok
    assert (verdict.size, verdict.unanchored) == (0, SIZE)
