"""What the tests of pages share: an office with some cases, and every page with who may open it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from services.tokens import Role
from tests.command import Up, ektp, running, submission
from tests.over_http import Asker, tokens_for

REASON = "foto pemohon buram"


@dataclass(frozen=True)
class Office:
    """A running backbone with one case that went back, one at risk and one that is late."""

    up: Up
    tokens: dict[Role, str]
    receipt: str
    at_risk: str
    late: str

    @property
    def pages(self) -> dict[str, Role | None]:
        """The address of each page, and a role that may open it; None: anybody."""
        return {
            "/status": None,
            f"/status/{self.receipt}": None,
            "/status/PM-0000-0000-00000": None,
            "/login": None,
            "/board": "operations",
            "/board?office=367203": "auditor",
            "/board?as_of=2020-01-01T00:00": "admin",
            "/board?as_of=yesterday": "admin",
            f"/receipt/{self.receipt}": "desk",
            f"/case/{self.receipt}": "auditor",
        }

    def asker(self, role: Role | None, lang: str = "en") -> Asker:
        """Somebody with a browser, in that role."""
        return Asker(self.up.http, self.tokens[role] if role else "-", lang, "text/html")


@contextmanager
def an_office(data: Path) -> Iterator[Office]:
    """For as long as the block lasts."""
    tokens = tokens_for(data)
    with running(data, "--http", 0) as up:
        receipt = ektp(data, *submission()).document["receipt"]
        ektp(data, "record", receipt, "--actor", "petugas.1")
        ektp(data, "return", receipt, "--to", "submitted", "--reason", REASON)
        at_risk, late = (ektp(data, *submission("--at", _ago(hours))).document["receipt"] for hours in (20, 24 * 30))
        yield Office(up, tokens, receipt, at_risk, late)


def _ago(hours: float) -> str:
    return (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
