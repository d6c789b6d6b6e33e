"""Who may use HTTP: named tokens of 256 random bits, of which `keys/tokens.json` (0600) keeps the SHA-256 alone.

A plain hash is enough, as nobody can guess what is random. The running reader sees a change at its next request.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import ClassVar, Literal, get_args

from events.problem import Problem
from infra.data_folder import DataFolder, locked, write_durably
from infra.folder_errors import FolderDamaged

Role = Literal["desk", "operations", "auditor", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
_NAME = re.compile(r"[A-Za-z0-9._-]{1,40}")  # as an actor: it is noted as who gave a command


@dataclass(frozen=True)
class Token:
    """What is kept of one; `made` is ISO 8601 in UTC."""

    name: str
    role: Role
    sha256: str
    made: str


@dataclass(eq=False)
class InvalidTokenName(Problem):
    """Not a name for a token; none was made."""

    code: ClassVar[str] = "invalid_token_name"
    sentence_id: ClassVar[str] = "Nama token terdiri dari 1 sampai 40 huruf, angka, titik, _ atau -. Belum ada yang dibuat."
    sentence_en: ClassVar[str] = "A token's name is 1 to 40 letters, digits, dots, _ or -. None was made."


@dataclass(eq=False)
class InvalidRole(Problem):
    """There is no such role; no token was made."""

    code: ClassVar[str] = "invalid_role"
    sentence_id: ClassVar[str] = "Peran ini tidak ada. Pilih desk, operations, auditor atau admin. Belum ada yang dibuat."
    sentence_en: ClassVar[str] = "There is no such role. Choose desk, operations, auditor or admin. None was made."


@dataclass(eq=False)
class TokenNameTaken(Problem):
    """A token of this name is known; none was made."""

    name: str
    code: ClassVar[str] = "token_name_taken"
    status: ClassVar[int] = 409
    sentence_id: ClassVar[str] = "Token {name} sudah ada. Pilih nama lain, atau hapus dulu: ektp token remove {name}."
    sentence_en: ClassVar[str] = (
        "There is a token {name} already. Choose another name, or remove it first: ektp token remove {name}."
    )


@dataclass(eq=False)
class NoSuchToken(Problem):
    """Nobody has a token of this name; nothing was removed."""

    code: ClassVar[str] = "no_such_token"
    status: ClassVar[int] = 404
    sentence_id: ClassVar[str] = "Token ini tidak ada; tidak ada yang dihapus. Lihat: ektp token list."
    sentence_en: ClassVar[str] = "There is no such token; nothing was removed. See: ektp token list."


def tokens(folder: DataFolder) -> list[Token]:
    """All that are known, in the order in which they were made. Raises FolderDamaged."""
    try:
        return [Token(**each) for each in json.loads(_file(folder).read_bytes())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError):
        raise FolderDamaged(str(folder.path), "keys/tokens.json") from None


def add_token(folder: DataFolder, name: str, role: str) -> str:
    """Make one; what is returned is shown once. Raises InvalidTokenName, InvalidRole, TokenNameTaken, FolderDamaged."""
    wanted = next((known for known in ROLES if known == role), None)
    if wanted is None:
        raise InvalidRole
    if not _NAME.fullmatch(name):
        raise InvalidTokenName
    with _changing(folder) as known:
        if any(each.name == name for each in known):
            raise TokenNameTaken(name)
        return _make(known, name, wanted)


def remove_token(folder: DataFolder, name: str) -> None:
    """It is refused from now on. Raises NoSuchToken, FolderDamaged."""
    with _changing(folder) as known:
        rest = [each for each in known if each.name != name]
        if len(rest) == len(known):
            raise NoSuchToken
        known[:] = rest


def first_tokens(folder: DataFolder) -> dict[Role, str]:
    """One of each role where none was ever made, named as its role, to be shown once; else nothing."""
    with _changing(folder) as known:
        return {} if _file(folder).exists() else {role: _make(known, role, role) for role in ROLES}


class KnownTokens:
    """The tokens as the file has them now: it is read again when it was replaced."""

    def __init__(self, folder: DataFolder) -> None:
        self._folder, self._seen, self._tokens = folder, (0, 0), list[Token]()

    def find(self, clear: str) -> Token | None:
        """Whose token this is. All are compared, each in constant time."""
        try:
            stat = _file(self._folder).stat()
        except FileNotFoundError:
            return None
        if self._seen != (seen := (stat.st_ino, stat.st_mtime_ns)):
            self._tokens, self._seen = tokens(self._folder), seen
        hashed = _hash(clear)
        found = [token for token in self._tokens if compare_digest(token.sha256, hashed)]
        return found[0] if found else None


def _make(known: list[Token], name: str, role: Role) -> str:
    clear = secrets.token_urlsafe(32)
    known.append(Token(name, role, _hash(clear), datetime.now(UTC).isoformat(timespec="seconds")))
    return clear


def _hash(clear: str) -> str:
    return sha256(clear.encode()).hexdigest()


@contextmanager
def _changing(folder: DataFolder) -> Iterator[list[Token]]:
    """The tokens, to be changed by one process at a time; written if no exception comes."""
    with locked(folder.keys):
        known = tokens(folder)
        before = list(known)
        yield known
        if known != before:
            write_durably(_file(folder), json.dumps([asdict(each) for each in known], indent=1).encode())


def _file(folder: DataFolder) -> Path:
    return folder.keys / "tokens.json"
