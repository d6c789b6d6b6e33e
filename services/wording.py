"""What a stage means to a citizen and an officer, in plain words: whom the case waits for, and what comes next."""

from typing import Final

from events.problem import Lang
from events.stages import Stage

WAITS_FOR: Final[dict[Stage, str | None]] = {
    Stage.SUBMITTED: "office",
    Stage.RECORDED: "centre",  # checks for a double
    Stage.QUEUED: "office",
    Stage.PRINTED: "applicant",
    Stage.COLLECTED: None,
    Stage.CANCELLED: None,
}

NEXT_STEP: Final[dict[Lang, dict[Stage, str]]] = {
    "id": {
        Stage.SUBMITTED: "Menunggu perekaman foto, sidik jari, tanda tangan dan iris di kantor kecamatan.",
        Stage.RECORDED: "Menunggu pemeriksaan data ganda di pusat; setelah itu siap cetak.",
        Stage.QUEUED: "Siap cetak; menunggu giliran cetak.",
        Stage.PRINTED: "Kartu sudah jadi. Ambil di kantor kecamatan dengan membawa resi ini; tidak dipungut biaya.",
        Stage.COLLECTED: "Selesai: kartu sudah diambil.",
        Stage.CANCELLED: "Dibatalkan. Bila masih perlu, ajukan permohonan baru.",
    },
    "en": {
        Stage.SUBMITTED: "Waits for photo, fingerprints, signature and iris to be taken at the district office.",
        Stage.RECORDED: "Waits for the centre's check for a double; then it is ready to print.",
        Stage.QUEUED: "Ready to print; waits for its turn.",
        Stage.PRINTED: "The card is ready. Collect it at the district office with this receipt; there is no fee.",
        Stage.COLLECTED: "Done: the card was collected.",
        Stage.CANCELLED: "Cancelled. If a card is still needed, submit a new application.",
    },
}
