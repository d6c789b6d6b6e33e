"""The AsyncAPI 3.0 document: what may be sent to a backbone over NATS, and what it tells. `python -m services.asyncapi`
writes docs/asyncapi.json; a running one serves it at /asyncapi.json.

Made from the models that are used, so it cannot say otherwise.
"""

from pathlib import Path
from typing import Any, Final, get_args

import orjson
from pydantic import BaseModel

from events.feed import TOLD, type_name
from events.feed_catalogue import schema
from services.commands import AnyCommand
from services.erasure import Erase
from services.outage import OutageBegin, OutageEnd
from services.rules import SetRule

FILE: Final = Path(__file__).parents[1] / "docs" / "asyncapi.json"
_COMMANDS: Final[tuple[type[BaseModel], ...]] = (*get_args(AnyCommand), OutageBegin, OutageEnd, SetRule, Erase)
_OFFICE: Final = {"description": "The office's six digits; of what belongs to no one office, the backbone's id."}
_SCHEMAS: Final = "#/components/schemas/"


def document() -> dict[str, Any]:
    """The whole document."""
    schemas: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    operations: dict[str, Any] = {}
    for name in TOLD:
        key = name.replace(".", "_")
        address = f"ektp.feed.{{office}}.{name}"
        message = {"name": type_name(name), "contentType": "application/cloudevents+json", "payload": schema(name)}
        channels[key] = _channel(address, key, message, schema(name)["description"])
        operations[f"tell_{key}"] = {"action": "send", "channel": {"$ref": f"#/channels/{key}"}}
    for model in _COMMANDS:
        said = model.model_json_schema(ref_template=_SCHEMAS + "{model}")
        schemas |= said.pop("$defs", {})
        for command in _named(said):
            address = f"cmd.ektp.{{office}}.{command}"
            message = {"name": command, "contentType": "application/json", "payload": said}
            channels[command] = _channel(address, command, message, said.get("description", ""))
            operations[command] = {
                "action": "receive",
                "channel": {"$ref": f"#/channels/{command}"},
                "reply": {"address": {"location": "$message.header#/reply"}},
            }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "e-KTP backbone",
            "version": "1",
            "description": "Events for subscribers, as CloudEvents on the stream EKTP_FEED, and commands by request and "
            "reply. Types are only ever added to; a new meaning is a new type. A refusal is a problem document (RFC 9457) "
            "with the header `ektp-problem`.",
        },
        "defaultContentType": "application/json",
        "servers": {"office": {"host": "127.0.0.1", "protocol": "nats", "security": [{"type": "userPassword"}]}},
        "channels": channels,
        "operations": operations,
        "components": {"schemas": schemas},
    }


def _channel(address: str, key: str, message: dict[str, Any], description: str) -> dict[str, Any]:
    parameters = {"parameters": {"office": _OFFICE}}
    return {"address": address, "description": description, "messages": {key: message}, **parameters}


def _named(said: dict[str, Any]) -> list[str]:
    """The commands that this model is for, by its field `command`."""
    command = said["properties"]["command"]
    return [command["const"]] if "const" in command else list(command["enum"])


if __name__ == "__main__":
    FILE.write_bytes(orjson.dumps(document(), option=orjson.OPT_INDENT_2) + b"\n")
