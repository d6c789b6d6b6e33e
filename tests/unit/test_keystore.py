"""One key per person, made once and for one person only; what it sealed opens where it was sealed, until it is destroyed."""

import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from threading import Barrier, Timer

import pytest
from cryptography.exceptions import InvalidTag

from infra.keystore import Erased, ErasureUnfinished, Keystore, Resident

SECRET = b"s" * 32
SITI, BUDI = "3672034105900001", "3672030105900002"


def opened(tmp_path: Path, secret: bytes = SECRET) -> Keystore:
    return Keystore(tmp_path / "keystore.sqlite", secret)


@pytest.fixture
def keystore(tmp_path: Path) -> Iterator[Keystore]:
    made = opened(tmp_path)
    yield made
    made.close()


def on_disk(tmp_path: Path) -> bytes:
    """Every byte of the database, its write-ahead log and whatever else lies there."""
    return b"".join(file.read_bytes() for file in sorted(tmp_path.iterdir()))


def rows(tmp_path: Path) -> list[tuple[bytes, str, bytes]]:
    """(NIK hash, resident, key), as another program reads them."""
    with closing(sqlite3.connect(tmp_path / "keystore.sqlite")) as db:
        return db.execute("select nik_hash, resident, key from residents").fetchall()


def test_a_person_is_new_once_and_has_one_id_ever_after(keystore: Keystore) -> None:
    first = keystore.residents([SITI, BUDI])
    assert [first[nik].is_new for nik in (SITI, BUDI)] == [True, True]
    assert keystore.residents([BUDI, SITI]) == {nik: Resident(first[nik].id, is_new=False) for nik in first}
    assert keystore.resident(SITI) == first[SITI].id != first[BUDI].id


def test_looking_for_a_person_makes_none(keystore: Keystore, tmp_path: Path) -> None:
    assert keystore.resident(SITI) is None
    assert keystore.residents([]) == {}
    assert rows(tmp_path) == []


def test_ids_are_random_and_tell_nothing_of_the_person(tmp_path: Path) -> None:
    ids = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        keystore = opened(tmp_path / place)
        ids += [keystore.residents([SITI])[SITI].id]
        keystore.close()
    assert ids[0] != ids[1]
    assert all(len(id_) == 24 and int(id_, 16) for id_ in ids)


def test_persons_and_keys_survive_reopening(keystore: Keystore, tmp_path: Path) -> None:
    siti = keystore.residents([SITI])[SITI].id
    sealed = keystore.seal(siti, b"Siti", "event type case")
    keystore.close()
    again = opened(tmp_path)
    assert again.residents([SITI]) == {SITI: Resident(siti, is_new=False)}
    assert again.open(siti, sealed, "event type case") == b"Siti"
    again.close()


def test_without_the_secret_the_file_does_not_tell_who_is_who(keystore: Keystore, tmp_path: Path) -> None:
    keystore.residents([SITI])
    assert SITI.encode() not in on_disk(tmp_path)
    stranger = opened(tmp_path, b"t" * 32)
    assert stranger.resident(SITI) is None
    stranger.close()


def test_the_files_are_for_their_owner_alone(keystore: Keystore, tmp_path: Path) -> None:
    keystore.residents([SITI])
    assert {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()} == {
        "keystore.sqlite": 0o600,
        "keystore.sqlite-wal": 0o600,
        "keystore.sqlite-shm": 0o600,
    }


def test_many_who_ask_for_the_same_persons_at_once_get_the_same_ids_and_one_made_each(tmp_path: Path) -> None:
    niks, threads = [f"36720341059{serial:05d}" for serial in range(1, 51)], 4
    together = Barrier(threads, timeout=10)  # who fails does not keep the others waiting

    def ask(_: int) -> dict[str, Resident]:
        together.wait()
        keystore = opened(tmp_path)  # a new file, too
        together.wait()
        found = keystore.residents(niks)
        keystore.close()
        return found

    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(ask, range(threads)))
    for nik in niks:
        assert len({answer[nik].id for answer in answers}) == 1
        assert sum(answer[nik].is_new for answer in answers) == 1


def test_opening_a_new_file_waits_for_another_who_is_just_making_it(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "keystore.sqlite", isolation_level=None, check_same_thread=False)
    other.execute("begin immediate")  # SQLite fails at once on this, whatever its time-out
    done = Timer(0.1, other.close)
    done.start()
    keystore = opened(tmp_path)
    assert keystore.residents([SITI])[SITI].is_new
    keystore.close()
    done.join()


