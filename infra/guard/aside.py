"""Blocks of the server that are kept aside: flat in `aside/`, as `<when>-<n>.block`, so that nothing takes them for a store.

While a start is checked the copies are called `checking-<n>.block`. While a journal is rebuilt its old store lies in
`aside/<when>-rebuilding`; found there by a later start, it goes back to its place, and all begins again.
"""

import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from infra.audit_notes import forget_intended
from infra.data_folder import DataFolder
from infra.guard.blocks import block_files
from infra.guard.inspection import CHECKING
from infra.journal import STREAM
from infra.nats_configuration import stream_directory

_REBUILDING, _REBUILT = "-rebuilding", "-rebuilt"


def new_prefix() -> str:
    """What the names of blocks that are set aside now begin with."""
    return f"{STREAM}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"


def copy_aside(folder: DataFolder, files: Iterable[Path], prefix: str = CHECKING) -> None:
    """Copies, not links: the server cuts its files in place. Raises OSError."""
    for file in files:
        copy = folder.aside / f"{prefix}-{file.stem}.block"
        making = copy.with_suffix(".making")
        shutil.copyfile(file, making)
        with making.open("rb") as written:
            os.fsync(written.fileno())
        making.replace(copy)


def forget_copies(folder: DataFolder) -> None:
    """The start went well."""
    for file in folder.aside.glob(f"{CHECKING}-*"):
        file.unlink()


def keep_copies(folder: DataFolder, prefix: str) -> None:
    """The copies of a start that went badly stay."""
    for file in folder.aside.glob(f"{CHECKING}-*.block"):
        file.rename(folder.aside / file.name.replace(CHECKING, f"{prefix}-before", 1))


def set_aside(folder: DataFolder, prefix: str) -> list[tuple[int, Path]]:
    """What was set aside under this prefix: (number, file) in order."""
    return [(number, file) for number, file in block_files(folder.aside) if prefix and file.name.startswith(f"{prefix}-")]


def move_store_aside(folder: DataFolder) -> Path:
    """Make room for a new store. Raises OSError."""
    moved = folder.aside / f"{new_prefix()}{_REBUILDING}"
    store = stream_directory(folder, STREAM)
    if store.exists():
        store.rename(moved)
    else:
        moved.mkdir()  # that it is being rebuilt must show all the same
    return moved


def keep_old_store(folder: DataFolder, moved: Path) -> str:
    """The new store is whole: of the old one its blocks stay; returns the prefix of their names."""
    prefix = moved.name.removesuffix(_REBUILDING)
    _flatten(folder, moved.rename(moved.with_name(prefix + _REBUILT)))
    return prefix


def undo_interrupted_rebuild(folder: DataFolder) -> None:
    """Put the old store back where a rebuild did not come to its end, so that it begins again. Raises OSError."""
    for old in folder.aside.glob(f"*{_REBUILDING}"):
        store = stream_directory(folder, STREAM)
        shutil.rmtree(store, ignore_errors=True)
        store.parent.mkdir(parents=True, exist_ok=True)
        forget_intended(folder)
        old.rename(store)
    for old in folder.aside.glob(f"*{_REBUILT}"):
        _flatten(folder, old)


def _flatten(folder: DataFolder, old: Path) -> None:
    for number, file in block_files(old / "msgs"):
        file.rename(folder.aside / f"{old.name.removesuffix(_REBUILT)}-{number}.block")
    shutil.rmtree(old)
