"""What a stage means to a citizen and an officer, in plain words: whom the case waits for, and what comes next."""

from datetime import datetime
from typing import Final

from events.calendar import CALENDAR_V1
from events.outage import OutageCause
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

OFFICE_WORKS: Final = frozenset({Stage.SUBMITTED, Stage.RECORDED, Stage.QUEUED})  # a card in hand needs nothing more

OUTAGE: Final[dict[Lang, dict[OutageCause, str]]] = {
    "id": {
        "blank_stock": "Kantor kecamatan sedang kehabisan blangko KTP-el.",
        "power": "Listrik di kantor kecamatan sedang padam.",
        "network": "Jaringan kantor kecamatan sedang terputus.",
        "equipment": "Alat di kantor kecamatan sedang rusak.",
    },
    "en": {
        "blank_stock": "The district office is out of blank cards.",
        "power": "The district office is without power.",
        "network": "The district office is cut off from the network.",
        "equipment": "Equipment at the district office is out of order.",
    },
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


def waits_for(stage: Stage, outage: OutageCause | None) -> str | None:
    """Whom or what a case waits for. An outage at its office goes before all else until the card is printed."""
    return outage if outage and stage in OFFICE_WORKS else WAITS_FOR[stage]


def next_step(stage: Stage, outage: OutageCause | None, lang: Lang) -> str:
    """What comes next, and what stands in the way of it."""
    step = NEXT_STEP[lang][stage]
    return f"{OUTAGE[lang][outage]} {step}" if outage and stage in OFFICE_WORKS else step


def told(instant: datetime) -> str:
    """ISO 8601 in the office's zone."""
    return instant.astimezone(CALENDAR_V1.zone).isoformat()
