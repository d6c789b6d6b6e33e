"""The published contract is that of the code, and everything in it can be found."""

import json
import re

from jsonschema import Draft202012Validator

from events.feed import TOLD
from services.asyncapi import FILE, document


def test_the_document_that_is_checked_in_is_made_from_this_code() -> None:
    assert json.loads(FILE.read_bytes()) == document(), "run: python -m services.asyncapi"


def test_every_event_of_the_feed_and_every_command_has_a_channel_with_a_valid_schema() -> None:
    said = document()
    addresses = {channel["address"] for channel in said["channels"].values()}
    assert addresses >= {f"ektp.feed.{{office}}.{name}" for name in TOLD}
    assert addresses >= {f"cmd.ektp.{{office}}.{name}" for name in ("submit", "record", "print", "outage_begin", "erase")}
    for channel in said["channels"].values():
        for message in channel["messages"].values():
            Draft202012Validator.check_schema(message["payload"])


def test_whatever_is_referred_to_is_there() -> None:
    said = document()
    for reference in re.findall(r'"\$ref": ?"#/([^"]+)"', json.dumps(said)):
        found = said
        for step in reference.split("/"):
            found = found[step]
