"""NIK (nomor induk kependudukan), the resident's number: area 6, date of birth DDMMYY (day + 40 for women), serial 4.

Source: UU 23/2006 art. 13 and PP 37/2007 art. 37. The number has two digits of the year, so the century is a guess:
the latest that does not put the birth in the future.
"""

import re
from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from events.problem import Problem

Sex = Literal["M", "F"]
_SHAPE = re.compile(r"[1-9][0-9]{15}")


@dataclass(eq=False)
class InvalidNik(Problem):
    """Not a NIK. The number itself is left out of the message: it may be someone's, mistyped."""

    why: str  # length, date or serial
    code: ClassVar[str] = "invalid_nik"
    sentence_id: ClassVar[str] = (
        "NIK tidak sah ({why}): harus 16 angka, dengan tanggal lahir HHBBTT pada angka 7-12 (hari + 40 untuk perempuan) "
        "dan nomor urut bukan 0000. Periksa kembali pada kartu keluarga."
    )
    sentence_en: ClassVar[str] = (
        "This is not a valid NIK ({why}): it needs 16 digits, with the date of birth DDMMYY in digits 7-12 (day + 40 for "
        "women) and a serial other than 0000. Check it against the family card."
    )


class Nik(str):
    """A NIK that has the shape of one. Raises InvalidNik."""

    __slots__ = ()

    def __new__(cls, digits: str) -> "Nik":
        if not _SHAPE.fullmatch(digits):
            raise InvalidNik("length")
        if digits[12:] == "0000":
            raise InvalidNik("serial")
        nik = super().__new__(cls, digits)
        if nik._born_in(2000) is None:  # this century has every day that the last one had: 2000 is a leap year
            raise InvalidNik("date")
        return nik

    @classmethod
    def of(cls, area: str, born: date, sex: Sex, serial: int) -> "Nik":
        """The number for a birth in `area` (six digits); `serial` is 1 to 9999."""
        return cls(f"{area}{born.day + (40 if sex == 'F' else 0):02d}{born:%m%y}{serial:04d}")

    @property
    def area(self) -> str:
        """Six digits of the district that issued the number, not of the present address."""
        return self[:6]

    @property
    def sex(self) -> Sex:
        return "F" if self[6] >= "4" else "M"

    def born(self, today: date) -> date:
        """Date of birth, in the latest century that does not put it after `today`. Raises InvalidNik when none fits."""
        for century in (2000, 1900):
            born = self._born_in(century)
            if born is not None and born <= today:
                return born
        raise InvalidNik("date")

    def agrees_with(self, born: date) -> bool:
        """Whether `born` is what the number says, in any century."""
        return self._born_in(born.year // 100 * 100) == born

    def _born_in(self, century: int) -> date | None:
        day = int(self[6:8])
        try:
            return date(century + int(self[10:12]), int(self[8:10]), day - 40 if day > 40 else day)
        except ValueError:
            return None

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
