"""Made-up residents for the sample: names as they are heard around Cilegon, and a NIK that nobody has.

Real registers number the births of a day and district upwards from 0001; the sample numbers them downwards from 9999,
so that its numbers meet no living person's.
"""

from collections import Counter
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from events.nik import Nik, Sex
from events.stages import Kind

# 17 years are 6,209 or 6,210 days. No older than 81, so that no birth year's two digits are read as 20xx.
ADULT_DAYS, OLDEST_DAYS = 6_210, 81 * 365

Births = Counter[tuple[str, date, Sex]]  # NIKs given so far, per area, day and sex

ELSEWHERE = (
    *("367301", "367305", "360401", "360410", "360117", "360201", "367105", "360303"),  # Banten
    *("317103", "317404", "320105", "327301", "327501", "321501"),  # Jakarta and West Java
    *("337401", "331105", "332801", "340407", "357801", "350712"),  # Central and East Java
    *("187101", "180103", "127101", "120211", "121205", "137101", "167103", "737101"),  # Sumatra, Sulawesi
)


class Names(NamedTuple):
    """Names of one region, apart by blanks."""

    men: str
    women: str
    men_second: str
    women_second: str


BANTEN = Names(
    "Ahmad Muhammad Abdul Tubagus Entus Sanusi Suhaemi Jamhuri Rohman Hasanudin Fathoni Mas'ud Ma'mun Sya'roni Ridwan",
    "Siti Ratu Maryam Aisyah Fatimah Khadijah Halimah Sa'adah Nur'aini Jum'ati Suherti Rohayati Nabila Fitri Sarinah",
    "Rohim Fauzi Syarifudin Jaelani Baihaqi Fahrurozi Muhtadi Sobari Nawawi Rafi'i Hakim Syafi'i Hidayat Maulana Sa'ban",
    "Aminah Rohmah Hasanah Maesaroh Komariah Julaeha Masitoh Uswatun Qibtiyah Sholehah Jam'iyah Fauziah Nurjanah Badriyah",
)
SUNDA = Names(
    "Asep Ujang Dadang Cecep Encep Entis Jajang Dedi Deni Iwan Yayan Nana Wawan Galih Rizky Tatang",
    "Neneng Euis Enok Iis Ai Cucu Tati Yati Rina Lina Desi Intan Wiwin Ida Imas Elis",
    "Suryana Sutisna Sopandi Kurniawan Setiawan Gunawan Hermawan Saputra Permana Ramdani Mulyana Supriatna",
    "Mulyati Sumiati Kurniasih Anggraeni Permatasari Suryani Herlina Marlina Yuliana Rosmiati Nuraeni Sukaesih",
)
JAVA = Names(
    "Agus Eko Budi Slamet Sugeng Bambang Joko Wahyu Hendra Rudi Suparman Sarman Kasmin Supriyadi Bayu Dimas Fajar",
    "Sri Dewi Sukinem Wagiyem Tumini Endang Retno Wulan Ratna Lestari Ningsih Indah Ayu Putri Mega",
    "Santoso Prasetyo Nugroho Susanto Purnomo Wibowo Wijaya Widodo Firmansyah Hartono Raharjo",
    "Rahayu Wahyuni Handayani Astuti Susanti Purwanti Puspita Oktaviani Utami Wulandari",
)
_CLANS = "Siregar Simanjuntak Hutapea Nasution Sitompul Manurung Sinaga Lubis Harahap Panjaitan"
BATAK = Names(
    "Parulian Tigor Binsar Jonggi Saut Robert André Yosef Daniel", "Tiur Rotua Duma Maria Désirée Renée Ruth", _CLANS, _CLANS
)
REGIONS = (*(BANTEN,) * 9, *(SUNDA,) * 4, *(JAVA,) * 6, BATAK)  # 45, 20, 30 and 5 %
DEGREES = (", S.Pd.", ", S.E.", ", S.H., M.H.", ", M.Si.", ", S.Kom.", ", A.Md.", ", S.Ag., M.Pd.")


def person(rng: Random, office: str, kind: Kind, applied: date, births: Births) -> str:
    """The CSV cells `nik,name,sex,born` of somebody new, of age on the day `applied`; `births` keeps NIKs apart."""
    sex: Sex = "M" if rng.random() < 0.51 else "F"
    age_days = ADULT_DAYS + int((OLDEST_DAYS - ADULT_DAYS) * rng.betavariate(1.1, 2.6))
    born = applied - timedelta(days=age_days)
    area = office if rng.random() < (0.1 if kind is Kind.MOVED_IN else 0.85) else rng.choice(ELSEWHERE)
    birth = (area, born, sex)
    births[birth] += 1
    nik = Nik.of(*birth, serial=10_000 - births[birth])
    return f"{nik},{cell(_name(rng, sex, titled=age_days > 22 * 365))},{sex},{born}"


def cell(text: str) -> str:
    """One field of a CSV line, quoted only where RFC 4180 asks for it."""
    return '"' + text.replace('"', '""') + '"' if any(char in text for char in ',"\r\n') else text


def _name(rng: Random, sex: Sex, titled: bool) -> str:
    """One to three parts; of those who can have them, a few with a pilgrim's title or a degree."""
    names = rng.choice(REGIONS)
    first, second = (names.men, names.men_second) if sex == "M" else (names.women, names.women_second)
    form = rng.random()
    parts = rng.sample(first.split(), 2 if form > 0.85 else 1)
    if form > 0.07:  # the others bear a single name, as many do
        parts.append(rng.choice(second.split()))
    if titled and rng.random() < 0.04:
        parts.insert(0, "H." if sex == "M" else "Hj.")
    return " ".join(parts) + (rng.choice(DEGREES) if titled and rng.random() < 0.02 else "")
