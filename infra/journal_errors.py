"""What can go wrong between us and the journal, as typed errors; and which of the server's codes means which.

Codes: nats-server `server/errors.json`; those that mean a mistake of ours are one error, because no caller can cure them.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from events.problem import Problem

# What to do with a refusal of the server.
Meaning = Literal["conflict", "again", "landed", "full", "ours"]
MEANING: dict[int, Meaning] = {
    10071: "conflict",  # wrong last sequence: N
    10164: "conflict",  # wrong last sequence, number unknown
    10163: "again",  # temporarily unavailable
    10210: "again",  # too many atomic batches in flight
    10211: "again",  # too many fast-ingest batches in flight
    10008: "again",  # JetStream system temporarily unavailable
    10176: "again",  # batch incomplete: it was given up while the server was away; nothing of it was stored
    10201: "landed",  # duplicate message id in a batch: the batch was stored before
    10077: "full",  # store failed
    10023: "full",  # insufficient resources
    10047: "full",  # storage resources exceeded
    # 10057 delete, 10110 purge, 10111 rollup, 10166 TTL, 10174, 10175, 10177, 10179 and 10199 batch rules, 10193
    # expectation without sequence, 10227 forged source header: nothing that we send may cause them.
}


@dataclass(eq=False)
class JournalBusy(Problem):
    """The journal did not answer in time. `stored` says what is known; the same command again counts once."""

    waited_s: float
    stored: Literal["nothing", "unknown"]
    code: ClassVar[str] = "journal_busy"
    status: ClassVar[int] = 503
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Jurnal tidak menjawab dalam {waited_s:.0f} detik (tersimpan: {stored}). "
        "Ulangi perintah yang sama dengan kunci yang sama."
    )
    sentence_en: ClassVar[str] = (
        "The journal did not answer within {waited_s:.0f} s (stored: {stored}). "
        "Send the same command again with the same key."
    )


@dataclass(eq=False)
class Conflict(Problem):
    """Someone appended to one of these subjects after it was read; nothing of ours was stored. Load and decide again."""

    subjects: list[str]
    code: ClassVar[str] = "conflict"
    status: ClassVar[int] = 409
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Permohonan ini sedang diubah oleh petugas lain; belum ada yang disimpan. Ulangi."
    sentence_en: ClassVar[str] = "This case is being changed by others at this moment; nothing was stored. Try again."


@dataclass(eq=False)
class JournalFull(Problem):
    """The server could not write: the disk is full or read-only. Nothing was stored."""

    why: str
    code: ClassVar[str] = "journal_full"
    status: ClassVar[int] = 507
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = "Jurnal tidak dapat menulis ({why}). Beri ruang pada diska; sesudah itu jalan lagi sendiri."
    sentence_en: ClassVar[str] = "The journal cannot write ({why}). Make room on its disk; then it goes on by itself."


@dataclass(eq=False)
class JournalDamaged(Problem):
    """Events that were acknowledged cannot be read. Nobody may append on top of that."""

    where: str  # a subject, or `event N`
    why: str
    code: ClassVar[str] = "journal_damaged"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = "Riwayat {where} rusak: {why}. Tidak ada yang dicatat di atasnya. Jalankan: ektp doctor."
    sentence_en: ClassVar[str] = (
        "The history of {where} is damaged: {why}. Nothing is recorded on top of it. Run: ektp doctor."
    )


@dataclass(eq=False)
class JournalRefused(Problem):
    """The server refused what we sent for a reason that only a change of code or configuration can cure."""

    err_code: int
    description: str
    code: ClassVar[str] = "journal_refused"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = "Jurnal menolak ({err_code}: {description}); belum ada yang disimpan. Laporkan pesan ini."
    sentence_en: ClassVar[str] = (
        "The journal refused ({err_code}: {description}); nothing was stored. Please report this message."
    )
