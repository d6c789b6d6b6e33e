"""Where a trail lies: a data folder or a copy of one, a log's directory, or an export; and the keys to verify it with."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from events.problem import Problem
from infra.data_folder import DataFolder
from infra.guard.blocks import Damage, Record, records
from infra.journal import STREAM
from infra.nats_configuration import stream_directory
from infra.tlog.checkpoint import Checkpoint
from infra.tlog.identity import last_signed
from infra.tlog.note import LOG, BadNote, Verifier, read_vkey


@dataclass(eq=False)
class NotATrail(Problem):
    """There is nothing in that directory that could be verified."""

    directory: str
    code: ClassVar[str] = "not_a_trail"
    status: ClassVar[int] = 404
    sentence_id: ClassVar[str] = (
        "Di {directory} tidak ada jejak audit. Tunjuk folder data, salinannya, atau hasil: ektp audit export."
    )
    sentence_en: ClassVar[str] = (
        "There is no audit trail in {directory}. Name a data folder, a copy of one, or what ektp audit export made."
    )


@dataclass(eq=False)
class NotAKey(Problem):
    """The file holds no public key of a log, one a line: <name>+<id>+<base64>."""

    file: str
    code: ClassVar[str] = "not_a_key"
    sentence_id: ClassVar[str] = "{file} bukan kunci publik jejak audit. Pakai berkas log/key dari layanan itu."
    sentence_en: ClassVar[str] = "{file} is no public key of a trail. Use that backbone's file log/key."


@dataclass(frozen=True)
class Trail:
    """`log`: with checkpoint and tiles. `folder`: the data folder that it is in, which need not be ours to write."""

    directory: Path
    log: Path
    folder: DataFolder | None = None

    @property
    def manifest(self) -> Path:
        """Signed, of an export."""
        return self.directory / "manifest"

    def known(self) -> list[Checkpoint]:
        """Checkpoints that were signed, by copies outside the log; one that is damaged says nothing."""
        if not self.folder:
            return []
        try:
            known = last_signed(self.folder.keys / "checkpoint", read_keys(self.log / "key"))
        except NotAKey:
            return []
        return [known] if known else []

    def stored(self) -> Iterator[Record | Damage] | None:
        """The journal as it lies in the server's files; None where the trail has none. Only while no server runs."""
        messages = stream_directory(self.folder, STREAM) / "msgs" if self.folder else None
        return records(messages, STREAM) if messages and messages.is_dir() else None


def find_trail(directory: Path) -> Trail:
    """Raises NotATrail."""
    directory = directory.resolve()
    if (directory / "backbone.json").is_file():
        try:
            backbone = str(json.loads((directory / "backbone.json").read_bytes())["backbone"])
        except (ValueError, LookupError, TypeError):
            backbone = ""
        folder = DataFolder(directory, backbone)
        return Trail(directory, folder.log, folder)
    for log in (directory, directory / "log"):
        if (log / "checkpoint").is_file() or (log / "tile").is_dir():
            return Trail(directory, log)
    raise NotATrail(str(directory))


def keys_for(trail: Trail, pinned: Path | None) -> tuple[list[Verifier], str]:
    """(public keys of the log and of witnesses, where they come from). Raises NotAKey."""
    file = pinned or trail.log / "key"
    return [*read_keys(file), *_known_witnesses(trail)], str(file)


def read_keys(file: Path) -> list[Verifier]:
    """The public keys in a file, one a line, at least one of them a log's. Raises NotAKey."""
    try:
        keys = [read_vkey(line) for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError, BadNote):
        raise NotAKey(str(file)) from None
    if not any(key.type == LOG for key in keys):
        raise NotAKey(str(file))
    return keys


def _known_witnesses(trail: Trail) -> list[Verifier]:
    """Those that the backbone asks itself: good to know, though who wants proof names them with --key."""
    try:
        asked = json.loads((trail.folder.keys / "witnesses.json").read_bytes()) if trail.folder else []
        return [read_vkey(each["key"]) for each in asked]
    except (OSError, ValueError, LookupError, TypeError, BadNote):
        return []
