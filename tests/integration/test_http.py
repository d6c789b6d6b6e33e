"""HTTP of a running backbone: whether it lives, whether it is ready and if not why, and what it counts."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.command import Up, ektp, eventually, head, running, submission


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with running(tmp_path_factory.mktemp("up") / "data", "--http", 0) as up:
        yield up


def test_http_tells_that_it_lives_that_it_is_ready_and_what_it_counts(up: Up) -> None:
    receipt = ektp(up.data, *submission()).document["receipt"]
    ektp(up.data, "status", receipt)
    live, ready = httpx.get(f"{up.http}/livez"), httpx.get(f"{up.http}/readyz")
    assert (live.status_code, live.json()) == (200, {"ok": True})
    assert (ready.status_code, ready.json()) == (200, {"ok": True, "reasons": []})

    metrics = httpx.get(f"{up.http}/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(metrics.text))
    names = [family.name for family in families]
    assert len(names) == len(set(names))
    assert {(family.name, family.type) for family in families} >= {
        ("ektp_projection_position", "gauge"),
        ("ektp_projection_events", "counter"),
        ("ektp_events_appended", "counter"),
        ("ektp_append_conflicts", "counter"),
        ("ektp_append_group_events", "histogram"),
        ("ektp_append_duration_seconds", "histogram"),
        ("ektp_command_duration_seconds", "histogram"),
    }
    values = {sample.name: sample.value for family in families for sample in family.samples}
    assert values["ektp_projection_position"] == head(up.data)
    assert values["ektp_events_appended_total"] >= 2
    assert receipt not in metrics.text


def test_readyz_says_why_it_is_not_ready(up: Up) -> None:
    writer = up.part("writer")
    writer.suspend()
    try:
        ready = httpx.get(f"{up.http}/readyz", timeout=20)
    finally:
        writer.resume()
    assert ready.status_code == 503
    assert not ready.json()["ok"]
    (reason,) = ready.json()["reasons"]
    assert reason.startswith("writer: ")
    assert httpx.get(f"{up.http}/livez").status_code == 200
    assert eventually(lambda: httpx.get(f"{up.http}/readyz").status_code == 200)


def test_the_position_of_the_views_is_told_before_anything_new_comes(tmp_path: Path) -> None:
    receipt = ektp(tmp_path / "data", *submission()).document["receipt"]
    with running(tmp_path / "data", "--http", 0) as up:
        metrics = httpx.get(f"{up.http}/metrics").text
        assert 'ektp_projection_position{projection="status"} 2.0' in metrics.splitlines()
        assert ektp(up.data, "find", "--nik", "3672030105900001").code == 0
        assert ektp(up.data, "status", receipt).code == 0
