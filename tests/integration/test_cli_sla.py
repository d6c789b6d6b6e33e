"""`ektp sla`: what runs, is at risk and was breached, now and then, in two languages; and `up` tells when it happens."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from events.envelope import Event
from events.sla import CAUSES, Breached
from events.standard import STANDARD_V1
from tests.command import Up, ektp, eventually, history, running, somebody, submission

HEADER = "case,office,kind,nik,name,sex,born,event,at,actor,serial,reason"
PULOMERAK, CIBEBER = "367203", "367204"
FRIDAY_NOON = "2024-03-08T12:00:00+07:00"  # an ordinary week before
FIELDS = {"receipt", "office", "target", "started", "due", "breached", "office_due", "late_seconds", "causes"}


def book(path: Path, *cases: tuple[str, str, list[tuple[str, str]]]) -> Path:
    """A register: (case, office, what happened when)."""
    lines = [HEADER]
    for case, office, happened in cases:
        nik = somebody()
        lines += [f"{case},{office},new,{nik},Ratna,M,,{event},{at},,," for event, at in happened]
    path.write_text("\n".join(lines))
    return path


SLOW = [("submitted", "2024-03-04 08:00"), ("recorded", "2024-03-04 09:00"), ("queued", "2024-03-06 09:00")]
FORGOTTEN = [("submitted", "2024-03-08 07:30")]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("sla")
    with running(folder / "data") as up:
        cases = book(folder / "book.csv", ("slow", PULOMERAK, SLOW), ("forgotten", CIBEBER, FORGOTTEN))
        assert ektp(up.data, "import", cases).code == 0
        begin, end = ("--at", "2024-03-05T08:00"), ("--at", "2024-03-05T10:00")
        ektp(up.data, "outage", "begin", "--office", PULOMERAK, "--cause", "network", *begin)
        ektp(up.data, "outage", "end", "--office", PULOMERAK, "--cause", "network", *end)
        yield up


@pytest.fixture
def data(up: Up) -> Path:
    return up.data


def seconds(begin: str, end: str) -> int:
    return int((datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds())


def targets(rows: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["office"], row["target"], row["due"][5:16]) for row in rows]


def test_on_a_folder_where_nothing_runs_it_tells_what_the_books_say(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ektp(data, "import", book(tmp_path / "book.csv", ("slow", PULOMERAK, SLOW)))
    found = ektp(data, "sla", "--as-of", FRIDAY_NOON).document
    assert targets(found["breached"]) == [
        (PULOMERAK, "issuance", "03-05T08:00"),
        (PULOMERAK, "queueing", "03-05T09:00"),
        (PULOMERAK, "printing", "03-07T09:00"),
    ]
    assert ektp(data, "sla").document["breached"] == []  # long ago


def test_then_as_it_was_then(data: Path) -> None:
    found = ektp(data, "sla", "--as-of", FRIDAY_NOON).document
    assert found["as_of"] == FRIDAY_NOON
    assert (found["running"], len(found["breached"])) == (4, 3)
    assert targets(found["at_risk"]) == []
    later = ektp(data, "sla", "--as-of", "2024-03-08T16:00").document
    assert targets(later["at_risk"]) == [(CIBEBER, "recording", "03-08T16:30")]
    before = ektp(data, "sla", "--as-of", "2024-03-04T08:30").document
    assert (before["running"], before["breached"], before["at_risk"]) == (2, [], [])
    assert ektp(data, "sla", "--as-recorded", FRIDAY_NOON).document["running"] == 0


def test_every_second_has_its_cause_and_every_field_of_the_contract_is_there(data: Path) -> None:
    found = ektp(data, "sla", "--as-of", FRIDAY_NOON).document
    for row in found["breached"]:
        assert row.keys() >= FIELDS | {"met"}
        assert row["breached"] == row["due"]
        assert tuple(row["causes"]) == CAUSES
        until = row["met"] or FRIDAY_NOON
        assert sum(row["causes"].values()) == seconds(row["started"], until)
        assert row["late_seconds"] == seconds(row["due"], until)
    issuance, queueing, printing = found["breached"]
    assert [row["causes"]["network"] for row in found["breached"]] == [7200, 7200, 0]
    assert queueing["office_due"] == "2024-03-05T11:00:00+07:00"
    assert (queueing["met"], queueing["causes"]["office"], printing["causes"]["centre"]) == (
        "2024-03-06T09:00:00+07:00",
        0,
        0,
    )
    assert issuance["met"] is None
    ages = {stage: age["p50"] for stage, age in found["percentiles"].items()}
    assert ages == {"submitted": 16_200, "recorded": None, "queued": 183_600, "printed": None}


def test_office_and_from_narrow_and_widen(data: Path) -> None:
    at = ("--as-of", "2026-03-09T16:00")
    assert targets(ektp(data, "sla", *at).document["breached"]) == []
    from_then = ektp(data, "sla", *at, "--from", "2024-03-08T00:00").document
    assert targets(from_then["breached"]) == [
        (CIBEBER, "recording", "03-08T16:30"),
        (CIBEBER, "issuance", "03-09T07:30"),
    ]
    here = ektp(data, "sla", *at, "--from", "2024-01-01", "--office", PULOMERAK).document
    assert {row["office"] for row in here["breached"]} == {PULOMERAK}
    assert here["running"] == 2
    assert ektp(data, "sla", "--office", "999999").error == "unknown_office"
    assert ektp(data, "sla", "--from", "kemarin").error == "invalid_instant"


@pytest.mark.parametrize(("lang", "said"), [("id", "terancam 1, terlampaui 3"), ("en", "at risk 1, breached 3")])
def test_people_read_first_what_is_about_to_be_broken(data: Path, lang: str, said: str) -> None:
    text = ektp(data, "sla", "--as-of", "2024-03-08T16:00", json=False, lang=lang).stdout
    first, heading, soon, *rest = text.splitlines()
    assert said in first
    assert heading == {"id": "Terancam:", "en": "At risk:"}[lang]
    assert "2024-03-08 16:30" in soon
    assert any(line.startswith(f"  {PULOMERAK} Pulomerak: 3; ") for line in rest)


def test_a_long_list_comes_whole(data: Path, tmp_path: Path) -> None:
    cases = [(f"many-{number}", "367206", [("submitted", "2023-03-06 08:00")]) for number in range(700)]
    assert ektp(data, "import", book(tmp_path / "book.csv", *cases)).document["events_added"] == 700
    found = ektp(data, "sla", "--as-of", "2023-03-31T00:00", "--office", "367206").document
    rows = {(row["receipt"], row["target"]) for row in found["breached"]}
    assert len(rows) == len(found["breached"]) == 1_400
    assert "rest" not in found


def test_operations_are_told_by_the_clock_of_up_and_the_verdict_stays_when_the_rules_change(up: Up, tmp_path: Path) -> None:
    """The standard allows two seconds, and then a week."""

    def set_limit(limit: str) -> None:
        document = STANDARD_V1.model_dump(mode="json")
        document["targets"] = [each | {"limit": limit, "clock": "calendar"} for each in document["targets"]]
        (tmp_path / "standard.json").write_text(json.dumps(document))
        assert ektp(up.data, "standard", "set", tmp_path / "standard.json").code == 0

    def breaches() -> list[Event]:
        return [event for event in history(up.data) if isinstance(event.fact, Breached)]

    set_limit("PT2S")
    receipt = ektp(up.data, *submission()).document["receipt"]
    events = eventually(lambda: (found := breaches())[1:] and found)
    for event in events:
        assert isinstance(event.fact, Breached)
        assert (event.place, event.fact.standard_version, event.fact.late) == (PULOMERAK, 2, False)
        assert event.occurred - event.fact.due < timedelta(minutes=1)
    set_limit("P7D")
    found = ektp(up.data, "sla", "--recomputed").document
    rows = [row for row in found["breached"] if row["receipt"] == receipt]
    assert [row["target"] for row in rows] == ["recording", "issuance"]
    assert [row["recomputed"]["breached"] for row in rows] == [False, False]
    assert [row["recomputed"]["standard_version"] for row in rows] == [3, 3]
    assert len(breaches()) == 2
