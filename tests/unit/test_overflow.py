"""What overflows into a file is as good as what is in memory."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.overflow import Overflowing

NAMES = st.sampled_from([f"case {number}" for number in range(12)])
STEPS = st.lists(st.tuples(st.sampled_from(["put", "get", "forget"]), NAMES, st.integers()), max_size=80)


@given(STEPS, st.integers(1, 5))
def test_it_is_a_dict_however_little_fits_in_memory(steps: list[tuple[str, str, int]], in_memory_max: int) -> None:
    held, model = Overflowing[tuple[int]](in_memory_max), dict[str, tuple[int]]()
    for step, name, value in steps:
        match step:
            case "put":
                held.put(name, (value,))
                model[name] = (value,)
            case "forget":
                held.forget(name)
                model.pop(name, None)
            case _:
                assert held.get(name) == model.get(name)
    assert {name: held.get(name) for name in model} == model


@pytest.mark.parametrize("written", ["nothing", "a part"])
def test_what_a_full_disk_does_not_take_is_forgotten_and_not_found_as_it_was_before(
    monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    held = Overflowing[tuple[int]](1)
    held.put("case", (1,))
    held.put("other", (0,))  # the case goes into the file
    assert held.get("case") == (1,)
    held.put("case", (2,))

    def full(*_: object) -> int:
        if written == "nothing":
            raise OSError(28, "No space left on device")
        return 7

    monkeypatch.setattr(os, "pwrite", full)
    held.put("third", (3,))
    monkeypatch.undo()
    assert held.get("case") is None
    assert held.get("third") == (3,)
