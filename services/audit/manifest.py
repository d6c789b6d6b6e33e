"""The manifest of an export: every file with its SHA-256, signed by the log's key (C2SP signed-note)."""

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path

from infra.tlog.note import LOG, BadNote, Note, Signer, Verifier, read_note

NAME = "manifest"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_manifest(directory: Path, signer: Signer, position: int) -> None:
    """Last of all: `position` is that of the journal's last event in the export. Raises OSError."""
    lines = [f"{digest}  {path}" for path, digest in _digests(directory)]
    text = "\n".join([f"{signer.name}/export", str(position), *lines, ""])
    (directory / NAME).write_text(str(Note(text, (signer.line(text),))))


def check_manifest(directory: Path, keys: Sequence[Verifier]) -> list[tuple[str, str]]:
    """(path, why) of every file that is changed, extra or missing; of the manifest itself, where it is not to be trusted."""
    try:
        note = read_note((directory / NAME).read_text())
        signed = bool(note.signed_by([key for key in keys if key.type == LOG]))
    except (OSError, UnicodeDecodeError, BadNote):
        signed = False
    if not signed:
        return [(NAME, "not signed by this key")]
    told = {match[2]: match[1] for line in note.text.splitlines() if (match := _LINE.fullmatch(line))}
    found = dict(_digests(directory))
    changed = [(path, "changed") for path, digest in found.items() if path in told and told[path] != digest]
    extra = [(path, "extra") for path in found if path not in told]
    return sorted([*changed, *extra, *((path, "missing") for path in told if path not in found)])


def _digests(directory: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path != directory / NAME:
            yield path.relative_to(directory).as_posix(), sha256(path.read_bytes()).hexdigest()
