"""The keys of persons, outside journal, views and backups: whoever loses a key loses what was sealed with it, and no more.

One random AES-256 key per resident, found by a keyed hash of the NIK. Sealing is AES-GCM (NIST SP 800-38D) with a random
96-bit nonce in front; the associated data binds a blob to its event id, type and case. SQLite with `synchronous=FULL`:
a key is on disk before anything sealed with it is; a destroyed one is overwritten.
"""

import os
import secrets
import sqlite3
import time
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from events.problem import Problem
from events.receipt import keyed_hash

_NONCE_BYTES = 12
_KEYS_IN_MEMORY = 2_000  # a person is sealed for when submitting, and seldom later
_BUSY_S_MAX = 5.0


@dataclass(eq=False)
class Erased(Problem):
    """The person's key was destroyed; what was sealed with it cannot be read by anyone."""

    code: ClassVar[str] = "erased"
    status: ClassVar[int] = 410
    sentence_id: ClassVar[str] = "Data pribadi ini sudah dihapus dan tidak dapat dibuka lagi."
    sentence_en: ClassVar[str] = "These personal data were erased and cannot be opened any more."


@dataclass(eq=False)
class ErasureUnfinished(Problem):
    """The key is gone from its table, but someone reading it kept a copy in the write-ahead log. The same again ends it."""

    code: ClassVar[str] = "erasure_unfinished"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Penghapusan belum tuntas karena berkas kunci sedang dibaca. Ulangi sebentar lagi."
    sentence_en: ClassVar[str] = "The erasure is not finished, as the keys are being read. Try again in a moment."


class Resident(NamedTuple):
    """A resident's random id, and whether it was made just now."""

    id: str
    is_new: bool


class Keystore:
    """Residents and their keys. One process gets and creates (the writer); others may find and open."""

    def __init__(self, path: Path, secret: bytes) -> None:
        """`secret` keys the hash of a NIK: without it the file does not tell whose key is whose."""
        self._secret = secret
        self._db = sqlite3.connect(path, timeout=_BUSY_S_MAX, isolation_level=None)
        path.chmod(0o600)
        _write_ahead(self._db)
        self._db.execute("pragma synchronous=full")
        self._db.execute("pragma secure_delete=on")
        self._db.execute("pragma temp_store=memory")  # no copy of all keys in a temporary file
        self._db.execute("create table if not exists residents (nik_hash blob primary key, resident text unique, key blob)")
        self._ciphers: OrderedDict[str, AESGCM] = OrderedDict()

    def close(self) -> None:
        self._db.close()

    def resident(self, nik: str) -> str | None:
        """The random id of the resident with this NIK; None when the NIK never came or was erased."""
        row = self._db.execute("select resident from residents where nik_hash=?", (self._nik_hash(nik),)).fetchone()
        return row[0] if row else None

    def residents(self, niks: Iterable[str]) -> dict[str, Resident]:
        """These residents, made where they are new: in one transaction, on disk when this returns."""
        hashes = {nik: self._nik_hash(nik) for nik in niks}
        found = {nik: Resident(resident, False) for nik, resident in self._known(hashes).items()}
        if new := [nik for nik in hashes if nik not in found]:
            made = {nik: (hashes[nik], secrets.token_hex(12), os.urandom(32)) for nik in new}
            with self._db:
                self._db.execute("begin immediate")
                inserted = self._db.executemany("insert or ignore into residents values (?, ?, ?)", made.values())
            if inserted.rowcount < len(new):  # another process was there first for some
                stored = self._known({nik: hashes[nik] for nik in new})
                return found | {nik: Resident(resident, resident == made[nik][1]) for nik, resident in stored.items()}
            for nik, (_, resident, key) in made.items():
                found[nik] = Resident(resident, True)
                self._remember(resident, AESGCM(key))  # a new resident's first event is sealed at once
        return found

    def seal(self, resident: str, clear: bytes, bound_to: str) -> str:
        """`clear` under the resident's key, in base 64. Raises Erased."""
        nonce = os.urandom(_NONCE_BYTES)
        cipher = self._ciphers.get(resident) or self._remember(resident, self._load_cipher(resident))
        return b64encode(nonce + cipher.encrypt(nonce, clear, bound_to.encode())).decode()

    def open(self, resident: str, sealed: str, bound_to: str) -> bytes:
        """What `seal` sealed. Raises Erased, and cryptography's InvalidTag for a blob moved to another event."""
        blob = b64decode(sealed)
        cipher = self._load_cipher(resident)  # not from memory: another process may have destroyed the key
        return cipher.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], bound_to.encode())

    def destroy(self, resident: str) -> None:
        """Forget the person: key and NIK hash are overwritten on disk, in the write-ahead log too.

        When SQLite splits a page of an index, the part that moves stays behind as free space, which `secure_delete` does not
        know: so the file is made anew. Raises ErasureUnfinished.
        """
        self._db.execute("delete from residents where resident=?", (resident,))
        self._ciphers.clear()
        try:
            self._db.execute("vacuum")
        except sqlite3.OperationalError as busy_or_full:
            raise ErasureUnfinished from busy_or_full
        (busy, _, _) = self._db.execute("pragma wal_checkpoint(truncate)").fetchone()
        if busy:
            raise ErasureUnfinished

    def _nik_hash(self, nik: str) -> bytes:
        return keyed_hash(self._secret, "nik", nik)

    def _known(self, hashes: dict[str, bytes]) -> dict[str, str]:
        found = {}
        for nik, hashed in hashes.items():
            row = self._db.execute("select resident from residents where nik_hash=?", (hashed,)).fetchone()
            if row:
                found[nik] = row[0]
        return found

    def _remember(self, resident: str, cipher: AESGCM) -> AESGCM:
        self._ciphers[resident] = cipher
        if len(self._ciphers) > _KEYS_IN_MEMORY:
            self._ciphers.popitem(last=False)
        return cipher

    def _load_cipher(self, resident: str) -> AESGCM:
        row = self._db.execute("select key from residents where resident=?", (resident,)).fetchone()
        if row is None:
            raise Erased
        return AESGCM(row[0])


def _write_ahead(db: sqlite3.Connection) -> None:
    """Two processes that open a new file at once cannot both switch it, and SQLite's own waiting does not cover that."""
    give_up = time.monotonic() + _BUSY_S_MAX
    while True:
        try:
            db.execute("pragma journal_mode=wal")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up:
                raise
            time.sleep(0.005)
        else:
            return
