"""The data folder: made once, whoever comes first; refused untouched where it is not ours to use; one owner at a time."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra import data_folder
from infra.data_folder import DataFolder, free_bytes, open_folder, require_space
from infra.folder_errors import FolderDamaged, FolderNotWritable, NewerFolder, NotAFolder, NotOurs, TooLittleSpace
from infra.folder_lock import (
    Endpoint,
    SecondBackbone,
    announce,
    endpoint,
    take_owner,
    try_owner,
    users_exclusive,
    users_shared,
)

IMPORTS = "import sys; from pathlib import Path; from infra.data_folder import open_folder;"
OPEN = IMPORTS + "folder = open_folder(Path(sys.argv[1]));"
HOLD_OWNER = OPEN + "from infra.folder_lock import *; lock = try_owner(folder); announce(folder, 'nats://127.0.0.1:1');"
HOLD_USERS = OPEN + "import fcntl; lock = folder.users_lock.open(); fcntl.flock(lock, fcntl.LOCK_SH);"


@pytest.fixture
def folder(tmp_path: Path) -> DataFolder:
    return open_folder(tmp_path / "data")


def contents(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything below `path`: mode, time of the last change, content."""
    return {
        str(entry): (entry.stat().st_mode, entry.stat().st_mtime_ns, entry.read_bytes() if entry.is_file() else b"")
        for entry in [path, *path.rglob("*")]
    }


@contextmanager
def another_process(code: str, folder: DataFolder) -> Iterator[subprocess.Popen[str]]:
    """Runs `code`, and is there, holding what it took, until it is killed."""
    code += "print('holding', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            yield process
        finally:
            process.kill()


def test_a_new_folder_has_an_identity_and_a_secret_that_only_its_owner_can_read(folder: DataFolder) -> None:
    identity = json.loads((folder.path / "backbone.json").read_bytes())
    assert (identity["format"], identity["backbone"], folder.backbone) == (1, "3672", "3672")
    assert len(folder.secret()) == 32
    modes = {
        name: (folder.path / name).stat().st_mode & 0o777 for name in ("", "keys", "keys/secret", "nats", "views", "run")
    }
    assert modes == {"": 0o700, "keys": 0o700, "keys/secret": 0o600, "nats": 0o700, "views": 0o700, "run": 0o700}


def test_opening_again_changes_nothing(folder: DataFolder) -> None:
    before = contents(folder.path)
    assert open_folder(folder.path) == folder
    assert contents(folder.path) == before


def test_processes_that_make_it_at_once_agree_on_one_secret(tmp_path: Path) -> None:
    wait_and_open = (
        IMPORTS + "print('ready', flush=True); sys.stdin.readline(); print(open_folder(Path(sys.argv[1])).secret().hex())"
    )
    command = [sys.executable, "-c", wait_and_open, str(tmp_path / "data")]
    makers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(6)]
    assert [maker.stdout and maker.stdout.readline() for maker in makers] == ["ready\n"] * 6
    for maker in makers:
        assert maker.stdin is not None
        maker.stdin.write("go\n")
        maker.stdin.flush()
    secrets = {maker.communicate(timeout=10)[0].strip() for maker in makers}
    assert secrets == {open_folder(tmp_path / "data").secret().hex()}


def test_a_folder_whose_maker_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    killed = "import os, sys; from pathlib import Path; from infra import data_folder;"
    killed += "data_folder.write_durably = lambda *_: os.kill(os.getpid(), 9); data_folder.open_folder(Path(sys.argv[1]))"
    assert subprocess.run([sys.executable, "-c", killed, str(tmp_path / "data")], check=False).returncode == -signal.SIGKILL
    assert sorted(os.listdir(tmp_path / "data")) == ["backbone.json.making", "keys"]
    assert len(open_folder(tmp_path / "data").secret()) == 32


