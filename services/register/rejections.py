"""Why a row of a register book is not imported (contract: import CSV): typed reasons, each with a sentence.

No sentence repeats what a cell holds: in a row whose cells are shifted, the cell of an office may hold a name or a NIK.
"""

from dataclasses import dataclass
from typing import ClassVar, Final, Literal, get_args

from events.nik import InvalidNik
from events.offices import OFFICES
from events.problem import Problem
from events.stages import Kind
from services import refusals
from services.application import ADULT_YEARS
from services.commands import NAME_CHARS_MAX, REASON_CHARS_MAX, SERIAL_CHARS_MAX

RegisterEvent = Literal["submitted", "recorded", "queued", "printed", "collected", "returned", "cancelled"]
EVENTS: Final[tuple[RegisterEvent, ...]] = get_args(RegisterEvent)
CASE_CHARS_MAX: Final = 80


class RowRejected(Problem):
    """This row was not imported. Each reason is a class of its own, with its code."""


class BadEncoding(RowRejected):
    code: ClassVar[str] = "bad_encoding"
    sentence_id: ClassVar[str] = "Baris ini bukan teks UTF-8. Simpan berkas sebagai CSV UTF-8."
    sentence_en: ClassVar[str] = "This row is not UTF-8 text. Save the file as CSV UTF-8."


class BadCharacter(RowRejected):
    code: ClassVar[str] = "bad_character"
    sentence_id: ClassVar[str] = "Baris ini berisi karakter kendali (misalnya NUL). Hapus karakter itu."
    sentence_en: ClassVar[str] = "This row holds a control character (such as NUL). Remove it."


class UnclosedQuote(RowRejected):
    code: ClassVar[str] = "unclosed_quote"
    sentence_id: ClassVar[str] = "Tanda petik dibuka pada baris ini tetapi tidak ditutup. Baris sesudahnya tetap dibaca."
    sentence_en: ClassVar[str] = "A quote opens in this row and is not closed. Reading went on at the next line."


class BadQuoting(RowRejected):
    code: ClassVar[str] = "bad_quoting"
    sentence_id: ClassVar[str] = 'Tanda petik di dalam sel harus ditulis ganda ("") dan selnya diapit petik (RFC 4180).'
    sentence_en: ClassVar[str] = 'A quote within a cell must be doubled ("") and the cell enclosed in quotes (RFC 4180).'


@dataclass(eq=False)
class RowTooLong(RowRejected):
    bytes_max: int
    code: ClassVar[str] = "row_too_long"
    sentence_id: ClassVar[str] = "Baris ini lebih dari {bytes_max} byte."
    sentence_en: ClassVar[str] = "This row is longer than {bytes_max} bytes."


@dataclass(eq=False)
class WrongColumns(RowRejected):
    cells: int
    cells_needed: int
    code: ClassVar[str] = "wrong_columns"
    sentence_id: ClassVar[str] = "Baris ini berisi {cells} sel, seharusnya {cells_needed}."
    sentence_en: ClassVar[str] = "This row has {cells} cells instead of {cells_needed}."


class BadCase(RowRejected):
    code: ClassVar[str] = "bad_case"
    sentence_id: ClassVar[str] = f"Nomor permohonan (case) kosong atau lebih dari {CASE_CHARS_MAX} huruf."
    sentence_en: ClassVar[str] = f"The case number is empty or longer than {CASE_CHARS_MAX} characters."


class UnknownOffice(RowRejected):
    code: ClassVar[str] = "unknown_office"
    sentence_id: ClassVar[str] = f"Kantor (office) tidak ada di sini. Kantor yang ada: {', '.join(OFFICES)}."
    sentence_en: ClassVar[str] = f"The office is not one of this backbone's. Its offices are: {', '.join(OFFICES)}."


class UnknownKind(RowRejected):
    code: ClassVar[str] = "unknown_kind"
    sentence_id: ClassVar[str] = f"Jenis permohonan (kind) harus salah satu dari: {', '.join(Kind)}."
    sentence_en: ClassVar[str] = f"The kind must be one of: {', '.join(Kind)}."


class BadNik(InvalidNik, RowRejected):
    """The row's NIK is not one; `why` as in InvalidNik."""


class BadName(RowRejected):
    code: ClassVar[str] = "bad_name"
    sentence_id: ClassVar[str] = f"Nama kosong atau lebih dari {NAME_CHARS_MAX} huruf."
    sentence_en: ClassVar[str] = f"The name is empty or longer than {NAME_CHARS_MAX} characters."


class SexDisagrees(RowRejected):
    code: ClassVar[str] = "sex_disagrees"
    sentence_id: ClassVar[str] = "Jenis kelamin (sex) harus M atau F, sama dengan NIK. Boleh kosong."
    sentence_en: ClassVar[str] = "The sex must be M or F, as the NIK says. It may be left empty."


