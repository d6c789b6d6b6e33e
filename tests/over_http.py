"""Asking a running backbone over HTTP, in a role."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from infra.data_folder import open_folder
from services.tokens import ROLES, Role, add_token
from tests.command import PERSONAL, somebody


@dataclass(frozen=True)
class Asker:
    """One token's holder; every answer is looked at for a traceback."""

    url: str
    token: str
    lang: str = "en"
    accept: str = "*/*"

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def post(self, path: str, json: object = None, key: str | None = None) -> httpx.Response:
        headers = {"Idempotency-Key": key} if key else {}
        return self.ask("POST", path, json=json, headers=headers)

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        mine = {"Authorization": f"Bearer {self.token}", "Accept-Language": self.lang, "Accept": self.accept}
        answer = httpx.request(method, self.url + path, headers=mine | (headers or {}), timeout=60, **more)
        assert "Traceback" not in answer.text
        return answer


def tokens_for(data: Path) -> dict[Role, str]:
    """A token of each role, made before HTTP is served for the first time."""
    folder = open_folder(data)
    return {role: add_token(folder, role, role) for role in ROLES}


def application() -> dict[str, Any]:
    """The body of a submission by somebody who never came before."""
    body = {"office": "367203", "nik": str(somebody()), "name": "Ratna Kusumawardhani", "kind": "new"}
    PERSONAL.update({body["nik"], body["name"]})
    return body


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of problem details, which every refusal is."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["type"] == f"/problems/{document['code']}"
    assert not [word for word in PERSONAL if word in answer.text]
    return answer.status_code, document["code"]
