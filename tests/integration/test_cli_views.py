"""`ektp rebuild` and `ektp retry`: views are built anew while they are asked, and what was set aside comes back."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from infra.database import open_sqlite, upsert
from projections import status
from projections.positions import SET_ASIDE
from tests.command import ektp, running, submission


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "office"


def test_views_are_rebuilt_and_say_the_same(data: Path) -> None:
    receipt = ektp(data, *submission()).document["receipt"]
    before = ektp(data, "status", receipt).document
    with open_sqlite(data / "views" / "views.sqlite").begin() as db:
        db.execute(sa.update(status.CASES).values(office="999999"))  # as if the disk had lied
    assert ektp(data, "status", receipt).document["office"] == "999999"
    rebuilt = ektp(data, "rebuild").document["builds"]
    assert {build["projection"] for build in rebuilt} >= {"status", "coverage"}
    assert {(build["done"], build["position"]) for build in rebuilt} == {(True, 2)}
    assert ektp(data, "status", receipt).document == before
    assert sorted(path.name for path in (data / "views").glob("*building*")) == []


def test_one_view_is_rebuilt_by_name_and_an_unknown_one_is_told_so(data: Path) -> None:
    with running(data):
        ektp(data, *submission())
        (build,) = ektp(data, "rebuild", "status").document["builds"]
        assert (build["projection"], build["done"]) == ("status", True)
        refused = ektp(data, "rebuild", "nothing")
        assert refused.error == "unknown_projection"
        assert "status" in refused.document["error"]["message_en"]


def test_what_was_set_aside_is_told_by_the_doctor_and_taken_back_by_retry(data: Path) -> None:
    receipt = ektp(data, *submission()).document["receipt"]
    engine = open_sqlite(data / "views" / "views.sqlite")
    with engine.begin() as db:  # as an older version would leave it, which did not know the type
        subject = f"ektp.367203.application.{db.execute(sa.select(status.CASES.c.case)).scalar_one()}"
        row = {"projection": "status", "version": status.VERSION, "seq": 1, "subject": subject, "why": "unknown type"}
        upsert(db, SET_ASIDE, [row])
        db.execute(sa.delete(status.CASES))
    assert ektp(data, "status", receipt).error == "unknown_receipt"
    told = ektp(data, "doctor")
    assert told.code == 1
    assert [check["name"] for check in told.document["checks"] if not check["ok"]] == ["views"]
    assert ektp(data, "retry").document == {"taken": 1, "set_aside": []}
    assert ektp(data, "status", receipt).document["stage"] == "submitted"
    assert ektp(data, "doctor").code == 0
    assert ektp(data, "retry").document == {"taken": 0, "set_aside": []}
