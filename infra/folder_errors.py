"""What can be wrong with a data folder. None of these has changed anything in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from events.problem import Problem


@dataclass(eq=False)
class NotAFolder(Problem):
    """The path of the data folder is a file."""

    folder: str
    code: ClassVar[str] = "not_a_folder"
    sentence_id: ClassVar[str] = (
        "{folder} adalah berkas, bukan folder. Tidak ada yang diubah. Pilih folder lain dengan --data."
    )
    sentence_en: ClassVar[str] = "{folder} is a file, not a folder. Nothing was changed. Choose another folder with --data."


@dataclass(eq=False)
class NotOurs(Problem):
    """The folder holds something, but no backbone; nothing was scattered into it."""

    folder: str
    code: ClassVar[str] = "not_a_data_folder"
    sentence_id: ClassVar[str] = (
        "{folder} sudah berisi berkas lain dan bukan folder data e-KTP. Tidak ada yang diubah. "
        "Pilih folder kosong atau nama folder baru dengan --data."
    )
    sentence_en: ClassVar[str] = (
        "{folder} holds other files and is not an e-KTP data folder. Nothing was changed. "
        "Choose an empty folder or a new name with --data."
    )


@dataclass(eq=False)
class NewerFolder(Problem):
    """A later version of this program wrote the folder; an older one must not touch it."""

    folder: str
    format: int
    known_format: int
    code: ClassVar[str] = "newer_folder"
    sentence_id: ClassVar[str] = (
        "{folder} ditulis oleh versi program yang lebih baru (format {format}, program ini mengenal {known_format}). "
        "Tidak ada yang diubah. Pasang versi yang lebih baru."
    )
    sentence_en: ClassVar[str] = (
        "{folder} was written by a newer version of this program (format {format}; this one knows {known_format}). "
        "Nothing was changed. Install the newer version."
    )


@dataclass(eq=False)
class FolderDamaged(Problem):
    """A file that is never replaced is missing or unreadable: a new secret would give every case another receipt."""

    folder: str
    file: str
    code: ClassVar[str] = "folder_damaged"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = (
        "Berkas {file} di {folder} hilang atau rusak. Tidak ada yang diubah. Kembalikan dari salinannya."
    )
    sentence_en: ClassVar[str] = "{file} in {folder} is missing or damaged. Nothing was changed. Put it back from a copy."


@dataclass(eq=False)
class FolderNotWritable(Problem):
    """The system refused to read or write there: read-only, another user's, or full."""

    folder: str
    why: str  # as the system says it
    code: ClassVar[str] = "folder_not_writable"
    status: ClassVar[int] = 500
    sentence_id: ClassVar[str] = (
        "{folder} tidak dapat ditulisi ({why}). Periksa hak akses, ruang disk, dan apakah hanya-baca."
    )
    sentence_en: ClassVar[str] = (
        "{folder} cannot be written to ({why}). Check its owner, the free disk, and whether it is read-only."
    )


@dataclass(eq=False)
class TooLittleSpace(Problem):
    """Less free disk than a server needs to start; it was not started."""

    folder: str
    free_mib: int
    needed_mib: int
    code: ClassVar[str] = "too_little_space"
    status: ClassVar[int] = 507
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Disk untuk {folder} tinggal {free_mib} MiB; perlu {needed_mib} MiB. Tidak dijalankan. Kosongkan disk dahulu."
    )
    sentence_en: ClassVar[str] = (
        "Only {free_mib} MiB of disk are free for {folder}; {needed_mib} MiB are needed. Nothing was started. "
        "Free some disk first."
    )


@dataclass(eq=False)
class DiskNearlyFull(Problem):
    """Less free disk than recording needs; nothing of the command was recorded. It passes by itself when there is room."""

    folder: str
    free_mib: int
    needed_mib: int
    code: ClassVar[str] = "disk_nearly_full"
    status: ClassVar[int] = 507
    retryable: ClassVar[bool] = True
    sentence_id: ClassVar[str] = (
        "Disk untuk {folder} tinggal {free_mib} MiB; untuk mencatat perlu {needed_mib} MiB. Belum ada yang dicatat. "
        "Kosongkan disk, lalu ulangi yang sama; layanan tidak perlu dijalankan ulang."
    )
    sentence_en: ClassVar[str] = (
        "Only {free_mib} MiB of disk are free for {folder}; {needed_mib} MiB are needed to record. Nothing was recorded. "
        "Free some disk, then send the same again; no restart is needed."
    )


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns what the system says against writing below `folder` into FolderNotWritable."""
    try:
        yield
    except OSError as error:
        raise FolderNotWritable(str(folder), error.strerror or str(error)) from error
