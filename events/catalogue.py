"""The catalogue of events: JSON Schema (2020-12) of every type, as it is stored, in events/schemas/.

`python -m events.catalogue` writes the files anew, and refuses a change that old events or old readers would not survive:
then the fact needs a new type `.v2` instead. The file of the older type stays as it is, as long as there are events of it:
for ever. The file's `$id` is the `dataschema` of its events.
"""

import sys
from pathlib import Path
from typing import Any, Final

import orjson

from events.envelope import FACTS
from events.fact import Fact, personal_fields

FOLDER: Final = Path(__file__).parent / "schemas"
_INSTANT: Final = {"type": "string", "format": "date-time"}
_ENVELOPE: Final[dict[str, Any]] = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
    "source": {"type": "string", "pattern": "^/ektp/[0-9]{4}/[0-9]+$", "description": "backbone and office"},
    "subject": {"type": "string", "description": "the case, the resident …"},
    "time": _INSTANT | {"description": "when it occurred at the desk"},
    "recordedtime": _INSTANT | {"description": "when the journal took it; never goes back"},
    "datacontenttype": {"const": "application/json"},
    "caseversion": {"type": "integer", "minimum": 1, "description": "1, 2, … on its subject, without a hole"},
    "causationid": {"type": "string", "description": "the command, or `import`"},
    "correlationid": {"type": "string"},
    "actor": {"type": "string", "description": "user code; absent where nobody was named"},
}


def schema(fact: type[Fact]) -> dict[str, Any]:
    """The schema of a whole message of this type. `x-sealed` names the fields that are in `sealed`, encrypted."""
    hidden = personal_fields(fact)
    model = fact.model_json_schema(mode="serialization")
    definitions = model.get("$defs", {})
    fields = {name: plain(field, definitions) for name, field in model["properties"].items() if name not in hidden}
    data = {
        "type": "object",
        "required": sorted(set(model.get("required", ())) - hidden),
        "properties": fields,
        "x-sealed": sorted(hidden),
    }
    specific = {"type": {"const": fact.TYPE}, "dataschema": {"const": f"urn:{fact.TYPE}"}, "data": data}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{fact.TYPE}",
        "title": fact.TYPE,
        "description": (fact.__doc__ or "").strip(),
        "type": "object",
        "required": sorted({*_ENVELOPE, *specific} - {"actor"}),
        "properties": _ENVELOPE | specific,
    }


def breaks(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why events stored under `old`, or readers made for it, would not survive `new`; empty for an additive change."""
    before, after = old["properties"]["data"], new["properties"]["data"]
    was, now = before["properties"], after["properties"]
    return [
        *(f"{name} is gone" for name in was if name not in now),
        *(f"{name} means something else" for name in was if name in now and _shape(was[name]) != _shape(now[name])),
        *(f"{name} is required, and old events lack it" for name in after["required"] if name not in before["required"]),
        *(f"{name} may be missing, and old readers need it" for name in before["required"] if name not in after["required"]),
        *_unsealed(old, new),
    ]


def stored(type_name: str) -> dict[str, Any] | None:
    """The schema in the catalogue's file; None for a new type."""
    file = FOLDER / f"{type_name}.json"
    return dict(orjson.loads(file.read_bytes())) if file.exists() else None


def broken() -> list[str]:
    """What stored events or their readers would not survive, in words; empty when the facts may be as they are."""
    files = sorted(file.stem for file in FOLDER.glob("*.json"))
    return [
        *(f"{name}: there are events of this type, and nothing reads them" for name in files if name not in FACTS),
        *(f"{name}: {why}" for name, fact in FACTS.items() for why in _what_breaks(name, fact)),
    ]


def write() -> list[str]:
    """Bring the files up to date, or none of them: returns what is broken."""
    refused = broken()
    if not refused:
        FOLDER.mkdir(exist_ok=True)
        for fact in FACTS.values():
            (FOLDER / f"{fact.TYPE}.json").write_bytes(orjson.dumps(schema(fact), option=orjson.OPT_INDENT_2) + b"\n")
    return refused


def _what_breaks(name: str, fact: type[Fact]) -> list[str]:
    """Likewise, for the type of this name, which the fact has now or had before."""
    old, new = stored(name), schema(fact)
    if name == fact.TYPE:
        return breaks(old, new) if old else []
    if old is None:
        return ["its schema is gone, and there are events of this type"]
    version = int(name.rpartition(".v")[2])
    upcast = f"upcast_v{version}_v{version + 1}"
    return [*([] if hasattr(fact, upcast) else [f"{upcast} is missing"]), *_unsealed(old, new)]


def _unsealed(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    before, after = (schema["properties"]["data"].get("x-sealed", ()) for schema in (old, new))
    return [f"{name} is no longer sealed" for name in before if name not in after]


def plain(field: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """A field without Pydantic's titles and references; what may be null is simply absent in a stored message."""
    if "$ref" in field:
        field = definitions[field["$ref"].rpartition("/")[2]]
    options = [option for option in field.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        return plain(options[0], definitions)
    return {key: value for key, value in field.items() if key not in {"title", "default"}}


def _shape(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key != "description"}


if __name__ == "__main__":
    refused = write()
    print(*refused, sep="\n")
    sys.exit(1 if refused else 0)
