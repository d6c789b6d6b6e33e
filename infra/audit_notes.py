"""What is to become an audit fact, kept in `run/` until the writer has recorded it: `audit-<id>.json`, where the id is that
of the event, so that it is recorded once whatever crashes.

What is to be noted of a rebuild of the journal is `audit.intended` while that goes on. It counts when the rebuild does, and
is forgotten where that was cut off and begins again.
"""

import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import orjson
import structlog
from pydantic import ValidationError

from events.audit import AdministrativeCall, AuditFact, PutBack, Restored
from infra.data_folder import DataFolder, remove_durably, write_durably

log = structlog.get_logger()
_KINDS = {kind.TYPE: kind for kind in (PutBack, Restored, AdministrativeCall)}


class Note(NamedTuple):
    """An audit fact to be."""

    id: str  # of its event: 32 hex digits
    noticed: datetime  # aware
    fact: AuditFact


def leave(folder: DataFolder, note: Note) -> None:
    """Raises OSError."""
    write_durably(_file(folder, note.id), _written(note))


def intend(folder: DataFolder, fact: AuditFact) -> None:
    """Before a rebuild, in place of what an earlier one intended. Raises OSError."""
    write_durably(_intended(folder), _written(Note(secrets.token_hex(16), datetime.now(UTC), fact)))


def forget_intended(folder: DataFolder) -> None:
    """The rebuild was cut off. Raises OSError."""
    remove_durably(_intended(folder))


def keep_intended(folder: DataFolder) -> None:
    """The rebuild counts; nothing happens where none was intended. Raises OSError."""
    if note := _read(_intended(folder)):
        _intended(folder).rename(_file(folder, note.id))


def notes(folder: DataFolder) -> list[Note]:
    """Those that are not recorded yet, oldest first. Raises OSError."""
    found = [_read(file) for file in (folder.path / "run").glob("audit-*.json")]
    return sorted((note for note in found if note), key=lambda note: note.noticed)


def drop(folder: DataFolder, note: Note) -> None:
    """It is recorded. Raises OSError."""
    remove_durably(_file(folder, note.id))


def _written(note: Note) -> bytes:
    return orjson.dumps(
        {"id": note.id, "noticed": note.noticed, "type": note.fact.TYPE, "data": note.fact.model_dump(exclude_none=True)}
    )


def _read(file: Path) -> Note | None:
    """None where there is none, or nothing that can be read: a backbone starts all the same."""
    try:
        said = orjson.loads(file.read_bytes())
        fact = _KINDS[said["type"]].model_validate(said["data"])
        return Note(said["id"], datetime.fromisoformat(said["noticed"]), fact)
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, ValidationError) as broken:
        log.error("an audit note cannot be read", file=file.name, why=type(broken).__name__)  # noqa: TRY400
        return None


def _file(folder: DataFolder, event_id: str) -> Path:
    return folder.path / "run" / f"audit-{event_id}.json"


def _intended(folder: DataFolder) -> Path:
    return folder.path / "run" / "audit.intended"
