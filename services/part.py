"""Starts one part of a backbone: `python -m services.part writer|reader DIR URL …`, the rest as the part's module says."""

import asyncio
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module


def main(name: str, *arguments: str) -> None:
    """Run the part of that name until SIGTERM."""
    with quiet_collector():
        part = import_module(f"services.{name}").part(*arguments)
    asyncio.run(part)


@contextmanager
def quiet_collector() -> Iterator[None]:
    """The garbage collector is off for the imports, of which nothing is garbage: to look through them again and again took
    a fourth of a start. Nor does it look through them later, and seldom through the rest, which took a sixth of the work."""
    gc.disable()
    yield
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


if __name__ == "__main__":
    main(*sys.argv[1:])