def test_two_processes_may_open_a_new_file_at_the_same_time_and_agree(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from infra.keystore import Keystore; print('ready', flush=True);"
        "sys.stdin.readline(); made = Keystore(Path(sys.argv[1]), sys.argv[2].encode());"
        "print(made.residents([sys.argv[3]])[sys.argv[3]].id)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "keystore.sqlite"), SECRET.decode(), SITI]
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.stdout.readline() for process in both if process.stdout] == ["ready\n"] * 2
    for process in both:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    told = [process.communicate(timeout=30)[0].strip() for process in both]
    assert told == [resident for _, resident, _ in rows(tmp_path)] * 2


def test_the_same_text_is_sealed_differently_each_time(keystore: Keystore) -> None:
    siti = keystore.residents([SITI])[SITI].id
    assert keystore.seal(siti, b"Siti", "e") != keystore.seal(siti, b"Siti", "e")


@pytest.mark.parametrize("moved_to", ["event2 type case", "event type2 case", "event type case2", ""])
def test_a_blob_that_was_moved_to_another_event_type_or_case_does_not_open(keystore: Keystore, moved_to: str) -> None:
    siti = keystore.residents([SITI])[SITI].id
    sealed = keystore.seal(siti, b"Siti", "event type case")
    assert keystore.open(siti, sealed, "event type case") == b"Siti"
    with pytest.raises(InvalidTag):
        keystore.open(siti, sealed, moved_to)


def test_nobody_elses_key_opens_it(keystore: Keystore) -> None:
    found = keystore.residents([SITI, BUDI])
    with pytest.raises(InvalidTag):
        keystore.open(found[BUDI].id, keystore.seal(found[SITI].id, b"Siti", "e"), "e")


def test_after_erasure_nobody_can_open_or_seal_any_more(keystore: Keystore, tmp_path: Path) -> None:
    siti = keystore.residents([SITI])[SITI].id
    sealed, reader = keystore.seal(siti, b"Siti", "e"), opened(tmp_path)
    assert reader.open(siti, sealed, "e") == b"Siti"  # the reader has had the key in its hands
    keystore.destroy(siti)
    for process in (keystore, reader):
        with pytest.raises(Erased):
            process.open(siti, sealed, "e")
    with pytest.raises(Erased):
        keystore.seal(siti, b"Siti", "e")
    reader.close()


def test_a_person_who_was_erased_comes_back_as_someone_new(keystore: Keystore) -> None:
    siti = keystore.residents([SITI])[SITI].id
    keystore.destroy(siti)
    assert keystore.resident(SITI) is None
    again = keystore.residents([SITI])[SITI]
    assert again.is_new
    assert again.id != siti


def test_key_and_nik_hash_are_gone_from_every_file_and_others_stay(
    keystore: Keystore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = Random(2)  # with these, splits of the index's pages leave behind one of those that are erased
    monkeypatch.setattr(secrets, "token_hex", lambda size: ids.randbytes(size).hex())
    niks = [f"36720341059{serial:05d}" for serial in range(1, 1501)]  # enough for the tables to grow and split
    for first in range(0, len(niks), 100):
        keystore.residents(niks[first : first + 100])
    erased = {found.id for found in keystore.residents(niks[::10]).values()}
    before = rows(tmp_path)
    assert all(hashed in on_disk(tmp_path) and key in on_disk(tmp_path) for hashed, _, key in before[:3])
    for resident in erased:
        keystore.destroy(resident)
    after = on_disk(tmp_path)
    for hashed, resident, key in before:
        there = [hashed in after, key in after, key[:16] in after, key[16:] in after, resident.encode() in after]
        assert there == [resident not in erased] * 5


def test_an_erasure_that_a_reader_delays_says_so_and_ends_when_it_is_asked_again(keystore: Keystore, tmp_path: Path) -> None:
    keystore._db.execute("pragma busy_timeout=20")
    siti = keystore.residents([SITI])[SITI].id
    ((hashed, _, key),) = rows(tmp_path)
    reading = sqlite3.connect(tmp_path / "keystore.sqlite", isolation_level=None)
    reading.execute("begin")
    reading.execute("select count(*) from residents").fetchone()
    with pytest.raises(ErasureUnfinished):
        keystore.destroy(siti)
    assert key in on_disk(tmp_path)
    reading.close()
    keystore.destroy(siti)
    assert key not in on_disk(tmp_path)
    assert hashed not in on_disk(tmp_path)
