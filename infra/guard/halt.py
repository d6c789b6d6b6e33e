"""A halted backbone: events are lost that no copy here can bring back. It answers questions and takes no command."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from events.problem import Problem
from infra.data_folder import DataFolder, remove_durably, require_room, write_durably


@dataclass(eq=False)
class Halted(Problem):
    """Nothing may be recorded on top of a journal that lost events, until `ektp audit restore` was run."""

    folder: str
    seq: int  # first position that is lost
    known: int  # greatest position that was given before
    set_aside: str  # what the blocks that were copied to aside/ begin with
    code: ClassVar[str] = "journal_halted"
    status: ClassVar[int] = 503
    sentence_id: ClassVar[str] = (
        "Jurnal di {folder} rusak: peristiwa {seq} (dari {known}) hilang dan tidak ada salinannya di sini. "
        "Tidak ada yang dicatat. Hentikan layanan, lalu jalankan: ektp audit restore."
    )
    sentence_en: ClassVar[str] = (
        "The journal in {folder} is damaged: event {seq} (of {known}) is lost and there is no copy of it here. "
        "Nothing is recorded. Stop the backbone, then run: ektp audit restore."
    )


def halt(folder: DataFolder, seq: int, known: int, set_aside: str) -> Halted:
    """From now on, and over restarts, nothing is recorded. Raises OSError."""
    halted = Halted(str(folder.path), seq, known, set_aside)
    document = asdict(halted) | {key: halted.document()[key] for key in ("code", "message_id", "message_en")}
    write_durably(_file(folder), json.dumps(document, ensure_ascii=False).encode())
    return halted


def halted(folder: DataFolder) -> Halted | None:
    """Why this backbone is halted, if it is. A file that cannot be read halts, too."""
    try:
        said = json.loads(_file(folder).read_bytes())
        return Halted(str(folder.path), said["seq"], said["known"], said["set_aside"])
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError):
        return Halted(str(folder.path), 0, 0, "")


def clear_halt(folder: DataFolder) -> None:
    """Raises OSError."""
    remove_durably(_file(folder))


def require_not_halted(folder: DataFolder) -> None:
    """Raises Halted. Where the backbone is not halted this is one look at the file's name."""
    if _file(folder).exists() and (why := halted(folder)):
        raise why


def require_recordable(folder: DataFolder) -> None:
    """Asked before every append. Raises Halted, DiskNearlyFull."""
    require_not_halted(folder)
    require_room(folder)


def _file(folder: DataFolder) -> Path:
    return folder.path / "halted.json"
