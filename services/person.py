"""Who is behind a case: what a seal is bound to, and the one way back. Whoever opens a person notes that it was opened."""

from collections.abc import Sequence
from datetime import date
from typing import Any, NamedTuple

import orjson

from events.application import Corrected, Submitted
from events.envelope import Event
from events.fact import type_names
from events.nik import Nik
from infra.keystore import Keystore


class Person(NamedTuple):
    """As handed in, the name as corrected last."""

    nik: Nik
    name: str
    born: date


def open_person(keystore: Keystore, history: Sequence[Event]) -> Person:
    """The person of a case, by all events of the case. Raises Erased."""
    submitted = history[0]
    assert isinstance(submitted.fact, Submitted), f"a case begins with submitted: {submitted.fact.TYPE}"

    def opened(event: Event) -> dict[str, Any]:
        assert event.fact.sealed is not None, f"nothing is sealed in {event.id}"
        assert isinstance(submitted.fact, Submitted)
        said: dict[str, Any] = orjson.loads(keystore.open(submitted.fact.resident, event.fact.sealed, bound_to(event)))
        return said

    said = opened(submitted)
    names = [opened(event).get("name") for event in history if isinstance(event.fact, Corrected)]
    name = next(filter(None, reversed(names)), said["name"])
    return Person(Nik(said["nik"]), name, date.fromisoformat(said["born"]))


def bound_to(event: Event) -> str:
    """What the sealed part of an event is bound to, so that it opens nowhere else."""
    return f"{event.id} {type_names(type(event.fact))[0]} {event.entity_id}"
