"""Looking at the journal's files before the server starts, and comparing them with the log. Design section 5.

It is the server's start that destroys: at a flipped bit it skips an event silently, or cuts what is behind it and gives its
positions away again. `run/guard.json` holds what is known to be good: closed blocks never change under deny_delete.
"""

import itertools
import json
import re
import time
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Literal, NamedTuple

from events.envelope import subject_in
from infra.data_folder import DataFolder, remove_durably, write_durably
from infra.guard.archive import Archive
from infra.guard.blocks import Record, block_files, block_records
from infra.guard.viewed import seen_by_views
from infra.journal import STREAM
from infra.nats_configuration import stream_directory
from infra.tlog.merkle import leaf_hash

_BATCH = re.compile(rb"Nats-Batch-Id: \S+\r")
CHECKING = "checking"  # set-aside blocks of a start that is not yet known to have gone well are called so
_WRONG_MAX = 100
Why = Literal["altered", "missing", "reordered", "truncated"]


class Wrong(NamedTuple):
    """One thing that is wrong with the journal's files."""

    seq: int
    subject: str | None
    why: Why


class Block(NamedTuple):
    """What a block that was found good is known by."""

    size: int  # bytes
    sha256: str
    first: int
    last: int


@dataclass
class Inspection:
    """What the files hold, compared with the log."""

    archive: Archive
    clean: bool  # the server was stopped in good order
    by_checksum: bool = False  # ask the server's checksum also of events that the log has
    last: int = 0  # position of the last event in the files that counts
    known: int = 0  # greatest position that is known to have been given
    wrong: list[Wrong] = field(default_factory=list)
    tail: dict[int, Record] = field(default_factory=dict)  # good ones beyond the log
    walked_from: int = 1  # first position that was looked at one by one
    walked: list[bytes] = field(default_factory=list)  # fingerprints of the events from there to `last`
    beyond_log: list[Path] = field(default_factory=list)  # blocks with events that the log does not have
    good: dict[int, Block] = field(default_factory=dict)


def inspect(folder: DataFolder) -> Inspection:
    """Look at everything that is not on record as good, while no server runs.

    An event is good that has the log's hash, or where the log does not reach the server's own checksum, and lies under
    the subject that its body says. Raises OSError.
    """
    seen = Inspection(Archive(folder), folder.clean_stop.exists())
    files = block_files(stream_directory(folder, STREAM) / "msgs")
    recorded = _on_record(folder)
    position = _walk(seen, files, recorded, None)
    _look_at_the_end(seen, folder, position)
    if files and not seen.clean:  # the server may cut the newest
        seen.good.pop(files[-1][0], None)
    return seen


def put_on_record(folder: DataFolder, seen: Inspection) -> None:
    """Its good blocks, once the server was found to have what was seen in them: the log's hash does not cover all that the
    server wants of a record. Raises OSError."""
    if not seen.wrong:
        write_durably(_record_file(folder), json.dumps(seen.good).encode())


def record_good_blocks(folder: DataFolder, within_s: float) -> None:
    """After a clean stop: put on record what is good, by the server's checksums, too, as far as time allows, so that the
    next start is quick. Raises OSError."""
    seen = Inspection(Archive(folder), clean=True, by_checksum=True)
    _walk(seen, block_files(stream_directory(folder, STREAM) / "msgs"), _on_record(folder), time.monotonic() + within_s)
    put_on_record(folder, seen)


def _walk(seen: Inspection, files: list[tuple[int, Path]], recorded: dict[int, Block], until_s: float | None) -> int:
    """Look at each block in order, `until_s` by the monotonic clock; returns the greatest position met."""
    position = 0
    for number, file in files:
        if until_s is not None and (time.monotonic() > until_s or position > seen.archive.size):
            return position
        content, known = file.read_bytes(), recorded.get(number)
        unchanged = known is None or known.sha256 == sha256(memoryview(content)[: known.size]).hexdigest()
        whole = known and unchanged and known.size == len(content) and known.first == position + 1
        if known and whole and not seen.walked:
            seen.good[number] = known
            position = known.last
            continue
        first, wrongs = position + 1, len(seen.wrong)
        if not seen.walked:
            seen.walked_from = first
        trusted = known.last if known and unchanged else 0
        position = _walk_block(seen, content, number, position, trusted, is_newest=number == files[-1][0])
        if position > seen.archive.size:
            seen.beyond_log.append(file)
        if not unchanged and wrongs == len(seen.wrong):
            _is_wrong(seen, first, None, "altered")
        if wrongs == len(seen.wrong):
            seen.good[number] = Block(len(content), sha256(content).hexdigest(), first, position)
    seen.last = position
    return position


