"""Why a command is refused: typed reasons, each with a sentence for the officer. Nothing was written."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar

from events.problem import Problem
from events.stages import Stage


@dataclass(eq=False)
class Refused(Problem):
    """Understood, and the answer is no."""

    status: ClassVar[int] = 409


@dataclass(eq=False)
class AlreadyThere(Refused):
    """A new command for a stage that the case has reached. Its code names the stage: `already_recorded`, …"""

    asked: Stage
    stage: Stage
    sentence_id: ClassVar[str] = "Permohonan ini sudah melewati tahap {asked}; tahapnya sekarang {stage}."
    sentence_en: ClassVar[str] = "This case has been {asked} already; it is {stage} now."

    @property
    def code(self) -> str:  # type: ignore[override]
        return f"already_{self.asked}"


@dataclass(eq=False)
class StageSkipped(Refused):
    """The case is not yet so far: a stage would be left out."""

    asked: Stage
    stage: Stage
    missing: Stage
    code: ClassVar[str] = "stage_skipped"
    sentence_id: ClassVar[str] = "Permohonan ini baru {stage}; harus {missing} dahulu sebelum {asked}."
    sentence_en: ClassVar[str] = "This case is only {stage}; it must be {missing} before it can be {asked}."


@dataclass(eq=False)
class CaseCancelled(Refused):
    """The case was cancelled, which is final."""

    code: ClassVar[str] = "case_cancelled"
    sentence_id: ClassVar[str] = "Permohonan ini sudah dibatalkan. Buat permohonan baru."
    sentence_en: ClassVar[str] = "This case was cancelled. Submit a new application."


@dataclass(eq=False)
class CaseCollected(Refused):
    """The card was collected, which is final."""

    code: ClassVar[str] = "case_collected"
    sentence_id: ClassVar[str] = "KTP-el dari permohonan ini sudah diambil. Buat permohonan baru bila perlu."
    sentence_en: ClassVar[str] = "The card of this case was collected. Submit a new application if one is needed."


@dataclass(eq=False)
class CannotReturn(Refused):
    """A case goes back only to an earlier stage that it had reached."""

    back_to: str
    stage: Stage
    code: ClassVar[str] = "cannot_return"
    sentence_id: ClassVar[str] = "Permohonan ini (tahap {stage}) tidak dapat dikembalikan ke {back_to}."
    sentence_en: ClassVar[str] = (
        "This case is {stage} and cannot go back to {back_to}: it goes back to an earlier stage it had."
    )


@dataclass(eq=False)
class CaseOpen(Refused):
    """The resident has an open case, so a second is refused."""

    receipt: str
    stage: Stage
    code: ClassVar[str] = "case_open"
    sentence_id: ClassVar[str] = (
        "Warga ini masih punya permohonan terbuka: {receipt}, tahap {stage}. Selesaikan atau batalkan dulu."
    )
    sentence_en: ClassVar[str] = "This resident has an open case: {receipt}, {stage}. Finish or cancel it first."


@dataclass(eq=False)
class CardExists(Refused):
    """`new` is for a first card, and one was printed for this resident."""

    receipt: str
    code: ClassVar[str] = "card_exists"
    sentence_id: ClassVar[str] = (
        "KTP-el warga ini sudah pernah dicetak ({receipt}). Pilih lost, damaged, data_change atau moved_in."
    )
    sentence_en: ClassVar[str] = (
        "A card was printed for this resident ({receipt}). Choose lost, damaged, data_change or moved_in."
    )


@dataclass(eq=False)
class UnderAge(Refused):
    """Younger than 17 and never married (UU 24/2013 art. 63)."""

    seventeen: date
    code: ClassVar[str] = "under_age"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = (
        "Pemohon belum 17 tahun (baru pada {seventeen}) dan belum pernah kawin. Bila pernah kawin, isi married."
    )
    sentence_en: ClassVar[str] = (
        "The applicant turns 17 on {seventeen} and was never married. If ever married, say so (married)."
    )


@dataclass(eq=False)
class NoStayPermit(Refused):
    """A foreigner needs a permanent stay permit (UU 24/2013 art. 63)."""

    code: ClassVar[str] = "no_stay_permit"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Orang asing memerlukan Izin Tinggal Tetap (KITAP). Bila ada, isi stay_permit."
    sentence_en: ClassVar[str] = "A foreigner needs a permanent stay permit. If there is one, say so (stay_permit)."


@dataclass(eq=False)
class BornDisagrees(Refused):
    """The date of birth given is not the one in the NIK, or lies after the application."""

    code: ClassVar[str] = "born_disagrees"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Tanggal lahir tidak cocok dengan NIK. Periksa keduanya pada kartu keluarga."
    sentence_en: ClassVar[str] = "The date of birth does not agree with the NIK. Check both against the family card."


@dataclass(eq=False)
class InFuture(Refused):
    """Something cannot have happened after now."""

    at: datetime
    now: datetime
    code: ClassVar[str] = "in_future"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Waktu kejadian {at} masih akan datang (sekarang {now}). Periksa tanggal dan jam."
    sentence_en: ClassVar[str] = "{at} is in the future (now {now}). Check date and time, and this computer's clock."


@dataclass(eq=False)
class BeforePrevious(Refused):
    """The events of a case stand in order of time."""

    at: datetime
    previous: datetime
    code: ClassVar[str] = "before_previous"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Waktu {at} mendahului kejadian sebelumnya ({previous}). Periksa tanggal dan jam."
    sentence_en: ClassVar[str] = "{at} is before the case's previous event ({previous}). Check date and time."


@dataclass(eq=False)
class AfterNext(Refused):
    """A corrected time must stay before the event that followed."""

    at: datetime
    following: datetime
    code: ClassVar[str] = "after_next"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Waktu {at} melewati kejadian berikutnya ({following}). Betulkan kejadian itu dulu."
    sentence_en: ClassVar[str] = "{at} is after the event that followed ({following}). Correct that one first."


@dataclass(eq=False)
class NoSuchEvent(Refused):
    """A correction names an event of its own case, and not another correction."""

    event: str
    code: ClassVar[str] = "no_such_event"
    status: ClassVar[int] = 404
    sentence_id: ClassVar[str] = "Kejadian {event} tidak ada pada permohonan ini. Lihat riwayat dengan: ektp status."
    sentence_en: ClassVar[str] = "Event {event} is not one of this case's. Its history is shown by: ektp status."


@dataclass(eq=False)
class NothingCorrected(Refused):
    """A correction without a value, or with one that this event does not have."""

    field: str
    code: ClassVar[str] = "not_correctable"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = (
        "{field} tidak dapat dibetulkan pada kejadian ini. Yang dapat: at, serial, actor, dan name (submitted)."
    )
    sentence_en: ClassVar[str] = (
        "{field} cannot be corrected on this event. What can: at, serial, actor, and name on submitted."
    )


@dataclass(eq=False)
class KeyReused(Refused):
    """The same idempotency key came with other content."""

    code: ClassVar[str] = "key_reused"
    status: ClassVar[int] = 422
    sentence_id: ClassVar[str] = "Kunci ini sudah dipakai untuk isian lain. Pakai kunci baru untuk perintah baru."
    sentence_en: ClassVar[str] = "This idempotency key was used with other content. Use a new key for a new command."


@dataclass(eq=False)
class RowDiffers(KeyReused):
    """A register row with the same office, case, event and time is in the journal, with other content."""

    code: ClassVar[str] = "row_differs"
    sentence_id: ClassVar[str] = "Baris untuk kejadian ini sudah tercatat dengan isi lain. Betulkan dengan: ektp correct."
    sentence_en: ClassVar[str] = "A row for this event was imported with other content. Change it with: ektp correct."
