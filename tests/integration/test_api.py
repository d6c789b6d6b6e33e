"""The API of a running backbone: a case from submission to collection, the same command twice, and what refusals say."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.command import PERSONAL, Up, ektp, eventually, files_that_show, head, running
from tests.over_http import Asker, application, problem, tokens_for


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, dict[str, Asker]]]:
    data = tmp_path_factory.mktemp("api") / "data"
    tokens = tokens_for(data)
    with running(data, "--http", 0) as up:
        yield up, {role: Asker(up.http, token) for role, token in tokens.items()}


@pytest.fixture(scope="module")
def desk(up: tuple[Up, dict[str, Asker]]) -> Asker:
    return up[1]["desk"]


def submitted(desk: Asker) -> str:
    return str(desk.post("/api/cases", application()).json()["receipt"])


def test_a_case_goes_through_all_stages(desk: Asker) -> None:
    handed_in = desk.post("/api/cases", application())
    receipt = handed_in.json()["receipt"]
    assert (handed_in.status_code, handed_in.headers["location"]) == (201, f"/api/cases/{receipt}")
    assert handed_in.json()["promised"]
    assert desk.post(f"/api/cases/{receipt}/record", {"actor": "operator.2"}).json()["stage"] == "recorded"
    back = desk.post(f"/api/cases/{receipt}/return", {"to": "submitted", "reason": "photo blurred"})
    assert back.json()["stage"] == "submitted"
    for command, stage in (("record", "recorded"), ("queue", "queued"), ("print", "printed"), ("collect", "collected")):
        done = desk.post(f"/api/cases/{receipt}/{command}")
        assert (done.status_code, done.json()["stage"]) == (200, stage)
    status = desk.get(handed_in.headers["location"]).json()
    assert status["next_step"] == "Done: the card was collected."
    assert [(line["event"], line["actor"]) for line in status["history"]] == [
        ("submitted", "desk"),
        ("recorded", "operator.2"),
        ("returned", "desk"),
        *((stage, "desk") for stage in ("recorded", "queued", "printed", "collected")),
    ]
    wrong = {"event": status["history"][1]["id"], "new_actor": "operator.3", "reason": "typed wrongly"}
    assert desk.post(f"/api/cases/{receipt}/correct", wrong).status_code == 200
    assert desk.get(f"/api/cases/{receipt}").json()["history"][1]["actor"] == "operator.3"
    assert problem(desk.post(f"/api/cases/{receipt}/cancel", {"reason": "no"})) == (409, "case_collected")


@pytest.mark.parametrize("key", ['"a key: of \\"mine\\""', "7f3a-1"])
def test_the_same_key_gets_the_same_answer_and_adds_nothing(up: tuple[Up, dict[str, Asker]], desk: Asker, key: str) -> None:
    body = application()
    first, before = desk.post("/api/cases", body, key), head(up[0].data)
    again = desk.post("/api/cases", body, key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert head(up[0].data) == before
    assert problem(desk.post("/api/cases", body | {"married": True}, key)) == (422, "key_reused")
    assert problem(desk.post("/api/cases", body, '"not closed')) == (400, "invalid_idempotency_key")
    assert head(up[0].data) == before


def test_many_who_send_the_same_command_at_once_get_one_case(desk: Asker) -> None:
    body = application()
    with ThreadPoolExecutor(8) as at_once:
        answers = list(at_once.map(lambda _: desk.post("/api/cases", body, "at-once"), range(8)))
    assert {answer.text for answer in answers} == {answers[0].text}
    assert answers[0].status_code == 201


def test_everybody_reads_what_was_acknowledged(desk: Asker) -> None:
    for _ in range(10):
        receipt = submitted(desk)
        seq = desk.post(f"/api/cases/{receipt}/record").json()["seq"]
        assert desk.get(f"/api/cases/{receipt}?at-least={seq}").json()["stage"] == "recorded"
    assert problem(desk.get(f"/api/cases/{receipt}?at-least={seq + 1_000}")) == (410, "position_ahead")


def test_an_etag_holds_until_the_journal_goes_on_and_in_one_language(up: tuple[Up, dict[str, Asker]], desk: Asker) -> None:
    path = f"/api/cases/{submitted(desk)}"
    known = {"If-None-Match": desk.get(path).headers["etag"]}
    same = desk.get(path, headers=known)
    assert (same.status_code, same.content) == (304, b"")
    assert desk.get(path, headers=known | {"Accept-Language": "id"}).status_code == 200
    desk.post(f"{path}/record")
    assert desk.get(path, headers=known).json()["stage"] == "recorded"


def test_refusals_are_problem_details_in_the_language_that_is_asked_for(desk: Asker) -> None:
    path = f"/api/cases/{submitted(desk)}/collect"
    for asked, lang, begin in (("id, en;q=0.5", "id", "Permohonan ini"), ("fr, en;q=0.3, id;q=0.2", "en", "This case")):
        answer = desk.ask("POST", path, headers={"Accept-Language": asked})
        assert problem(answer) == (409, "stage_skipped")
        assert answer.headers["content-language"] == lang
        assert answer.json()["detail"].startswith(begin)
    assert desk.ask("POST", path, headers={"Accept-Language": ""}).headers["content-language"] == "id"


def test_what_is_not_valid_is_named_by_its_place_and_not_repeated(desk: Asker) -> None:
    body = application() | {"name": "x" * 201, "kind": "Ratna", "nmae": "Ratna", "at": "0001-01-01T00:00:00+14:00"}
    answer = desk.post("/api/cases", body)
    assert problem(answer) == (422, "invalid_request")
    assert {error["pointer"] for error in answer.json()["errors"]} == {"/name", "/kind", "/nmae", "/at"}
    assert "Ratna" not in answer.text
    assert problem(desk.post("/api/cases", body | {"nik": "3672"})) == (422, "invalid_nik")
    assert problem(desk.ask("POST", "/api/cases", content=b"{", headers={"Content-Type": "application/json"}))[0] == 422
    assert problem(desk.post("/api/cases", {"name": "x" * 20_000})) == (413, "body_too_large")
    assert problem(desk.get("/api/desk?cursor=x")) == (422, "invalid_cursor")
    assert problem(desk.get("/api/nowhere")) == (404, "not_found")
    assert problem(desk.get("/api/cases/PM-0000-0000-00000")) == (404, "unknown_receipt")
    not_so = desk.ask("DELETE", "/api/find")
    assert (problem(not_so), not_so.headers["allow"]) == ((405, "method_not_allowed"), "POST")


def test_a_person_is_opened_noted_found_and_forgotten(up: tuple[Up, dict[str, Asker]], desk: Asker) -> None:
    body = application()
    handed_in = desk.post("/api/cases", body).json()
    receipt, case = handed_in["receipt"], handed_in["case"]
    opened = up[1]["auditor"].get(f"/api/cases/{receipt}/person").json()
    assert opened == {"nik": body["nik"], "name": body["name"], "born": "1990-05-01"}
    lines = [json.loads(line) for line in (up[0].data / "run" / "reader.log").read_text().splitlines()]
    (noted,) = [line for line in lines if line["event"] == "person opened"]
    assert (noted["by"], noted["role"], noted["case"]) == ("auditor", "auditor", case)
    assert desk.post("/api/find", {"nik": body["nik"]}).json() == {"receipts": [receipt]}
    order = {"receipt": receipt, "reason": "asked for it"}
    assert problem(up[1]["admin"].post("/api/erasures", order)) == (409, "retention_hold")
    desk.post(f"/api/cases/{receipt}/cancel", {"reason": "moved away"})
    assert up[1]["admin"].post("/api/erasures", order).json()["cases"] == [case]
    assert problem(desk.get(f"/api/cases/{receipt}/person")) == (410, "erased")
    assert files_that_show(up[0].data) == []
    assert PERSONAL


def test_views_are_what_the_command_shows(up: tuple[Up, dict[str, Asker]]) -> None:
    data, operations = up[0].data, up[1]["operations"]
    asked = {"office": "367203", "as-of": "2030-01-01T00:00:00+07:00"}
    for view in ("coverage", "desk", "uncollected", "sla"):
        shown = ektp(data, view, "--office", asked["office"], "--as-of", asked["as-of"]).document
        told = operations.get(f"/api/{view}", params=asked).json()
        assert {key: told.get(key) for key in shown} == shown
    begun = operations.post("/api/outages", {"office": "367203", "cause": "power", "does": "begin"}).json()
    assert begun["open_since"]
    ended = operations.post("/api/outages", {"office": "367203", "cause": "power", "does": "end"})
    assert ended.json()["open_since"] is None


def test_a_long_list_is_read_in_parts(desk: Asker) -> None:
    bodies = [application() for _ in range(101)]
    with ThreadPoolExecutor(8) as at_once:
        made = {answer.json()["receipt"] for answer in at_once.map(lambda body: desk.post("/api/cases", body), bodies)}
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        part = desk.get(f"/api/desk?office=367203{cursor and f'&cursor={cursor}'}").json()
        seen += [case["receipt"] for stage in part["stages"] if stage["stage"] == "submitted" for case in stage["cases"]]
        cursor = part["next"]
    assert made <= set(seen)
    assert len(seen) == len(set(seen))


def test_the_feed_is_read_from_a_position_on_and_waits_for_what_comes(desk: Asker) -> None:
    receipt = submitted(desk)
    seq = desk.post(f"/api/cases/{receipt}/record").json()["seq"]
    after = f"/api/events?after={seq - 1}&limit=1"
    found = eventually(lambda: desk.get(after).json())
    assert (found[0]["type"], int(found[0]["sequence"])) == ("id.go.ektp.feed.application.recorded.v1", seq)
    assert receipt not in str(found)
    with ThreadPoolExecutor(1) as waiting:
        later = waiting.submit(desk.get, f"/api/events?after={seq}&wait=30")
        next_seq = desk.post(f"/api/cases/{receipt}/queue").json()["seq"]
        batch = later.result()
    assert [int(event["sequence"]) for event in batch.json()] == [next_seq]
    assert batch.headers["content-type"] == "application/cloudevents-batch+json"
    assert f"after={next_seq}&" in batch.headers["link"]
    assert desk.get(f"/api/events?after={next_seq}").json() == []
    assert problem(desk.get("/api/events?after=1000000")) == (410, "position_ahead")


def test_who_asks_for_persons_too_often_is_told_when_to_come_again(up: tuple[Up, dict[str, Asker]]) -> None:
    token = str(ektp(up[0].data, "token", "add", "--role", "desk", "--name=eager").document["token"])
    eager = Asker(up[0].http, token)
    answers = [eager.post("/api/find", {"case": "1"}) for _ in range(61)]
    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert answers[0].headers["ratelimit-policy"] == '"person";q=60;w=60'
    assert answers[0].headers["ratelimit"].startswith('"person";r=59;t=')
    assert problem(answers[-1]) == (429, "too_many_requests")
