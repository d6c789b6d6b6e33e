"""What overflows into a file is as good as what is in memory."""

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
