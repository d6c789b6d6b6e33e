"""`ektp erase`: nothing says any more who it was, everything else stays, and who comes again is somebody new."""

import sqlite3
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx

from infra.tlog.bundle import decompress
from tests.command import Up, ektp, running, somebody

OFFICE, NAME = "367203", "Kusumaningrum Widyastuti"


def spellings(word: str) -> list[bytes]:
    """A word as it may stand in a file: plain, in UTF-16, and in base 64 at each place in a longer text."""
    plain = word.encode()
    inner = [b64encode(b"x" * shift + plain)[4 if shift else 0 : -4] for shift in range(3)]
    return [plain, word.encode("utf-16-le"), word.encode("utf-16-be"), *inner]


def test_every_spelling_is_found_where_it_stands() -> None:
    texts = [f"nama: {NAME}", f"nama: {NAME}!", f"nama: {NAME}!!"]
    written = [text.encode(coding) for text in texts for coding in ("utf-8", "utf-16-le", "utf-16-be")]
    encoded = [b64encode(b"x" * shift + text.encode()) for text in texts for shift in range(3)]
    assert all(any(spelling in text for spelling in spellings(NAME)) for text in [*written, *encoded])


def contents(data: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below the data folder, by its path there, archives unpacked."""
    for file in sorted(data.rglob("*")):
        if file.is_file():
            content = file.read_bytes()
            yield str(file.relative_to(data)), decompress(content) if file.suffix == ".zst" else content


def files_with(data: Path, *patterns: bytes) -> list[str]:
    return [name for name, content in contents(data) if any(pattern in content for pattern in patterns)]


def key_and_hash(data: Path) -> tuple[bytes, bytes]:
    """Of the one person in the keystore."""
    with closing(sqlite3.connect(data / "keys" / "keystore.sqlite")) as keystore:
        ((key, hashed),) = keystore.execute("select key, nik_hash from residents").fetchall()
    return key, hashed


def collected(data: Path, nik: str) -> str:
    """The receipt of a case that went all the way, with the name wherever there is room for one."""
    told = ("--reason", f"anak dari {NAME}")
    case = ("submit", "--office", OFFICE, "--nik", nik, "--name", NAME, "--kind", "new", *told)
    receipt = str(ektp(data, *case).document["receipt"])
    for step in ("record", "queue", "print"):
        assert ektp(data, step, receipt, *told).code == 0
    assert ektp(data, "erase", receipt, *told).error == "retention_hold"  # the card was not fetched
    assert ektp(data, "collect", receipt, *told).code == 0
    (first, *_) = ektp(data, "status", receipt).document["history"]
    corrected = ("correct", receipt, "--event", first["id"], "--set", f"name={NAME} Putri", *told)
    assert ektp(data, *corrected).code == 0
    return receipt


def test_nothing_in_the_data_folder_tells_who_it_was_and_everything_else_stays(tmp_path: Path) -> None:
    data, nik = tmp_path / "data", somebody()
    personal = [*spellings(nik), *spellings(NAME)]
    with running(data, "--http", 0) as up:
        receipt = collected(data, nik)
        status = ektp(data, "status", receipt).document
        assert {"nats", "views"} <= {name.split("/")[0] for name in files_with(data, receipt.encode())}  # it looks inside
        assert all(files_with(data, secret) for secret in key_and_hash(data))
        assert _shown(up, personal) == []
        secrets = key_and_hash(data)

        erasing = ("erase", receipt, "--reason", f"permohonan {NAME}", "--actor", "p.1")
        erased = ektp(data, *erasing)
        assert erased.document == {"receipt": receipt, "cases": [status["case"]]} | {
            field: erased.document[field] for field in ("erased", "seq")
        }
        assert _shown(up, [*personal, *secrets]) == []
        assert ektp(data, *erasing) == erased
        assert ektp(data, "status", receipt).document == status
        assert ektp(data, "find", "--nik", nik).document == {"receipts": []}
        late = ("correct", receipt, "--event", status["history"][1]["id"], "--set", "actor=p.2", "--reason", "keliru")
        assert ektp(data, *late).error == "erased"
        assert ektp(data, "doctor", "--compare").code == 0

        again = ektp(data, "submit", "--office", OFFICE, "--nik", nik, "--name", NAME, "--kind", "new").document["receipt"]
        assert ektp(data, "find", "--nik", nik).document == {"receipts": [again]}
        assert ektp(data, *erasing) == erased  # and the new one stays
        assert ektp(data, "find", "--nik", nik).document == {"receipts": [again]}
    assert files_with(data, *personal, secrets[0]) == []  # at rest, too; the NIK's hash came back with who came again


def test_a_row_of_an_erased_person_is_there_already_and_makes_nobody_new(tmp_path: Path) -> None:
    data, nik, book = tmp_path / "data", somebody(), tmp_path / "book.csv"
    row = f"R-1,{OFFICE},new,{nik},{NAME},M,1990-05-01"
    book.write_text(
        "case,office,kind,nik,name,sex,born,event,at,actor,serial,reason\n"
        f"{row},submitted,2024-03-04T09:00,,,\n{row},cancelled,2024-03-04T10:00,,,pindah\n"
    )
    with running(data):
        assert ektp(data, "import", book).document["events_added"] == 2
        (receipt,) = ektp(data, "find", "--nik", nik).document["receipts"]
        assert ektp(data, "erase", receipt, "--reason", "putusan").code == 0
        imported = ektp(data, "import", book).document
        assert (imported["events_added"], imported["events_already_there"], imported["rows_rejected"]) == (0, 2, 0)
        assert ektp(data, "find", "--nik", nik).document == {"receipts": []}
        assert ektp(data, "find", "--case", "R-1").document == {"receipts": [receipt]}
        assert ektp(data, "erase", "PM-0000-0000-00000", "--reason", "x").error == "unknown_receipt"


def _shown(up: Up, patterns: list[bytes]) -> list[str]:
    """Where any of these can be read, in files or in what HTTP tells."""
    metrics = httpx.get(f"{up.http}/metrics").content
    return [*files_with(up.data, *patterns), *("/metrics" for pattern in patterns if pattern in metrics)]