class BornDisagrees(RowRejected):
    code: ClassVar[str] = "born_disagrees"
    sentence_id: ClassVar[str] = "Tanggal lahir (born) harus TTTT-BB-HH dan sama dengan NIK. Boleh kosong."
    sentence_en: ClassVar[str] = "The date of birth must be YYYY-MM-DD and agree with the NIK. It may be left empty."


class UnknownEvent(RowRejected):
    code: ClassVar[str] = "unknown_event"
    sentence_id: ClassVar[str] = f"Kejadian (event) harus salah satu dari: {', '.join(EVENTS)}."
    sentence_en: ClassVar[str] = f"The event must be one of: {', '.join(EVENTS)}."


class BadTime(RowRejected):
    code: ClassVar[str] = "bad_time"
    sentence_id: ClassVar[str] = "Waktu (at) harus tanggal dan jam menurut ISO 8601, seperti 2014-05-01T08:30:00+07:00."
    sentence_en: ClassVar[str] = "The time (at) must be an ISO 8601 date and time, such as 2014-05-01T08:30:00+07:00."


class InFuture(refusals.InFuture, RowRejected):
    """The row tells of something after now."""


class UnderAge(RowRejected):
    code: ClassVar[str] = "under_age"
    sentence_id: ClassVar[str] = (
        f"Pemohon belum {ADULT_YEARS} tahun ketika mengajukan. Bila lahir di abad yang lalu, isi tanggal lahir (born)."
    )
    sentence_en: ClassVar[str] = (
        f"The applicant was not yet {ADULT_YEARS} when applying. If born a century earlier, fill in the date of birth."
    )


class BadActor(RowRejected):
    code: ClassVar[str] = "bad_actor"
    sentence_id: ClassVar[str] = "Petugas (actor) harus kode 1-40 huruf: A-Z, a-z, 0-9, titik, garis bawah, tanda hubung."
    sentence_en: ClassVar[str] = (
        "The actor must be a user code of 1 to 40 characters: A-Z, a-z, 0-9, dot, underscore, hyphen."
    )


class SerialTooLong(RowRejected):
    code: ClassVar[str] = "serial_too_long"
    sentence_id: ClassVar[str] = f"Nomor seri (serial) lebih dari {SERIAL_CHARS_MAX} huruf."
    sentence_en: ClassVar[str] = f"The serial is longer than {SERIAL_CHARS_MAX} characters."


class ReasonTooLong(RowRejected):
    code: ClassVar[str] = "reason_too_long"
    sentence_id: ClassVar[str] = f"Alasan (reason) lebih dari {REASON_CHARS_MAX} huruf."
    sentence_en: ClassVar[str] = f"The reason is longer than {REASON_CHARS_MAX} characters."


class ReasonMissing(RowRejected):
    code: ClassVar[str] = "reason_missing"
    sentence_id: ClassVar[str] = "Pembatalan dan pengembalian memerlukan alasan (reason)."
    sentence_en: ClassVar[str] = "A row that cancels or returns a case needs a reason."


class BadReturn(RowRejected):
    code: ClassVar[str] = "bad_return"
    sentence_id: ClassVar[str] = "Alasan pengembalian harus diawali tahap tujuannya: submitted, recorded atau queued."
    sentence_en: ClassVar[str] = (
        "The reason of a return must begin with the stage it goes back to: submitted, recorded or queued."
    )


@dataclass(eq=False)
class EarlierRowRejected(RowRejected):
    """An earlier row of the same case was rejected, so this one has nothing to follow."""

    code: ClassVar[str] = "earlier_row_rejected"
    sentence_id: ClassVar[str] = "Baris sebelumnya dari permohonan ini ditolak. Betulkan baris itu, lalu impor lagi."
    sentence_en: ClassVar[str] = "An earlier row of this case was rejected. Mend that row, then import again."


@dataclass(eq=False)
class NotSubmitted(RowRejected):
    """The case begins with another event than submitted."""

    code: ClassVar[str] = "not_submitted"
    sentence_id: ClassVar[str] = "Permohonan ini belum punya baris submitted. Baris submitted harus lebih dulu."
    sentence_en: ClassVar[str] = "This case has no submitted row yet. The submitted row must come first."


@dataclass(eq=False)
class CaseDiffers(RowRejected):
    """NIK or kind is not the one with which the case was submitted."""

    column: str
    code: ClassVar[str] = "case_differs"
    sentence_id: ClassVar[str] = "Kolom {column} berbeda dari baris submitted permohonan ini. Periksa nomor permohonan."
    sentence_en: ClassVar[str] = "{column} differs from this case's submitted row. Check the case number."
