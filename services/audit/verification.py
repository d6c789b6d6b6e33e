"""Whether a trail is whole: the signed log, its archive and the journal compared, event by event; off-line, no server.

Everything is derived from the public key: the signature of the checkpoint, the tiles that lead to its root, the leaf hashes
in these, and the entries. The first event that is wrong is named, and every file that is.
"""

import base64
import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from events.envelope import subject_in
from infra.tlog import merkle
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.merkle import leaf_hash
from infra.tlog.note import LOG, WITNESS, BadNote, Verifier
from infra.tlog.tiles import WIDTH, LogDamaged, Tiles, bundle_path, read_head
from services.witness_notes import Cosigned, cosigned_by, rolled_back

Why = Literal["altered", "missing", "reordered", "truncated", "rolled_back", "wrong_key"]
Message = tuple[int, str, bytes]  # position, NATS subject, body
_LAYOUT = re.compile(
    r"checkpoint|key|witness-key|cosigned/[^/]+|tile/(\d+|entries)/(x\d{3}/)*\d{3}(\.p/\d+)?(\.zst)?|.*\.new"
)


@dataclass(frozen=True)
class Wrong:
    """An event that is not what was signed."""

    seq: int
    subject: str | None  # None where it cannot be told
    why: Why


@dataclass
class Verdict:
    """What was found. `files`: (path below the trail's directory, why) of what is changed, extra or unreadable."""

    key_from: str
    size: int = 0
    root: bytes = merkle.EMPTY_ROOT
    unanchored: int = 0  # events of the journal that no checkpoint covers yet
    cosigned: list[Cosigned] = field(default_factory=list)
    first_wrong: Wrong | None = None
    files: list[tuple[str, str]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.first_wrong is None and not self.files

    def wrong(self, seq: int, subject: str | None, why: Why) -> None:
        """Keep it if no earlier event is wrong."""
        if self.first_wrong is None or seq < self.first_wrong.seq:
            self.first_wrong = Wrong(seq, subject, why)

    def document(self) -> dict[str, Any]:
        """`ektp audit verify --json` (contract: documents)."""
        return {
            "ok": self.ok,
            "size": self.size,
            "root": base64.b64encode(self.root).decode(),
            "unanchored": self.unanchored,
            "key_from": self.key_from,
            "cosigned_by": self.cosigned,
            "first_wrong": self.first_wrong and vars(self.first_wrong),
            "files": [{"path": path, "why": why} for path, why in self.files],
        }


class Verification:
    """One trail: its log is looked at when this is made, its journal message by message, then comes `verdict`."""

    def __init__(
        self, log: Path, keys: Sequence[Verifier], key_from: str, known: Sequence[Checkpoint], prefix: str = ""
    ) -> None:
        """`keys`: of the log, and of witnesses. `known`: checkpoints of this log that were seen before. `prefix`: of the
        log's directory in what is told of files."""
        self._log, self._prefix = log, prefix
        self.verdict = Verdict(key_from)
        self.tiles: Tiles | None = None
        self._rebuilt: dict[int, list[bytes] | None] = {}  # leaf hashes of damaged tiles, by number
        self._seq = 0  # of the journal's last message so far
        try:
            head = read_head(log)
            if head is None:
                if known or (log / "tile").exists():
                    raise LogDamaged("checkpoint", "missing")
                return
            checkpoint, note = head
            log_keys = [key for key in keys if key.type == LOG and key.name == checkpoint.origin]
            if not _is_signed(note.signed_by, log_keys):
                self.verdict.wrong(1, None, "wrong_key")
                return
            self.verdict.size, self.verdict.root = checkpoint.size, checkpoint.root
            witnesses = [key for key in keys if key.type == WITNESS]
            self.verdict.cosigned = cosigned_by(log, checkpoint, witnesses)
            if any(each.origin == checkpoint.origin and each.size > checkpoint.size for each in known):
                self.verdict.wrong(checkpoint.size + 1, None, "rolled_back")
            self.tiles = tiles = Tiles(log, checkpoint)
            if any(each.size <= checkpoint.size and merkle.root(each.size, tiles.perfect) != each.root for each in known):
                self.verdict.wrong(1, None, "rolled_back")  # another beginning: from where on, only the older log knows
            for seen in rolled_back(tiles, checkpoint.origin, witnesses):
                self.verdict.wrong(min(seen["size"], checkpoint.size) + 1, None, "rolled_back")
        except LogDamaged as damage:
            self._file(damage)

    def archive(self, progress: Callable[[int], None]) -> None:
        """Compare every tile and archived event with the checkpoint; `progress` is told how many events each time."""
        for number in self.tiles.bundles if self.tiles else ():
            assert self.tiles is not None
            first, entries = number * WIDTH + 1, list[bytes]()
            try:
                entries = self.tiles.stored_entries(number)
            except LogDamaged as damage:
                self._file(damage)
            hashes = self._leaf_hashes(number, entries)
            if not (hashes and entries):
                self.verdict.wrong(first, None, "missing")
                continue
            for seq, (entry, hashed) in enumerate(zip(entries, hashes, strict=False), first):
                if leaf_hash(entry) != hashed:
                    self._archived_wrong(number, seq, entry)
                    break
            if len(entries) != len(hashes):
                self._archived_wrong(number, first + min(len(entries), len(hashes)), b"")
            progress(len(entries))
        self.verdict.files += [(path, "extra") for path in self._extra()]

    def take(self, messages: Iterable[Message]) -> None:
        """Compare the journal's next messages. A message that is left out may come as one with the next position."""
        size = self.verdict.size if self.tiles else 0
        for seq, subject, body in messages:
            if seq != self._seq + 1:
                self.verdict.wrong(self._seq + 1, None, "missing")
            self._seq = seq
            signed = self._hashed(seq) if seq <= size else None
            if signed and (hashed := leaf_hash(body)) != signed:
                if self.verdict.first_wrong is None or seq < self.verdict.first_wrong.seq:  # looking takes a while
                    self.verdict.wrong(seq, subject, "reordered" if self._is_elsewhere(hashed) else "altered")
            elif subject_in(body) != subject:
                self.verdict.wrong(seq, subject, "altered")

    def unreadable(self, seq: int) -> None:
        """The journal's store has something at this position that cannot be read."""
        self.verdict.wrong(seq, None, "altered")
        self._seq = max(seq, self._seq)

    def ended(self) -> Verdict:
        """The journal has no more messages."""
        if self._seq < self.verdict.size:
            self.verdict.wrong(self._seq + 1, self._archived_subject(self._seq + 1), "truncated")
        self.verdict.unanchored = max(0, self._seq - self.verdict.size)
        return self.verdict

    def _leaf_hashes(self, number: int, entries: Sequence[bytes] = ()) -> list[bytes] | None:
        """What was signed: by the tile, or where that is damaged by the entries, if they lead to the level above."""
        if number not in self._rebuilt:
            assert self.tiles is not None
            try:
                return self.tiles.hashes(0, number)
            except LogDamaged as damage:
                self._file(damage)
            with contextlib.suppress(LogDamaged):
                hashes = [leaf_hash(entry) for entry in entries]
                lead_up = len(hashes) == WIDTH and self.tiles.perfect(number * WIDTH, 8) == merkle.perfect_root(hashes)
                self._rebuilt[number] = hashes if lead_up else None
        return self._rebuilt.get(number)

    def _hashed(self, seq: int) -> bytes | None:
        """The leaf hash that was signed; None where it cannot be told, which is said of the file."""
        number, at = divmod(seq - 1, WIDTH)
        hashes = self._leaf_hashes(number)
        return hashes[at] if hashes else None

    def _is_elsewhere(self, hashed: bytes) -> bool:
        bundles = self.tiles.bundles if self.tiles else ()
        return any(hashed in (self._leaf_hashes(number) or ()) for number in bundles)

    def _archived_wrong(self, number: int, seq: int, entry: bytes) -> None:
        path = bundle_path(number, self.tiles.width(0, number)) if self.tiles else ""
        self._file(LogDamaged(path, f"event {seq} is not what was signed"))
        moved = bool(entry) and self._is_elsewhere(leaf_hash(entry))
        self.verdict.wrong(seq, subject_in(entry) or None, "reordered" if moved else "altered" if entry else "missing")

    def _archived_subject(self, seq: int) -> str | None:
        number, at = divmod(seq - 1, WIDTH)
        try:
            return subject_in(self.tiles.entries(number)[at]) or None if self.tiles else None
        except (LogDamaged, IndexError):
            return None

    def _file(self, damage: LogDamaged) -> None:
        told = (self._prefix + damage.path, damage.why)
        if told not in self.verdict.files:
            self.verdict.files.append(told)

    def _extra(self) -> Iterator[str]:
        for path in sorted(self._log.rglob("*")):
            inside = path.relative_to(self._log).as_posix()
            if path.is_file() and not _LAYOUT.fullmatch(inside):
                yield self._prefix + inside


def _is_signed(signed_by: Callable[[Iterable[Verifier]], dict[str, int | None]], keys: Sequence[Verifier]) -> bool:
    try:
        return bool(keys and signed_by(keys))
    except BadNote:
        return False
