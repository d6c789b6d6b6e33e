"""What was true then (--as-of, by when things happened) and what was known then (--as-recorded, by when they were noted)."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from infra.data_folder import open_folder
from services.desk import Desk, Told
from services.instants import instant
from services.questions import AskStatus
from tests.command import Up, answered, begin, ektp, running, somebody, submission

MONDAY, TUESDAY = "2024-03-04", "2024-03-05"  # ordinary working days


class Then(NamedTuple):
    """A question about another time."""

    as_of: str | None = None
    as_recorded: str | None = None

    def options(self) -> list[str]:
        values = {"--as-of": self.as_of, "--as-recorded": self.as_recorded}
        return [word for option, value in values.items() if value for word in (option, value)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("as-of") / "data") as up:
        yield up


@pytest.fixture
def data(up: Up) -> Path:
    return up.data


def submitted(data: Path, at: str) -> str:
    """The receipt of a new case."""
    return str(ektp(data, *submission("--at", at, "--actor", "petugas.1")).document["receipt"])


def now() -> str:
    return datetime.now(UTC).isoformat()


def statuses(data: Path, receipt: str, *times: Then) -> list[dict[str, Any]]:
    """The status as of each of these times: asked as `ektp status` asks, but by one process."""

    async def ask() -> list[dict[str, Any]]:
        desk = Desk(open_folder(data))
        try:
            return [await _status(desk, receipt, then) for then in times]
        finally:
            await desk.close()

    return asyncio.run(ask())


async def _status(desk: Desk, receipt: str, then: Then) -> dict[str, Any]:
    as_of, as_recorded = instant(then.as_of), instant(then.as_recorded)
    try:
        return await desk.ask("status", AskStatus(receipt=receipt, as_of=as_of, as_recorded=as_recorded, lang="en"))
    except Told as problem:
        return {"error": problem.document()}


def stages(data: Path, receipt: str, *times: Then) -> list[str]:
    """Of each time the stage, or why there is none."""
    found = statuses(data, receipt, *times)
    return [status["error"]["code"] if "error" in status else status["stage"] for status in found]


def places(data: Path, receipt: str, *times: Then) -> list[tuple[int, int] | None]:
    """Of each time the place in the queue, and how many wait."""
    found = (status["place"] for status in statuses(data, receipt, *times))
    return [(place["number"], place["of"]) if place else None for place in found]


def event_id(data: Path, receipt: str, event: str) -> str:
    lines = ektp(data, "status", receipt).document["history"]
    return next(str(line["id"]) for line in lines if line["event"] == event)


def correct(data: Path, receipt: str, event: str, *values: str) -> None:
    options = [word for value in values for word in ("--set", value)]
    named = ("--event", event_id(data, receipt, event))
    assert ektp(data, "correct", receipt, *named, *options, "--reason", "salah catat").code == 0


def test_what_was_entered_late_counts_from_when_it_happened_and_was_known_when_it_was_entered(data: Path) -> None:
    before = now()
    receipt = submitted(data, f"{MONDAY}T09:00")
    between = now()
    ektp(data, "record", receipt, "--at", f"{MONDAY}T10:00")
    ektp(data, "queue", receipt, "--at", f"{TUESDAY}T09:00")

    true_then = [  # without an offset it is Jakarta time; the instant itself is included
        *(f"{MONDAY}T09:00", f"{MONDAY}T02:59:59Z", f"{MONDAY}T10:00"),
        *(f"{TUESDAY}T08:59:59.999999", f"{TUESDAY}T09:00"),
    ]
    expected = ["submitted", "submitted", "recorded", "recorded", "queued"]
    assert stages(data, receipt, *map(Then, true_then)) == expected
    assert stages(data, receipt, Then(as_of="2999-01-01"), Then()) == ["queued", "queued"]

    known_then = [Then(as_recorded=at) for at in (before, between, now())]
    assert stages(data, receipt, *known_then) == ["unknown_receipt", "submitted", "queued"]
    both = [Then(f"{MONDAY}T10:30", between), Then(f"{MONDAY}T10:30", now()), Then(f"{MONDAY}T08:00", now())]
    assert stages(data, receipt, *both) == ["submitted", "recorded", "unknown_receipt"]


def test_a_case_not_yet_submitted_then_is_as_unknown_as_any_other(data: Path) -> None:
    receipt = submitted(data, f"{TUESDAY}T09:00")
    (unknown,) = statuses(data, receipt, Then(f"{TUESDAY}T08:59"))
    assert unknown == ektp(data, "status", "PM-0000-0000-00000").document
    assert unknown["error"]["code"] == "unknown_receipt"


def test_history_and_since_tell_only_what_had_happened(data: Path) -> None:
    receipt = submitted(data, f"{MONDAY}T09:00")
    for command, at in (("record", f"{MONDAY}T10:00"), ("queue", f"{MONDAY}T11:00")):
        ektp(data, command, receipt, "--at", at)
    ektp(data, "return", receipt, "--to", "submitted", "--reason", "foto buram", "--at", f"{MONDAY}T12:00")
    at_noon, before = statuses(data, receipt, Then(f"{MONDAY}T12:00"), Then(f"{MONDAY}T11:59"))
    assert [line["event"] for line in at_noon["history"]] == ["submitted", "recorded", "queued", "returned"]
    assert (at_noon["stage"], at_noon["since"]) == ("submitted", f"{MONDAY}T12:00:00+07:00")
    assert [line["event"] for line in before["history"]] == ["submitted", "recorded", "queued"]
    assert (before["stage"], before["since"], before["waits_for"]) == ("queued", f"{MONDAY}T11:00:00+07:00", "office")
    assert before["promised"] == at_noon["promised"] == f"{TUESDAY}T09:00:00+07:00"
    assert set(before) == set(ektp(data, "status", receipt).document)


def test_a_correction_holds_from_its_events_own_time_and_was_known_from_when_it_was_made(data: Path) -> None:
    receipt = submitted(data, f"{MONDAY}T09:00")
    ektp(data, "record", receipt, "--at", f"{MONDAY}T15:00", "--actor", "petugas.1")
    wrong = now()
    correct(data, receipt, "recorded", f"at={MONDAY}T11:30", "actor=operator-9")
    better = now()
    correct(data, receipt, "recorded", f"at={MONDAY}T13:00")
    right = now()

    true_then = [Then(f"{MONDAY}T{time}") for time in ("11:30", "12:59", "13:00")]
    assert stages(data, receipt, *true_then) == ["submitted", "submitted", "recorded"]
    both = [Then(f"{MONDAY}T{time}", known) for known in (wrong, better, right) for time in ("12:00", "13:00")]
    expected = [("submitted", "submitted"), ("recorded", "recorded"), ("submitted", "recorded")]
    assert stages(data, receipt, *both) == [stage for pair in expected for stage in pair]
    known_then = statuses(data, receipt, *(Then(as_recorded=known) for known in (wrong, better, right)), Then(as_of=better))
    told = [(status["since"][11:16], status["history"][1]["actor"], len(status["history"])) for status in known_then]
    assert told == [
        ("15:00", "petugas.1", 2),
        ("11:30", "operator-9", 3),
        ("13:00", "operator-9", 4),
        ("13:00", "operator-9", 3),  # by when things happened: the second correction holds, though it was made later
    ]
    assert [status["history"][1]["occurred"][11:16] for status in known_then] == ["15:00", "11:30", "13:00", "13:00"]


def test_the_place_in_the_queue_is_told_as_it_is_now_and_as_it_was_then(data: Path, tmp_path: Path) -> None:
    queued_at = {  # in the order of the register, which is not that of the queue
        "third": ("367206", "11:00"),
        "first": ("367206", "09:30"),
        "elsewhere": ("367207", "09:00"),
        "second": ("367206", "10:00"),
    }
    book = ["case,office,kind,nik,name,sex,born,event,at,actor,serial,reason"]
    for case, (office, queued) in queued_at.items():
        nik = somebody()
        for event, time in (("submitted", "08:00"), ("recorded", "08:30"), ("queued", queued)):
            book.append(f"{case},{office},new,{nik},Ratna,M,,{event},{MONDAY} {time},,,")
    (tmp_path / "book.csv").write_text("\n".join(book))
    assert ektp(data, "import", tmp_path / "book.csv").document["events_added"] == 12
    finding = [begin(data, "find", "--case", case) for case in ("first", "second", "third", "elsewhere")]
    first, second, third, elsewhere = (answered(process).document["receipts"][0] for process in finding)
    all_wait = now()
    ektp(data, "print", second, "--at", f"{MONDAY}T14:00")

    then = Then(f"{MONDAY}T10:30"), Then(f"{MONDAY}T13:59"), Then(f"{MONDAY}T14:00"), Then(as_recorded=all_wait), Then()
    assert places(data, first, *then) == [(1, 2), (1, 3), (1, 2), (1, 3), (1, 2)]
    assert places(data, second, *then[1:3]) == [(2, 3), None]
    assert places(data, third, *then[:3]) == [None, (3, 3), (2, 2)]
    assert places(data, elsewhere, Then()) == [(1, 1)]

    correct(data, first, "queued", f"at={MONDAY}T11:15")
    assert places(data, third, *then[1:]) == [(2, 3), (1, 2), (3, 3), (1, 2)]
    assert places(data, first, then[0]) == [None]


def test_what_the_public_was_told_that_day_differs_from_what_was_true_that_day(data: Path) -> None:
    """The print was entered late, and the time of the queueing was wrong: every view tells both."""
    office = ("--office", "367201")
    receipt = str(ektp(data, *submission("--at", f"{MONDAY}T09:00"), *office).document["receipt"])
    for command, time in (("record", "10:00"), ("queue", "11:00")):
        ektp(data, command, receipt, "--at", f"{MONDAY}T{time}")
    that_day = now()
    ektp(data, "print", receipt, "--at", f"{MONDAY}T15:00")
    correct(data, receipt, "queued", f"at={MONDAY}T13:30")

    told, true = Then(f"{MONDAY}T15:00", that_day), Then(f"{MONDAY}T15:00")
    before = Then(f"{MONDAY}T14:00")
    found = statuses(data, receipt, told, true, before)
    assert [(status["stage"], status["since"][11:16], status["place"]) for status in found] == [
        ("queued", "11:00", {"number": 1, "of": 1}),
        ("printed", "15:00", None),
        ("queued", "13:30", {"number": 1, "of": 1}),
    ]
    asked = [
        begin(data, view, *office, *then.options()) for view in ("desk", "uncollected", "coverage") for then in (told, true)
    ]
    documents = [answered(process).document for process in asked]
    queues = [{stage["stage"]: stage["count"] for stage in document["stages"]} for document in documents[:2]]
    assert [(queue["queued"], queue["printed"]) for queue in queues] == [(1, 0), (0, 1)]
    assert [document["count"] for document in documents[2:4]] == [0, 1]
    assert [document["total"]["printed"] for document in documents[4:]] == [0, 1]


def test_an_outage_is_what_a_case_waits_for_while_it_lasts_and_is_known(data: Path) -> None:
    office = ("--office", "367202")
    receipt = str(ektp(data, *submission("--at", f"{MONDAY}T09:00"), *office).document["receipt"])
    unknown = now()
    for word, cause, time in (
        *(("begin", "equipment", "10:00"), ("begin", "blank_stock", "11:00")),
        *(("end", "blank_stock", "14:00"), ("end", "equipment", "15:00")),
    ):
        assert ektp(data, "outage", word, *office, "--cause", cause, "--at", f"{MONDAY}T{time}").code == 0
    times = ("09:59", "10:00", "11:00", "13:59", "14:00", "15:00")
    found = statuses(data, receipt, *(Then(f"{MONDAY}T{time}") for time in times))
    expected = ["office", "equipment", "blank_stock", "blank_stock", "equipment", "office"]
    assert [status["waits_for"] for status in found] == expected
    (not_known,) = statuses(data, receipt, Then(f"{MONDAY}T12:00", unknown))
    assert not_known["waits_for"] == "office"

    usual = found[0]["next_step"]
    assert found[2]["next_step"] == f"The district office is out of blank cards. {usual}"
    at_noon = ("status", receipt, "--as-of", f"{MONDAY}T12:00")
    assert "Kantor kecamatan sedang kehabisan blangko KTP-el. Menunggu" in ektp(data, *at_noon, json=False, lang="id").stdout

    for command, time in (("record", "10:00"), ("queue", "10:10"), ("print", "10:20")):
        ektp(data, command, receipt, "--at", f"{MONDAY}T{time}")
    (in_hand,) = statuses(data, receipt, Then(f"{MONDAY}T12:00"))
    assert in_hand["waits_for"] == "applicant"
    assert "blank" not in in_hand["next_step"]


def test_a_forecast_is_made_from_what_was_known_then_and_not_without_a_recent_print(data: Path, tmp_path: Path) -> None:
    book = ["case,office,kind,nik,name,sex,born,event,at,actor,serial,reason"]
    days = [f"2024-01-{day:02}" for day in (*range(8, 13), *range(15, 20), *range(22, 27))]
    for number, day in enumerate(days):  # two cases each day; each is printed on the next working day
        for case in (f"f-{number}-a", f"f-{number}-b"):
            nik = somebody()
            steps = [("submitted", f"{day} 08:00"), ("recorded", f"{day} 08:30"), ("queued", f"{day} 09:00")]
            steps += [("printed", f"{days[number + 1]} 10:00")] if number + 1 < len(days) else []
            book += [f"{case},367204,new,{nik},Ratna,M,,{event},{at},,," for event, at in steps]
    (tmp_path / "book.csv").write_text("\n".join(book))
    assert ektp(data, "import", tmp_path / "book.csv").document["rows_rejected"] == 0
    (receipt,) = ektp(data, "find", "--case", "f-14-a").document["receipts"]

    noon, next_working_day = "2024-01-26T12:00", "2024-01-29"
    then, before_the_import, today = statuses(data, receipt, Then(noon), Then(noon, "2024-01-26"), Then())
    assert before_the_import["error"]["code"] == "unknown_receipt"
    assert today["forecast"] is None
    p50, p90 = then["forecast"]["p50"], then["forecast"]["p90"]
    assert f"{next_working_day}T07:30:00+07:00" <= p50 < p90 <= f"{next_working_day}T16:00:00+07:00"
    text = ektp(data, "status", receipt, "--as-of", noon, json=False).stdout
    assert f"expected {p50[:16].replace('T', ' ')}, 9 of 10 by {p90[:16].replace('T', ' ')}" in text
