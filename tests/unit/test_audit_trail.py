"""Which of the server's advisories tell of a change of the journal; and what is noted until it can be recorded."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from events.audit import AdministrativeCall, PutBack, Restored
from infra.audit_notes import Note, drop, forget_intended, intend, keep_intended, leave, notes
from infra.data_folder import DataFolder, open_folder
from services.audit_trail import administrative_call
from tests.applications import NOW

PUT_BACK = PutBack(why="altered", first=7, last=9, places=2, source="archive", events=12)
RESTORED = Restored(restored=12, lost=0)
CALL = AdministrativeCall(call="STREAM.UPDATE", stream="EKTP", account="BACKBONE", user="admin", outcome="done")


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return open_folder(tmp_path / "data")


def advisory(subject: str, user: str = "admin", **response: Any) -> dict[str, Any]:
    client = {"acc": "BACKBONE", "user": user, "host": "127.0.0.1"}
    return {"subject": f"$JS.API.{subject}", "client": client, "response": orjson.dumps(response).decode()}


@pytest.mark.parametrize("call", ["UPDATE", "DELETE", "PURGE", "RESTORE", "MSG.DELETE", "CREATE"])
def test_whoever_changes_the_journals_stream_is_told_and_whether_it_was_done(call: str) -> None:
    done = AdministrativeCall(call=f"STREAM.{call}", stream="EKTP", account="BACKBONE", user="admin", outcome="done")
    assert administrative_call(advisory(f"STREAM.{call}.EKTP")) == done
    refused = administrative_call(advisory(f"STREAM.{call}.EKTP", error={"err_code": 10110, "description": "no"}))
    assert refused == done.model_copy(update={"outcome": "10110 no"})


def test_that_our_own_writer_makes_the_stream_is_ordinary_and_no_other_call_of_it_is() -> None:
    assert administrative_call(advisory("STREAM.CREATE.EKTP", user="writer")) is None
    assert administrative_call(advisory("STREAM.DELETE.EKTP", user="writer"))


@pytest.mark.parametrize(
    "subject",
    [
        "INFO",
        "STREAM.INFO.EKTP",
        "STREAM.SNAPSHOT.EKTP",
        "STREAM.PURGE.EKTP_FEED",
        "CONSUMER.CREATE.EKTP.r1",
    ],
)
def test_ordinary_calls_and_other_streams_are_not_told(subject: str) -> None:
    assert administrative_call(advisory(subject)) is None


def test_notes_are_kept_oldest_first_until_they_are_dropped(folder: DataFolder) -> None:
    later, earlier = Note("0" * 32, NOW, CALL), Note("1" * 32, NOW - timedelta(seconds=1), PUT_BACK)
    for note in (later, earlier, later):
        leave(folder, note)
    assert notes(folder) == [earlier, later]
    drop(folder, earlier)
    assert notes(folder) == [later]


def test_what_is_intended_counts_once_it_is_kept(folder: DataFolder) -> None:
    intend(folder, RESTORED)
    intend(folder, PUT_BACK)
    assert notes(folder) == []
    for _ in range(2):
        keep_intended(folder)
    (note,) = notes(folder)
    assert note.fact == PUT_BACK
    assert timedelta(0) <= datetime.now(UTC) - note.noticed < timedelta(minutes=1)
    intend(folder, RESTORED)
    forget_intended(folder)
    keep_intended(folder)
    assert notes(folder) == [note]


@pytest.mark.parametrize("content", [b"", b"[]", b'{"type": "id.go.ektp.audit.put_back.v1", "data": {}}', b'{"type": []}'])
def test_a_note_that_cannot_be_read_keeps_nobody_from_starting(folder: DataFolder, content: bytes) -> None:
    (folder.path / "run" / "audit-1.json").write_bytes(content)
    (folder.path / "run" / "audit.intended").write_bytes(content)
    keep_intended(folder)
    assert notes(folder) == []
