"""Who may hear the feed, and what of it: keys/subscribers.json (0600). The server knows them from its configuration."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from infra.data_folder import DataFolder, locked, write_durably
from infra.folder_errors import FolderDamaged, writing

PLACES = 64  # accounts that the server keeps ready for them


class Subscriber(NamedTuple):
    """One subscriber, known by its name."""

    place: int  # from 1: which of the accounts is its own
    password: str
    subjects: list[str]  # of the feed, with wildcards


def user(name: str) -> str:
    """What a subscriber of this name connects as; none of the backbone's own users is called so."""
    return f"subscriber-{name}"


def subscribers(folder: DataFolder) -> dict[str, Subscriber]:
    """All of them, by name. Raises FolderDamaged."""
    file = folder.keys / "subscribers.json"
    if not file.exists():
        return {}
    try:
        return {name: Subscriber(**said) for name, said in json.loads(file.read_bytes()).items()}
    except (ValueError, TypeError, AttributeError):
        raise FolderDamaged(str(folder.path), "keys/subscribers.json") from None


@contextmanager
def changing(folder: DataFolder) -> Iterator[dict[str, Subscriber]]:
    """All of them, to be changed in place; stored at the end of the block. One caller at a time, others wait.

    Raises FolderDamaged, FolderNotWritable.
    """
    with writing(folder.path), locked(folder.keys):
        known = subscribers(folder)
        yield known
        file = folder.keys / "subscribers.json"
        write_durably(file, json.dumps({name: one._asdict() for name, one in known.items()}).encode())
