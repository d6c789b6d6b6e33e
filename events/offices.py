"""The district offices (kecamatan) of one backbone, and the short mark that begins each office's receipts.

Source: Kota Cilegon's eight districts, Kemendagri area codes 36.72.01 to 36.72.08. Marks avoid I, L, O and U, which
receipts never contain (Crockford base 32).
"""

import re
from dataclasses import dataclass
from typing import ClassVar

from events.problem import Problem

_CODE = re.compile("[0-9]{6}")
BACKBONE_ID = "3672"  # Kota Cilegon; fixed when a data folder is made


@dataclass(frozen=True)
class Office:
    code: str  # six digits: province, city, district
    district: str
    mark: str  # two letters, unique in the backbone


OFFICES = {
    office.code: office
    for office in (
        Office("367201", "Cilegon", "CG"),
        Office("367202", "Ciwandan", "CW"),
        Office("367203", "Pulomerak", "PM"),
        Office("367204", "Cibeber", "CB"),
        Office("367205", "Grogol", "GR"),
        Office("367206", "Purwakarta", "PW"),
        Office("367207", "Jombang", "JM"),
        Office("367208", "Citangkil", "CT"),
    )
}
BY_MARK = {office.mark: office for office in OFFICES.values()}


@dataclass(eq=False)
class UnknownOffice(Problem):
    """The office is not one of this backbone's; nothing was written."""

    office: str
    offices: str
    code: ClassVar[str] = "unknown_office"
    sentence_id: ClassVar[str] = "Kantor {office} tidak ada di sini. Kantor yang ada: {offices}."
    sentence_en: ClassVar[str] = "Office {office} is not one of this backbone's. Its offices are: {offices}."


def office(code: str) -> Office:
    """The office with this six-digit code. Raises UnknownOffice."""
    found = OFFICES.get(code)
    if found is None:
        shown = code if _CODE.fullmatch(code) else "?"  # what else stands there may be a NIK or a name in the wrong place
        raise UnknownOffice(shown, ", ".join(OFFICES))
    return found
