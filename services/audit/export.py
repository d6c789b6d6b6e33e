"""An export for an auditor: the log with plain entry tiles, its events as CSV, and the coverage figures with their rows.

log/               checkpoint, key, hash tiles, entry tiles (C2SP tlog-tiles): all proofs follow from these
events.csv         one line per event, nothing personal
coverage.json      the figures as of the checkpoint's last event, the journal position among them
coverage_rows.csv  each event that one of the figures counts
manifest           every file with its SHA-256, signed by the log's key; written last
"""

import csv
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import orjson

from events.envelope import Event, decode
from events.problem import Problem
from infra.database import scratch_database
from infra.tlog.bundle import pack
from infra.tlog.merkle import leaf_hash
from infra.tlog.note import Signer
from infra.tlog.tiles import WIDTH, Tiles, bundle_path, read_head
from projections import coverage
from services.audit.manifest import write_manifest
from services.coverage_document import coverage_document
from services.wording import told

EVENT_COLUMNS = ["seq", "office", "entity", "id", "version", "event", "occurred", "recorded"]
EVENT_COLUMNS += ["actor", "event_id", "command_id", "leaf_hash"]
ROW_COLUMNS = ["figure", "office", "seq"]


@dataclass(eq=False)
class NotEmpty(Problem):
    """An export goes into a new or empty directory; nothing was written."""

    directory: str
    code: ClassVar[str] = "not_empty"
    status: ClassVar[int] = 409
    sentence_id: ClassVar[str] = "{directory} tidak kosong. Tidak ada yang ditulis. Pilih folder baru."
    sentence_en: ClassVar[str] = "{directory} is not empty. Nothing was written. Choose a new folder."


@dataclass(eq=False)
class NothingSigned(Problem):
    """The log has no checkpoint yet."""

    code: ClassVar[str] = "nothing_signed"
    status: ClassVar[int] = 409
    sentence_id: ClassVar[str] = "Belum ada peristiwa yang ditandatangani; tidak ada yang dapat diekspor."
    sentence_en: ClassVar[str] = "No event is signed yet; there is nothing to export."


def export(log: Path, signer: Signer, target: Path, advance: Callable[[int], None]) -> int:
    """Write the export; returns the journal position of its last event. `advance` is told of events as they are done.

    Raises NotEmpty, NothingSigned, LogDamaged where the archive is not what was signed, OSError.
    """
    if target.exists() and any(target.iterdir()):
        raise NotEmpty(str(target))
    if (head := read_head(log)) is None:
        raise NothingSigned
    checkpoint, note = head
    tiles = Tiles(log, checkpoint)
    copy = target / "log"
    copy.mkdir(parents=True)
    (copy / "checkpoint").write_text(str(note))
    for name in ("key", "witness-key", "cosigned"):
        if (log / name).is_dir():
            shutil.copytree(log / name, copy / name)
        elif (log / name).exists():
            shutil.copy(log / name, copy / name)
    scratch, last = scratch_database(), None
    coverage.TABLES.create_all(scratch)
    with (target / "events.csv").open("w", newline="", encoding="utf-8") as file, scratch.begin() as db:
        out = csv.writer(file)
        out.writerow(EVENT_COLUMNS)
        for number in tiles.bundles:
            entries = tiles.entries(number)
            _write(copy / bundle_path(number, len(entries)).removesuffix(".zst"), pack(entries))
            events = [decode(entry, seq) for seq, entry in enumerate(entries, number * WIDTH + 1)]
            out.writerows(_row(event, entry) for event, entry in zip(events, entries, strict=True))
            coverage.apply(db, events)
            last = events[-1]
            advance(len(events))
    for path, content in tiles.files():
        _write(copy / path, content)
    assert last is not None
    assert last.recorded is not None
    with scratch.connect() as db:
        figures = {"position": checkpoint.size} | coverage_document(coverage.counts(db), last.recorded)
        with (target / "coverage_rows.csv").open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(ROW_COLUMNS)
            rows.writerows(coverage.counted(db))
    scratch.dispose()
    (target / "coverage.json").write_bytes(orjson.dumps(figures, option=orjson.OPT_INDENT_2))
    write_manifest(target, signer, checkpoint.size)
    return checkpoint.size


def _row(event: Event, entry: bytes) -> list[object]:
    assert event.recorded is not None
    entity, times = event.fact.TYPE.split(".")[3], (told(event.occurred), told(event.recorded))
    ids = (event.id, event.causation, leaf_hash(entry).hex())
    return [event.seq, event.place, entity, event.entity_id, event.version, event.name, *times, event.actor or "", *ids]


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