def _walk_block(seen: Inspection, content: bytes, number: int, position: int, trusted: int, is_newest: bool) -> int:
    for found in block_records(content, number, STREAM, position):
        if isinstance(found, Record):
            if found.seq > position + 1:
                _is_wrong(seen, position + 1, None, "missing")
            elif found.seq <= position:
                _is_wrong(seen, found.seq, found.subject, "reordered")
                continue
            if not _take(seen, found) or (seen.by_checksum and found.seq > trusted and not found.is_sound(STREAM)):
                _is_wrong(seen, found.seq, found.subject, "altered")
            seen.walked.append(fingerprint(found.subject, found.body))
        elif found.why == "torn":
            if not is_newest or seen.clean:
                _is_wrong(seen, found.seq, None, "truncated")
            break
        else:
            _is_wrong(seen, found.seq, found.mended and found.mended.subject, "altered")
            if found.mended:
                _take(seen, found.mended)
        position = found.seq
    return position


def is_good(record: Record, archive: Archive) -> bool:
    """By the log where it reaches, else by the server's checksum; and under the subject that its body says."""
    leaf = archive.leaf(record.seq)
    hash_fits = record.is_sound(STREAM) if leaf is None else leaf == leaf_hash(record.body)
    return hash_fits and record.subject == subject_in(record.body)


def _take(seen: Inspection, record: Record) -> bool:
    """Whether it is good; kept where the log does not have it."""
    good = is_good(record, seen.archive)
    if good and record.seq > seen.archive.size:
        seen.tail.setdefault(record.seq, record)
    return good


def fingerprint(subject: str, body: bytes) -> bytes:
    """To compare what was seen in the files with what the server gives."""
    return sha256(b"%b\0%b" % (subject.encode(), body)).digest()


def _unfinished_batch(events: dict[int, Record]) -> list[int]:
    """Positions of the last events, where they are the beginning of an atomic batch: nobody was told that it is stored."""
    seqs = sorted(events, reverse=True)
    batch = _BATCH.search(events[seqs[0]].headers) if seqs else None
    if batch is None or b"Nats-Batch-Commit:" in events[seqs[0]].headers:
        return []
    return list(itertools.takewhile(lambda seq: batch[0] in events[seq].headers, seqs))


def _look_at_the_end(seen: Inspection, folder: DataFolder, position: int) -> None:
    """What is missing at the end, by what the log, the views and an interrupted check of an earlier start know; what does
    not count."""
    for number, file in block_files(folder.aside):
        if file.name.startswith(CHECKING):
            for found in block_records(file.read_bytes(), number, STREAM, 0):
                if isinstance(found, Record) and found.seq > max(position, seen.archive.size):
                    _take(seen, found)
    unfinished, viewed = _unfinished_batch(seen.tail), seen_by_views(folder)
    if unfinished and unfinished[0] >= position and unfinished[0] > viewed:
        for seq in unfinished:
            del seen.tail[seq]
        position = seen.last = min(seen.last, unfinished[-1] - 1)
        del seen.walked[max(0, position - seen.walked_from + 1) :]
    seen.known = max([seen.archive.size, position, viewed, *seen.tail])
    if seen.last < seen.known:
        _is_wrong(seen, seen.last + 1, None, "truncated" if seen.last else "missing")


def _is_wrong(seen: Inspection, seq: int, subject: str | None, why: Why) -> None:
    if len(seen.wrong) < _WRONG_MAX:
        seen.wrong.append(Wrong(seq, subject, why))


def _on_record(folder: DataFolder) -> dict[int, Block]:
    """Nothing where the file is missing or broken: all blocks are then looked at."""
    try:
        return {int(number): Block(*block) for number, block in json.loads(_record_file(folder).read_bytes()).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def forget_record(folder: DataFolder) -> None:
    """Before other blocks take the place of these."""
    remove_durably(_record_file(folder))


def _record_file(folder: DataFolder) -> Path:
    return folder.path / "run" / "guard.json"
