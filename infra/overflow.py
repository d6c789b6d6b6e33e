"""What is derived and often needed: the newest in memory, the rest in a file that ends with the process.

A case that comes again after months would otherwise be loaded from the journal, for which the server opens one 8 MB block
per event and keeps it for a while: with the cases of a whole city in turn that took 1 GB and most of an import's time.
"""

import os
import pickle
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Generic, TypeVar

T = TypeVar("T")
_READ_BYTES = 2_048  # most values are shorter


class Overflowing(Generic[T]):
    """Values by name; `in_memory_max` of them in memory. Nothing in it may have to outlive the process.

    The file is only added to, and its index holds hashes for names: of two with one hash the older is forgotten, which is
    harmless, as it is derived.
    """

    def __init__(self, in_memory_max: int, directory: Path | None = None) -> None:
        self._in_memory_max = in_memory_max
        self._values: OrderedDict[str, T] = OrderedDict()
        self._file = TemporaryFile(buffering=0, dir=directory)  # noqa: SIM115 (for as long as this lives)
        self._places: dict[int, int] = {}  # of a name's hash: offset
        self._end = 0

    def get(self, name: str) -> T | None:
        """The value under this name, which then is one of the newest."""
        value = self._values.get(name)
        if value is not None:
            self._values.move_to_end(name)
            return value
        place = self._places.get(hash(name))
        if place is None:
            return None
        record = os.pread(self._file.fileno(), _READ_BYTES, place)
        length = int.from_bytes(record[:4], "little")
        if length + 4 > len(record):
            record = os.pread(self._file.fileno(), length + 4, place)
        found: tuple[str, T] = pickle.loads(record[4:])  # noqa: S301 (this process wrote it)
        if found[0] != name:
            return None
        self.put(*found)
        return found[1]

    def put(self, name: str, value: T) -> None:
        self._values[name] = value
        self._values.move_to_end(name)
        if len(self._values) > self._in_memory_max:
            self._overflow(*self._values.popitem(last=False))

    def forget(self, name: str) -> None:
        """Harmless where there is none."""
        self._values.pop(name, None)
        self._places.pop(hash(name), None)

    def _overflow(self, name: str, value: T) -> None:
        """Into the file; where the disk is full it is forgotten, as what the file had of it before is no longer so."""
        self._places.pop(hash(name), None)
        record = pickle.dumps((name, value), -1)
        record = len(record).to_bytes(4, "little") + record
        with suppress(OSError):
            if os.pwrite(self._file.fileno(), record, self._end) == len(record):
                self._places[hash(name)] = self._end
                self._end += len(record)
