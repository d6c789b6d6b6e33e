"""The feed's catalogue: JSON Schema (2020-12) of every type that subscribers get, in events/schemas/feed/.

`python -m events.feed_catalogue` writes the files anew, and refuses a change that subscribers would not survive: they read
old messages and new ones with the same program, and we do not know them all.
"""

import sys
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from events.catalogue import breaks, plain
from events.feed import TOLD, PersonErased, type_name

FOLDER: Final = Path(__file__).parent / "schemas" / "feed"
_INSTANT: Final = {"type": "string", "format": "date-time"}


def schema(name: str) -> dict[str, Any]:
    """The schema of a whole message; `name` is a key of events.feed.TOLD."""
    told = TOLD[name]
    model = TypeAdapter(told).json_schema(mode="serialization")
    definitions = model.get("$defs", {})
    data = {
        "type": "object",
        "required": sorted(model["required"]),
        "properties": {field: plain(said, definitions) for field, said in model["properties"].items()},
    }
    case = {} if told is PersonErased else {"subject": {"type": "string", "description": "the case"}}
    message: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "pattern": "^[0-9a-f]{32}$", "description": "as in the journal"},
        "type": {"const": type_name(name)},
        "source": {"type": "string", "pattern": "^/ektp/[0-9]{4}/[0-9]+$", "description": "backbone and office"},
        **case,
        "time": _INSTANT | {"description": "when it occurred at the desk; of a target, when operations were told"},
        "datacontenttype": {"const": "application/json"},
        "dataschema": {"const": f"urn:{type_name(name)}"},
        "recordedtime": _INSTANT | {"description": "when the journal took it; never goes back"},
        "correlationid": {"type": "string"},
        "sequence": {"type": "string", "pattern": "^[0-9]{20}$", "description": "its journal position; grows, has gaps"},
        "data": data,
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{type_name(name)}",
        "title": type_name(name),
        "description": (told.__doc__ or "").strip(),
        "type": "object",
        "required": sorted(message),
        "properties": message,
    }


def stored(name: str) -> dict[str, Any] | None:
    """The schema in the catalogue's file; None for a new type."""
    file = _file(name)
    return dict(orjson.loads(file.read_bytes())) if file.exists() else None


def broken() -> list[str]:
    """What subscribers would not survive, in words."""
    types = {type_name(name) for name in TOLD}
    gone = [f"{file.stem} is told no more" for file in sorted(FOLDER.glob("*.json")) if file.stem not in types]
    return gone + [f"{name}: {why}" for name in TOLD if (old := stored(name)) for why in breaks(old, schema(name))]


def write() -> list[str]:
    """Bring the files up to date, or none of them: returns what is broken."""
    refused = broken()
    if not refused:
        FOLDER.mkdir(exist_ok=True)
        for name in TOLD:
            _file(name).write_bytes(orjson.dumps(schema(name), option=orjson.OPT_INDENT_2) + b"\n")
    return refused


def _file(name: str) -> Path:
    return FOLDER / f"{type_name(name)}.json"


if __name__ == "__main__":
    refused = write()
    print(*refused, sep="\n")
    sys.exit(1 if refused else 0)
