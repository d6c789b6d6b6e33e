"""Starts one part of a backbone: `python -m services.part writer|reader DIR URL …`, the rest as the part's module says.

Most of a start is imports. The garbage collector is off for them: to look again and again through what they make, of which
nothing is garbage, took a fourth of it. Nor is it looked through later.
"""

import asyncio
import gc
import sys
from importlib import import_module


def main(name: str, *arguments: str) -> None:
    """Run the part of that name until SIGTERM."""
    gc.disable()
    part = import_module(f"services.{name}").part(*arguments)
    gc.freeze()
    gc.enable()
    asyncio.run(part)


if __name__ == "__main__":
    main(*sys.argv[1:])
