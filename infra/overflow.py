"""What is derived and often needed: the newest in memory, the rest in a file that ends with the process.

A case that comes again after months would otherwise be loaded from the journal, for which the server opens one 8 MB block
per event and keeps it for a while: with the cases of a whole city in turn that took 1 GB and most of an import's time.
"""

import pickle
import sqlite3
from collections import OrderedDict
from typing import Generic, TypeVar

T = TypeVar("T")


class Overflowing(Generic[T]):
    """Values by name; `in_memory_max` of them in memory. Nothing in it may have to outlive the process."""

    def __init__(self, in_memory_max: int) -> None:
        self._in_memory_max = in_memory_max
        self._values: OrderedDict[str, T] = OrderedDict()
        self._file = sqlite3.connect("", isolation_level=None)  # without a name: SQLite's own temporary file
        self._file.execute("pragma synchronous=off")
        self._file.execute("pragma journal_mode=off")
        self._file.execute("create table kept (name text primary key, value blob) without rowid")

    def get(self, name: str) -> T | None:
        """The value under this name, which then is one of the newest."""
        value = self._values.get(name)
        if value is not None:
            self._values.move_to_end(name)
            return value
        row = self._file.execute("select value from kept where name=?", (name,)).fetchone()
        if row is None:
            return None
        found: T = pickle.loads(row[0])  # noqa: S301 (this process wrote it)
        self.put(name, found)
        return found

    def put(self, name: str, value: T) -> None:
        self._values[name] = value
        self._values.move_to_end(name)
        if len(self._values) > self._in_memory_max:
            oldest, value = self._values.popitem(last=False)
            self._file.execute("insert or replace into kept values (?, ?)", (oldest, pickle.dumps(value, -1)))

    def forget(self, name: str) -> None:
        """Harmless where there is none."""
        self._values.pop(name, None)
        self._file.execute("delete from kept where name=?", (name,))
