"""The desk's commands as people type them: a case on its way, what is refused and how, and that nobody's data are shown."""

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.nik import Nik
from tests.command import EKTP, Answer, Up, ektp, files_that_show, running, somebody

OFFICE, NAME = "367203", "Ratna Kusumawardhani"
MONDAY, TUESDAY = "2024-03-04", "2024-03-05"  # ordinary working days


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("cases") / "data") as up:
        yield up


@pytest.fixture
def data(up: Up) -> Path:
    return up.data


def submit(data: Path, *more: object, nik: str = "", office: str = OFFICE, kind: str = "new", lang: str = "en") -> Answer:
    person = ("--nik", nik or somebody(), "--name", NAME)
    return ektp(data, "submit", "--office", office, *person, "--kind", kind, *more, lang=lang)


def submitted(data: Path, *more: object) -> str:
    """The receipt of a new case."""
    return str(submit(data, *more).document["receipt"])


def history(data: Path, receipt: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = ektp(data, "status", receipt).document["history"]
    return lines


def test_a_case_goes_from_the_desk_to_the_residents_hand(data: Path) -> None:
    nik = somebody()
    handed_in = submit(data, "--at", f"{MONDAY}T09:00", "--actor", "petugas.1", nik=nik)  # naive: Jakarta
    receipt, case, first = (handed_in.document[key] for key in ("receipt", "case", "seq"))
    assert handed_in.document == {"receipt": receipt, "case": case, "seq": first, "promised": f"{TUESDAY}T09:00:00+07:00"}

    steps = [("record", "recorded", f"{MONDAY}T10:00:00+07:00"), ("queue", "queued", f"{TUESDAY}T02:00:00Z")]
    seqs = [first]
    for command, stage, at in steps:
        done = ektp(data, command, receipt, "--at", at, "--actor", "operator-2").document
        seqs.append(done["seq"])
        assert done == {"receipt": receipt, "stage": stage, "seq": seqs[-1]}
    assert seqs == sorted(set(seqs))

    status = ektp(data, "status", receipt).document
    recorded = [datetime.fromisoformat(line.pop("recorded")) for line in status["history"]]
    ids = [line.pop("id") for line in status["history"]]
    assert status == {
        "receipt": receipt,
        "case": case,
        "office": OFFICE,
        "kind": "new",
        "stage": "queued",
        "since": f"{TUESDAY}T09:00:00+07:00",
        "waits_for": "office",
        "next_step": "Ready to print; waits for its turn.",
        "promised": f"{TUESDAY}T09:00:00+07:00",
        "forecast": None,
        "place": {"number": 1, "of": 1},
        "history": [
            {"event": "submitted", "occurred": f"{MONDAY}T09:00:00+07:00", "seq": seqs[0], "actor": "petugas.1"},
            {"event": "recorded", "occurred": f"{MONDAY}T10:00:00+07:00", "seq": seqs[1], "actor": "operator-2"},
            {"event": "queued", "occurred": f"{TUESDAY}T09:00:00+07:00", "seq": seqs[2], "actor": "operator-2"},
        ],
    }
    assert len(set(ids)) == 3
    assert recorded == sorted(recorded)
    assert datetime.now(UTC) - recorded[0] < timedelta(minutes=1)  # entered late: told apart from when it happened

    printed = ektp(data, "print", receipt, "--serial", "KTP-000123").document
    assert printed == {"receipt": receipt, "stage": "printed", "seq": seqs[-1] + 1}
    assert ektp(data, "collect", receipt.lower().replace("-", " ")).document["stage"] == "collected"  # as typed by hand
    status = ektp(data, "status", receipt, lang="id").document
    assert (status["stage"], status["waits_for"], status["place"]) == ("collected", None, None)
    assert status["next_step"] == "Selesai: kartu sudah diambil."
    assert status["history"][-1]["actor"] is None
    assert ektp(data, "find", "--nik", nik).document == {"receipts": [receipt]}


def test_a_case_is_returned_and_goes_on_from_there(data: Path) -> None:
    receipt = submitted(data)
    ektp(data, "record", receipt)
    ektp(data, "queue", receipt)
    back = ektp(data, "return", receipt, "--to", "submitted", "--reason", "foto buram").document
    assert (back["receipt"], back["stage"]) == (receipt, "submitted")
    assert ektp(data, "queue", receipt).error == "stage_skipped"
    assert ektp(data, "return", receipt, "--to", "recorded", "--reason", "x").error == "cannot_return"
    assert ektp(data, "record", receipt).document["stage"] == "recorded"
    assert [line["event"] for line in history(data, receipt)] == ["submitted", "recorded", "queued", "returned", "recorded"]


def test_a_cancelled_case_is_over_and_leaves_the_resident_free(data: Path) -> None:
    nik = somebody()
    receipt = str(submit(data, nik=nik).document["receipt"])
    refused = submit(data, nik=nik)
    assert refused.error == "case_open"
    assert refused.document["error"]["receipt"] == receipt
    assert ektp(data, "cancel", receipt, "--reason", "pindah").document["stage"] == "cancelled"
    assert ektp(data, "record", receipt).error == "case_cancelled"
    assert ektp(data, "cancel", receipt, "--reason", "pindah").error == "already_cancelled"
    second = submit(data, nik=nik, office="367204").document["receipt"]
    assert ektp(data, "find", "--nik", nik).document == {"receipts": [receipt, second]}
    assert ektp(data, "find", "--nik", nik, "--office", "367204").document == {"receipts": [second]}
    assert ektp(data, "find", "--nik", somebody()).document == {"receipts": []}


def test_a_correction_changes_time_and_actor_and_the_event_itself_stays(data: Path) -> None:
    receipt = submitted(data, "--at", f"{MONDAY}T09:00", "--actor", "petugas.1")
    ektp(data, "record", receipt, "--at", f"{MONDAY}T15:00", "--actor", "petugas.1")
    first, second = (line["id"] for line in history(data, receipt))
    correct = ("correct", receipt, "--reason", "salah catat", "--event")
    both = ektp(data, *correct, second, "--set", f"at={MONDAY}T11:30", "--set", "actor=operator-9").document
    assert both == {"receipt": receipt, "stage": "recorded", "seq": both["seq"]}
    assert ektp(data, *correct, first, "--set", f"name={NAME} Putri", "--set", "serial=BOX-7").code == 0

    status = ektp(data, "status", receipt).document
    assert (status["since"], status["stage"]) == (f"{MONDAY}T11:30:00+07:00", "recorded")
    lines = [(line["event"], line["id"], line["actor"]) for line in status["history"]]
    assert lines[:2] == [("submitted", first, "petugas.1"), ("recorded", second, "operator-9")]
    assert [event for event, *_ in lines[2:]] == ["corrected", "corrected"]

    for field in ("nik=1", "stage=queued", NAME):  # the last: `name=` was forgotten
        assert ektp(data, *correct, first, "--set", field).error == "not_correctable"
    assert ektp(data, *correct, second, "--set", f"name={NAME}").error == "not_correctable"
    assert ektp(data, *correct, "f" * 32, "--set", "actor=x").error == "no_such_event"
    assert ektp(data, *correct, second, "--set", f"at={MONDAY}T08:59").error == "before_previous"
    assert ektp(data, *correct, first, "--set", f"at={MONDAY}T11:31").error == "after_next"
    assert ektp(data, *correct, first, "--set", "at=kemarin").error == "invalid_instant"


def test_the_same_key_again_does_nothing_and_other_content_is_refused(data: Path) -> None:
    nik, key = somebody(), ("--idempotency-key", "loket-1/0001")
    first = submit(data, *key, nik=nik)
    ektp(data, "record", first.document["receipt"])
    assert submit(data, *key, nik=nik) == first
    assert submit(data, *key, "--actor", "x", nik=nik).error == "key_reused"
    assert submit(data, *key, office="367208").document["receipt"] != first.document["receipt"]  # another office's own key
    receipt = str(first.document["receipt"])
    queued = ektp(data, "queue", receipt, *key)
    ektp(data, "print", receipt, *key)
    assert ektp(data, "queue", receipt, *key) == queued
    assert ektp(data, "queue", receipt).error == "already_queued"
    assert ektp(data, "queue", receipt, "--serial", "x", *key).error == "key_reused"


def test_what_was_read_and_is_not_valid_is_refused_with_exit_code_1(data: Path) -> None:
    receipt = submitted(data)
    for nik in ("367203010590000", "3672033113900001"):  # length, date
        assert submit(data, nik=nik).error == "invalid_nik"
    assert ektp(data, "find", "--nik", "1234567890").error == "invalid_nik"
    assert submit(data, office="317101").error == "unknown_office"
    assert submit(data, kind="baru").error == "invalid_request"
    assert submit(data, "--born", "1991-05-01").error == "born_disagrees"
    assert submit(data, "--actor", "Budi Santoso").error == "invalid_request"
    assert submit(data, "--at", "2024-13-01").error == "invalid_instant"
    assert submit(data, "--at", (datetime.now(UTC) + timedelta(minutes=2)).isoformat()).error == "in_future"
    for wrong in (receipt[:-1] + ("0" if receipt[-1] != "0" else "1"), "PM-1", "kosong"):
        assert ektp(data, "status", wrong).error == "unknown_receipt"
    assert ektp(data, "record", "PM-0000-0000-00000").error == "unknown_receipt"
    assert ektp(data, "status", receipt, "--as-of", "now").error == "invalid_instant"
    assert ektp(data, "status", receipt, lang="fr").error == "invalid_lang"


def test_age_and_stay_permit_decide_who_may_apply(data: Path) -> None:
    sixteen = date.today() - timedelta(days=16 * 365)  # noqa: DTZ011
    child = Nik.of("367203", sixteen, "F", 1)
    assert submit(data, nik=child).error == "under_age"
    assert submit(data, "--married", nik=child).code == 0
    assert submit(data, "--foreigner").error == "no_stay_permit"
    assert submit(data, "--foreigner", "--stay-permit").code == 0


@pytest.mark.parametrize(
    "words",
    [
        *("status", "status X --nope", "submit --office 367203", "nosuch"),
        *("find", "find --nik 3672030105900001 --case 1", "sample jakarta"),
    ],
)
def test_unknown_or_missing_options_are_exit_code_2_and_still_one_document(data: Path, words: str) -> None:
    answer = ektp(data, *words.split())
    assert (answer.code, answer.document["error"]["code"]) == (2, "usage")
    assert answer.document["error"]["message_id"] != answer.document["error"]["message_en"]
    assert answer.stderr


def test_a_person_reads_their_own_language(data: Path) -> None:
    receipt = submitted(data, "--at", f"{MONDAY}T09:00")
    english, indonesian = (ektp(data, "status", receipt, json=False, lang=lang).stdout for lang in ("en", "id"))
    assert english.splitlines()[0] == f"{receipt}  submitted, promised {TUESDAY} 09:00"
    assert indonesian.splitlines()[0] == f"{receipt}  diajukan, dijanjikan {TUESDAY} 09:00"
    refused = ektp(data, "collect", receipt, json=False, lang="id")
    assert (refused.code, refused.stdout) == (1, "")
    assert refused.stderr == "Permohonan ini baru submitted; harus recorded dahulu sebelum collected.\n"
    assert ektp(data, "record", receipt, json=False).stdout == f"{receipt}  recorded\n"


def test_the_data_folder_and_the_language_may_come_from_the_environment(data: Path, tmp_path: Path) -> None:
    def typed(cwd: Path, **environment: str) -> str:
        words, environment = [str(EKTP), "status", "PM-0000-0000-00000"], os.environ | environment
        return subprocess.run(words, stderr=subprocess.PIPE, text=True, check=False, cwd=cwd, env=environment).stderr

    assert typed(data.parent).startswith("Nomor resi ini tidak dikenal.")  # ./data, in Indonesian
    assert typed(tmp_path, EKTP_DATA=str(data), EKTP_LANG="en").startswith("This receipt is not known here.")
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_of_ours_is_told_plainly_and_logged_without_the_person(data: Path) -> None:
    with closing(sqlite3.connect(data / "keys" / "keystore.sqlite")) as keystore:
        keystore.execute("alter table residents rename to elsewhere")
        try:
            refused = submit(data)
        finally:
            keystore.execute("alter table elsewhere rename to residents")
    assert refused.error == "unexpected"
    assert "OperationalError" in (data / "run" / "writer.log").read_text()
    assert submit(data).code == 0


def test_no_file_of_the_data_folder_shows_a_name_or_a_nik(data: Path) -> None:
    nik = somebody()
    receipt = str(submit(data, "--reason", f"anak dari {NAME}", nik=nik).document["receipt"])
    ektp(data, "cancel", receipt, "--reason", f"{NAME} meninggal")
    ektp(data, "find", "--nik", nik)
    assert files_that_show(data) == []


def test_a_name_without_quotes_is_not_repeated(tmp_path: Path) -> None:
    resident = ["--office", "367203", "--nik", "3672034501990001", "--kind", "new"]
    told = ektp(tmp_path / "data", "submit", *resident, "--name", "Siti", "Rahayuningtyas")
    assert told.code == 2
    assert "Rahayuningtyas" not in told.stdout + told.stderr
