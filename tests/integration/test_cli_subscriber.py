"""`ektp subscriber`: somebody is let in on a backbone that runs, and on one that does not, and is shown out again."""

import asyncio
import json
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest

from events.feed import sequence
from tests.command import ektp, eventually, history, running, submission


async def take(given: dict[str, Any]) -> list[bytes]:
    """What is there for a subscriber, acknowledged."""
    client = await nats.connect(given["url"], user=given["user"], password=given["password"], allow_reconnect=False)
    try:
        feed = await client.jetstream(prefix=given["api_prefix"]).pull_subscribe_bind(given["consumer"], given["stream"])
        messages = await feed.fetch(100, timeout=5)
        for message in messages:
            await message.ack_sync()
        return [message.data for message in messages]
    finally:
        await client.close()


def test_a_subscriber_comes_hears_and_goes_while_the_backbone_runs(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "bank.json"
    with running(data):
        receipt = ektp(data, *submission()).document["receipt"]
        added = ektp(
            data, "subscriber", "add", "bank", "--events", "submitted,collected", "--office", "367203", "--out", out
        )
        assert added.document == {"name": "bank", "out": str(out)}
        given = json.loads(out.read_bytes())
        assert out.stat().st_mode & 0o777 == 0o600
        assert given["password"] not in added.stdout + added.stderr

        eventually(lambda: ektp(data, "subscriber", "list").document["subscribers"][0]["behind"] == 1)
        (body,) = asyncio.run(take(given))
        submitted = history(data)[0]
        assert (orjson.loads(body)["id"], sequence(body)) == (submitted.id, submitted.seq)
        assert receipt not in body.decode()
        (known,) = ektp(data, "subscriber", "list").document["subscribers"]
        subjects = ["ektp.feed.367203.*.submitted", "ektp.feed.367203.*.collected"]
        assert known == {"name": "bank", "subjects": subjects, "behind": 0, "unacknowledged": 0}

        assert ektp(data, "subscriber", "add", "bank", "--events", "printed", "--office", "all").error == "subscriber_exists"
        assert ektp(data, "subscriber", "remove", "bank").document == {"name": "bank"}
        with pytest.raises(nats.errors.Error, match="Authorization Violation"):
            asyncio.run(take(given))
        assert ektp(data, "subscriber", "remove", "bank").error == "unknown_subscriber"


def test_who_was_added_to_a_stopped_backbone_is_let_in_when_it_runs(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ektp(data, *submission())
    given = ektp(data, "subscriber", "add", "bank", "--events", "submitted", "--office", "all").document
    with running(data) as up:
        assert len(asyncio.run(take(given | {"url": up.ready.split()[1]}))) == 1


def test_nobody_is_added_where_the_file_is_there_or_the_words_are_wrong(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "there.json"
    add = ("subscriber", "add", "bank", "--office", "367203", "--out", out)
    with running(data):
        assert ektp(data, *add, "--events", "born").error == "unknown_feed_event"
        assert not out.exists()
        out.write_text("another's")
        assert ektp(data, *add, "--events", "printed").error == "out_unwritable"
        assert out.read_text() == "another's"
        assert ektp(data, "subscriber", "add", "bank", "--office", "1", "--events", "printed").error == "unknown_office"
        assert (
            ektp(data, "subscriber", "add", "../x", "--office", "all", "--events", "printed").error
            == "invalid_subscriber_name"
        )
        assert ektp(data, "subscriber", "list").document == {"subscribers": []}
