"""What a disk may do to a data folder that lies still: folders to do it to, and random faults, each on files of one kind."""

import asyncio
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from infra.data_folder import DataFolder, open_folder
from infra.folder_lock import endpoint
from infra.journal import STREAM, Journal, Stored
from infra.nats_configuration import stream_directory
from infra.nats_connection import connect
from infra.tlog.tiles import read_head
from projections.feed import STREAM as FEED
from services.register.sample import cilegon
from tests.command import ektp, eventually, running, running_on
from tests.support import stored

SCALE = 0.001  # about 1,200 rows, 1,450 events
UNSIGNED = 100  # rows that no checkpoint covers when the backbone is killed


@dataclass(frozen=True)
class Prepared:
    """A folder as a stop left it."""

    stop: str
    path: Path
    older: Path  # the same folder, some events ago
    acknowledged: list[Stored]
    signed: int  # how many of them the log covers


def prepare(scratch: Path) -> dict[str, Prepared]:
    """One history: stopped in good order; again, with more in it; killed, with yet more in it that is not signed."""
    lines = list(cilegon(SCALE, 1))
    rows, first = len(lines) - 1, scratch / "first"
    ends = (rows // 2, rows * 3 // 4, rows - UNSIGNED, rows)
    books = [scratch / f"book-{end}.csv" for end in ends]
    for book, end in zip(books, ends, strict=True):
        book.write_text("".join(lines[: end + 1]))
    with running(first):
        ektp(first, "import", books[0])
    older = shutil.copytree(first, scratch / "older")
    with running(first):
        ektp(first, "import", books[1])
        acknowledged = everything(first)
    clean = Prepared("clean", shutil.copytree(first, scratch / "clean"), older, acknowledged, signed(first))
    behind = scratch / "log-behind"
    with running(first) as up:
        ektp(first, "import", books[2])
        eventually(lambda: signed(first) == len(everything(first)))
        shutil.copytree(first / "log", behind)
        ektp(first, "import", books[3])
        acknowledged = everything(first)
        eventually(lambda: signed(first) == len(acknowledged))
        assert ektp(first, "coverage").code == 0  # it waits for the views
        up.kill()
    eventually(lambda: not running_on(first))
    shutil.rmtree(first / "log")  # the log is up to 2 s behind the views: here it is for certain
    shutil.move(behind, first / "log")
    shutil.copy(first / "log" / "checkpoint", first / "keys" / "checkpoint")
    killed = Prepared("kill -9", first, clean.path, acknowledged, signed(first))
    assert clean.signed == len(clean.acknowledged)
    assert killed.signed < len(killed.acknowledged)
    return {"clean": clean, "kill -9": killed}


def everything(data: Path) -> list[Stored]:
    """The journal of a backbone that runs."""

    async def ask() -> list[Stored]:
        there = endpoint(open_folder(data))
        assert there
        connection = await connect(open_folder(data), "desk", there.url)
        try:
            return await stored(Journal(connection))
        finally:
            await connection.close()

    return asyncio.run(ask())


def signed(data: Path) -> int:
    """How many events the newest checkpoint covers."""
    head = read_head(data / "log")
    return head[0].size if head else 0


Find = Callable[[DataFolder], Sequence[Path]]


def _in_store(name: str) -> Find:
    """The journal's, and the feed's, with which it may be swapped."""
    return lambda folder: [stream_directory(folder, stream) / name for stream in (STREAM, FEED)]


def _files(directory: Path, suffix: str) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix == suffix)


KINDS: dict[str, Find] = {  # the first is harmed, or any one of several
    "newest block": _in_store("msgs/1.blk"),
    "meta.inf": _in_store("meta.inf"),
    "meta.sum": _in_store("meta.sum"),
    "index.db": _in_store("msgs/index.db"),
    "log tile": lambda folder: _files(folder.log / "tile", ""),
    "log bundle": lambda folder: _files(folder.log / "tile" / "entries", ".zst"),
    "log checkpoint": lambda folder: [folder.log / "checkpoint", folder.keys / "checkpoint"],
    "keys/checkpoint": lambda folder: [folder.keys / "checkpoint"],
    "run/guard.json": lambda folder: [folder.path / "run" / "guard.json"],
    "views.sqlite": lambda folder: [folder.views / "views.sqlite"],
}
DIRECTORIES: dict[str, Callable[[DataFolder], Path]] = {
    "nats/ whole": lambda folder: folder.nats,
    "log/ whole": lambda folder: folder.log,
    "views/ whole": lambda folder: folder.views,
}
FILE_FAULTS = ("bit flipped", "tail cut", "deleted", "swapped", "older copy")


def harm(folder: DataFolder, older: Path, kind: str, what: str, random: Random) -> str | None:
    """Do it and tell where; None where there is no such file, or it is as before."""
    if kind in DIRECTORIES:
        directory = DIRECTORIES[kind](folder)
        shutil.rmtree(directory)
        if what == "older copy":
            shutil.copytree(older / directory.relative_to(folder.path), directory)
        return directory.name
    files = [file for file in KINDS[kind](folder) if file.exists()]
    if not kind.startswith("log "):
        files = files[:2]
    elif kind != "log checkpoint":
        random.shuffle(files)
    if len(files) < (2 if what == "swapped" else 1):
        return None
    file, before, at = files[0], files[0].read_bytes(), 0
    match what:
        case "bit flipped":
            at = random.randrange(len(before))
            file.write_bytes(before[:at] + bytes([before[at] ^ 1 << random.randrange(8)]) + before[at + 1 :])
        case "tail cut":
            most = random.choice([64, 4_096, len(before)])  # a tail is short as often as long
            at = len(before) - random.randint(1, min(most, len(before)))
            os.truncate(file, at)
        case "deleted":
            file.unlink()
        case "swapped":
            file.write_bytes(files[1].read_bytes())
            files[1].write_bytes(before)
        case _:
            copy = older / file.relative_to(folder.path)
            if not copy.exists():
                return None
            shutil.copy(copy, file)
    if file.exists() and file.read_bytes() == before:
        return None
    return f"{file.relative_to(folder.path)} at {at}"


def plan(trials: int, random: Random) -> list[tuple[str, str, str]]:
    """(stop, kind, fault) of so many trials: every pairing as often as any other, in random order."""
    file_faults = [(kind, what) for kind in KINDS for what in FILE_FAULTS]
    pairings = [
        (stop, kind, what)
        for stop in ("clean", "kill -9")
        for kind, what in [*file_faults, *((kind, what) for kind in DIRECTORIES for what in ("deleted", "older copy"))]
    ]
    planned = list[tuple[str, str, str]]()
    while len(planned) < trials:
        planned += random.sample(pairings, len(pairings))
    return planned[:trials]