def test_a_new_volume_is_empty_in_spite_of_its_lost_and_found(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    assert open_folder(tmp_path).path == tmp_path


def test_a_folder_of_a_newer_version_is_refused_and_untouched(folder: DataFolder) -> None:
    (folder.path / "backbone.json").write_text('{"format": 2, "backbone": "3672", "new": true}')
    before = contents(folder.path)
    with pytest.raises(NewerFolder, match="newer version of this program"):
        open_folder(folder.path)
    assert contents(folder.path) == before


def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("chapter 1")
    before = contents(tmp_path)
    with pytest.raises(NotOurs):
        open_folder(tmp_path)
    assert contents(tmp_path) == before


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(NotAFolder):
        open_folder(tmp_path / "data")


@pytest.mark.parametrize("damage", ["keys/secret", "backbone.json"])
def test_a_lost_or_cut_file_is_never_made_anew(folder: DataFolder, damage: str) -> None:
    (folder.path / damage).write_bytes(b"")
    with pytest.raises(FolderDamaged, match=damage):
        open_folder(folder.path)
    assert (folder.path / damage).read_bytes() == b""


def test_a_place_where_nothing_can_be_made_is_told_with_the_system_s_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritable, match="Not a directory"):
        open_folder(tmp_path / "file" / "data")
    with pytest.raises(FolderNotWritable, match="No such file or directory"):
        open_folder(Path("/proc/ektp"))  # not even root can make a directory there


def test_a_folder_without_the_right_to_write_is_told() -> None:
    with tempfile.TemporaryDirectory() as outer:  # pytest's own can be entered by its user alone
        folder = open_folder(Path(outer, "data"))
        entries = [Path(outer), folder.path, *folder.path.rglob("*")]
        for entry in entries:
            entry.chmod(0o555 if entry.is_dir() else 0o444)
        root = os.geteuid() == 0
        try:
            if root:
                os.seteuid(65534)  # rights do not hold root back
            with pytest.raises(PermissionError):
                (folder.path / "x").touch()
            with pytest.raises(FolderNotWritable, match=r"Permission denied|Operation not permitted"):
                open_folder(folder.path)
        finally:
            if root:
                os.seteuid(0)
            for entry in entries:
                entry.chmod(0o700)


def test_too_little_free_disk_is_told_in_figures(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    require_space(folder)
    needed_mib = (free_bytes(folder) >> 20) + 1024
    monkeypatch.setattr(data_folder, "START_MIB_MIN", needed_mib)
    with pytest.raises(TooLittleSpace, match=f"{needed_mib} MiB are needed"):
        require_space(folder)


async def test_a_second_owner_is_refused_and_told_who_the_first_is(folder: DataFolder) -> None:
    with another_process(HOLD_OWNER, folder) as owner:
        with pytest.raises(SecondBackbone) as refused:
            await take_owner(folder, wait_s=0.1)
        assert refused.value.pid == owner.pid


async def test_a_start_waits_for_a_holder_that_is_going_and_clears_the_address_that_it_left(folder: DataFolder) -> None:
    with another_process(HOLD_OWNER, folder) as owner:
        waiting = asyncio.create_task(take_owner(folder))
        done, _ = await asyncio.wait({waiting}, timeout=0.2)
        assert not done
        assert endpoint(folder) is not None
        owner.kill()
        with await asyncio.wait_for(waiting, 5):
            assert endpoint(folder) is None
            announce(folder, "nats://127.0.0.1:2")
            assert endpoint(folder) == Endpoint("nats://127.0.0.1:2", os.getpid())


async def test_whoever_started_it_waits_until_no_command_uses_it(folder: DataFolder) -> None:
    async def stop() -> None:
        async with users_exclusive(folder):
            pass

    with another_process(HOLD_USERS, folder) as user, another_process(HOLD_USERS, folder) as second_user:
        stopping = asyncio.create_task(stop())
        user.kill()
        user.wait()
        done, _ = await asyncio.wait({stopping}, timeout=0.2)
        assert not done
        second_user.kill()
        await asyncio.wait_for(stopping, 5)


async def test_a_command_does_not_use_a_backbone_that_is_being_stopped(folder: DataFolder) -> None:
    async with users_shared(folder), users_shared(folder, wait_s=0):
        pass
    async with users_exclusive(folder):
        with pytest.raises(SecondBackbone):
            async with users_shared(folder, wait_s=0.1):
                pytest.fail("used while it was being stopped")


def test_a_program_that_the_owner_started_does_not_hold_the_lock(folder: DataFolder) -> None:
    lock = try_owner(folder)
    assert lock is not None
    assert try_owner(folder) is None
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(b"running\n")
        program.stdin.flush()
        assert program.stdout.readline() == b"running\n"  # so exec is over
        lock.release()
        again = try_owner(folder)
        assert again is not None
        again.release()
