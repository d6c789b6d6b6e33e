"""Gathering the events of a damaged journal from the log's archive and from blocks, as far as none is missing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from events.envelope import subject_in
from infra.data_folder import DataFolder
from infra.guard.archive import Archive
from infra.guard.blocks import Record, block_files, block_records
from infra.guard.inspection import is_good
from infra.journal import STREAM
from infra.nats_configuration import stream_directory
from infra.tlog.tiles import WIDTH


@dataclass(frozen=True)
class Salvage:
    """Events 1 to `last`, whole."""

    last: int
    archive: Archive
    records: Mapping[int, Record]  # of positions that the archive does not have

    def events(self) -> Iterator[tuple[str, bytes]]:
        """(subject, body) of each, in order."""
        seq = 1
        while seq <= self.last:
            if record := self.records.get(seq):
                yield record.subject, record.body
                seq += 1
            else:
                bodies = self.archive.entries((seq - 1) // WIDTH)[
                    (seq - 1) % WIDTH : self.last - seq + 1 + (seq - 1) % WIDTH
                ]
                yield from ((subject_in(body), body) for body in bodies)
                seq += len(bodies)


def salvage(folder: DataFolder, known: int, tail: Mapping[int, Record], more: Sequence[tuple[int, Path]] = ()) -> Salvage:
    """What there is of events 1 to `known`: in the archive, in `tail`, in `more` blocks, and in the server's.

    Every event is checked: by the log, else by the server's checksum. Raises OSError.
    """
    archive, records = Archive(folder), dict(tail)
    whole = {number for number in archive.bundles if archive.entries(number)}

    def is_archived(seq: int) -> bool:
        return seq <= archive.archived and (seq - 1) // WIDTH in whole

    previous = 0
    for number, file in (*more, *block_files(stream_directory(folder, STREAM) / "msgs")):
        for found in block_records(file.read_bytes(), number, STREAM, previous):
            previous = found.seq
            record = found if isinstance(found, Record) else found.mended
            if record and record.seq not in records and not is_archived(record.seq) and is_good(record, archive):
                records[record.seq] = record
    last = 0
    while last < known and (last + 1 in records or is_archived(last + 1)):
        last += 1
    return Salvage(last, archive, records)
