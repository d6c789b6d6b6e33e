"""An alert on a figure that nobody tells would never ring."""

import re
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.command import ektp, eventually, running, submission

RULES = Path(__file__).parents[2] / "infra" / "alerts.yml"


def test_every_figure_in_an_alert_rule_is_told_by_a_running_backbone(tmp_path: Path) -> None:
    asked = set(re.findall(r"ektp_\w+", "\n".join(re.findall(r"expr: (.*)", RULES.read_text()))))
    assert len(asked) > 5
    with running(tmp_path / "data", "--http", 0) as up:
        ektp(up.data, *submission())

        def told() -> set[str]:
            families = text_string_to_metric_families(httpx.get(f"{up.http}/metrics").text)
            return {sample.name for family in families for sample in family.samples}

        eventually(lambda: asked <= told())
