"""No server outlives its owner: it is killed with its owner, and where that failed, the next start stops it."""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from infra.data_folder import DataFolder
from infra.folder_lock import SecondBackbone
from infra.nats_configuration import configuration_file, pid_file

STOP_S_MAX = 15.0
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_parent() -> Callable[[], None]:
    """For the child to call between fork and exec: the kernel kills it when the thread that started it ends.

    Does nothing where prctl is missing (macOS).
    """
    prctl, parent = getattr(ctypes.CDLL(None), "prctl", None), os.getpid()

    def ask() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return ask


async def stop_left_over(folder: DataFolder) -> None:
    """Stop the server that a killed owner of this folder left behind, if there is one: asked first, killed after 15 s.

    Raises SecondBackbone for one that even a kill does not end.
    """
    pid = server_pid(folder)
    if pid is None:
        return
    with suppress(ProcessLookupError):
        process = os.pidfd_open(pid)  # readable when the last thread has ended and every file is closed
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(process, ended.set)
        try:
            for kind in (signal.SIGTERM, signal.SIGKILL):
                signal.pidfd_send_signal(process, kind)
                with suppress(TimeoutError):
                    await asyncio.wait_for(ended.wait(), STOP_S_MAX)
                    return
        finally:
            loop.remove_reader(process)
            os.close(process)
        raise SecondBackbone(str(folder.path), pid)


def server_pid(folder: DataFolder) -> int | None:
    """Pid of a living nats-server with this folder's configuration. A number alone may by now be anybody's."""
    with suppress(OSError, ValueError):
        pid = int(pid_file(folder).read_text())
        program, *arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")  # empty for a zombie
        if program.endswith(b"nats-server") and arguments[:2] == [b"-c", bytes(configuration_file(folder))]:
            return pid
    return None
