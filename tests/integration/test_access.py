"""Who may do what: every route against every role, by the table below; tokens, the browser's cookie, foreign pages."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from infra.data_folder import open_folder
from infra.database import open_database
from infra.journal import Journal
from infra.keystore import Keystore
from infra.nats_client import QuickClient
from projections.feed import Feed
from projections.runner import Runner
from projections.views import Views
from services.api.documented import routes
from services.desk import Desk
from services.question_service import Questions
from services.serving import whole_app
from services.tokens import ROLES
from services.web.live import Live
from tests.command import Up, begin_up, ektp, running
from tests.over_http import Asker, problem, tokens_for

OPEN = (*ROLES, "nobody")
DESK, AUDITOR = ("desk",), ("auditor",)
READERS, WATCHERS = ("desk", "operations", "auditor"), ("operations", "auditor", "admin")
TABLE = {  # a new route has a line here, or a test fails
    "GET /livez": OPEN,
    "GET /readyz": OPEN,
    "GET /metrics": OPEN,
    "GET /openapi.json": OPEN,
    "GET /asyncapi.json": OPEN,
    "POST /login": OPEN,
    "POST /logout": OPEN,
    "POST /witness/add-checkpoint": OPEN,
    "POST /api/cases": DESK,
    **{
        f"POST /api/cases/{{receipt}}/{command}": DESK
        for command in ("record", "queue", "print", "collect", "return", "cancel", "correct")
    },
    "GET /api/cases/{receipt}": READERS,
    "GET /api/cases/{receipt}/person": ("desk", "auditor"),
    "POST /api/find": ("desk", "auditor"),
    **{f"GET /api/{view}": READERS for view in ("coverage", "desk", "uncollected", "sla")},
    "POST /api/outages": ("desk", "operations"),
    "POST /api/erasures": ("admin",),
    "GET /api/events": ROLES,
    **{f"GET /{page}": OPEN for page in ("login", "static/{name}", "status", "status/{receipt:path}")},
    "GET /board": WATCHERS,
    "GET /board/events": WATCHERS,
    "GET /receipt/{receipt}": DESK,
    "GET /case/{receipt}": AUDITOR,
    "GET /case/{receipt}/proof": AUDITOR,
    "GET /log/checkpoint": AUDITOR,
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, dict[str, str]]]:
    data = tmp_path_factory.mktemp("access") / "data"
    tokens = tokens_for(data)
    with running(data, "--http", 0) as up:
        yield up, {str(role): token for role, token in tokens.items()} | {"nobody": "?"}


async def every_route(data: Path) -> set[str]:
    """Of the app as it is served; nothing is asked of it."""
    folder, journal = open_folder(data), Journal(QuickClient())
    engine = open_database(folder.views / "views.sqlite")
    with closing(Keystore(folder.keys / "keystore.sqlite", b"")) as keystore:
        questions = Questions(journal, engine, Runner(journal, engine, Views(engine, ())), keystore, b"")
        live = Live(questions.lag)
        app = whole_app(folder, journal, engine, questions, keystore, Feed(journal), Desk(folder), live)
    engine.dispose()
    return {f"{method} {path}" for method, path, _ in routes(app)}


def test_every_route_is_in_the_table(tmp_path: Path) -> None:
    assert asyncio.run(every_route(tmp_path / "data")) == set(TABLE)


@pytest.mark.parametrize("route", TABLE)
def test_a_route_is_for_the_roles_of_the_table(up: tuple[Up, dict[str, str]], route: str) -> None:
    method, path = route.split()
    address = up[0].http + re.sub(r"\{.*?\}", "PM-0000-0000-00000", path)
    for role, token in up[1].items():
        with httpx.stream(method, address, headers={"Authorization": f"Bearer {token}"}, timeout=20) as answer:
            if "event-stream" not in answer.headers.get("content-type", ""):  # that one goes on
                answer.read()
        if role in TABLE[route]:
            assert answer.status_code not in ({403} if path == "/login" else {401, 403}), role
        else:
            wanted = (401, "not_signed_in") if role == "nobody" else (403, "not_allowed")
            assert problem(answer) == wanted, role
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_document_names_the_roles_of_the_table(up: tuple[Up, dict[str, str]]) -> None:
    paths = httpx.get(f"{up[0].http}/openapi.json").json()["paths"]
    told = {f"{method.upper()} {path}": operation for path, one in paths.items() for method, operation in one.items()}
    assert {route: set(operation.get("x-roles", OPEN)) for route, operation in told.items()} == {
        route: set(TABLE[route]) for route in told
    }
    assert all(operation.get("security") for operation in told.values() if "x-roles" in operation)


def test_the_cookie_is_for_our_own_pages_alone(up: tuple[Up, dict[str, str]]) -> None:
    url, token = up[0].http, up[1]["desk"]
    with httpx.Client(base_url=url) as browser:
        assert browser.post("/login", data={"token": "guessed"}).status_code == 401
        foreign = browser.post("/login", data={"token": token}, headers={"Origin": "http://elsewhere.example"})
        assert problem(foreign) == (403, "foreign_origin")
        entered = browser.post("/login", data={"token": token, "next": "//elsewhere.example"}, headers={"Origin": url})
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        attributes = {part.strip().lower() for part in entered.headers["set-cookie"].split(";")[1:]}
        assert attributes == {"httponly", "samesite=strict", "path=/"}
        assert browser.get("/api/desk").status_code == 200
        for headers in ({}, {"Origin": "http://elsewhere.example"}, {"Sec-Fetch-Site": "same-site", "Origin": url}):
            assert problem(browser.post("/api/find", json={"case": "1"}, headers=headers)) == (403, "foreign_origin")
        for headers in ({"Origin": url}, {"Sec-Fetch-Site": "same-origin"}):
            assert browser.post("/api/find", json={"case": "1"}, headers=headers).status_code == 200
        assert problem(browser.post("/logout")) == (403, "foreign_origin")
        assert browser.post("/logout", headers={"Origin": url}).status_code == 303
        assert problem(browser.get("/api/desk")) == (401, "not_signed_in")


def test_a_removed_token_is_refused_at_once_and_none_is_kept_in_clear(up: tuple[Up, dict[str, str]]) -> None:
    data, url = up[0].data, up[0].http
    made = ektp(data, "token", "add", "--role", "auditor", "--name=inspector").document["token"]
    assert Asker(url, made).get("/api/desk").status_code == 200
    listed = ektp(data, "token", "list").document["tokens"]
    assert [(one["name"], one["role"]) for one in listed][-1] == ("inspector", "auditor")
    assert ektp(data, "token", "add", "--role", "auditor", "--name=inspector").error == "token_name_taken"
    assert ektp(data, "token", "add", "--role", "king", "--name=x").error == "invalid_role"
    assert ektp(data, "token", "remove", "inspector").code == 0
    assert problem(Asker(url, made).get("/api/desk")) == (401, "not_signed_in")
    file = data / "keys" / "tokens.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert not [token for token in (made, *up[1].values()) if token != "?" and token in file.read_text()]


def test_the_first_start_with_http_shows_a_token_of_each_role_once(tmp_path: Path) -> None:
    data, shown = tmp_path / "data", []
    for start in range(2):
        process = begin_up(data, "--http", 0)
        assert process.stdout is not None
        for line in process.stdout:
            shown += [(start, *line.split()[1::4])] if line.startswith("token") else []
            if line.startswith("ready"):
                Up(data, process, line).stop()
                break
    assert [(start, role.strip(",")) for start, role, _ in shown] == [(0, role) for role in ROLES]
    logs = "".join(log.read_text() for log in (data / "run").glob("*.log"))
    assert not [token for _, _, token in shown if token in logs]
