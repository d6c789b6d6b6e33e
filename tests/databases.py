"""What tests of the views share: both kinds of database, made-up histories, and what the views must then say of them.

What both databases must pass is written once: `class TestOnSqlite(OnSqlite, Cases)`, and the same on PostgreSQL.
"""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any, Protocol

import pytest
import sqlalchemy as sa

from events.application import CaseFact, Corrected, Returned, Submitted
from events.envelope import Event, encode, stamp
from events.fact import Fact, split
from events.offices import BACKBONE_ID
from events.resident import CaseClaimed
from events.stages import FINAL, ORDER, Kind, Stage
from infra.data_folder import DataFolder, open_folder
from infra.database import URL_VARIABLE, open_database
from infra.group_commit import Change, GroupCommit
from infra.journal import Journal, Stored
from infra.nats_connection import connect
from projections import status
from projections.status import CaseStatus, Line
from tests.applications import CANCELLED, COLLECTED, NOW, OFFICE, PRINTED, QUEUED, RECORDED, SUBMITTED
from tests.recorder_servers import postgres

_numbers = count(1)
_STEPS: dict[Stage, Fact] = {
    Stage.RECORDED: RECORDED,
    Stage.QUEUED: QUEUED,
    Stage.PRINTED: PRINTED,
    Stage.COLLECTED: COLLECTED,
    Stage.CANCELLED: CANCELLED,
}


class OnSqlite:
    """A file for each test."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[sa.Engine]:
        engine = open_database(tmp_path / "views.sqlite")
        yield engine
        engine.dispose()


class OnPostgres:
    """A server for the class, and for each test a database, which is found by configuration."""

    @pytest.fixture(scope="class")
    def postgres_url(self) -> Iterator[sa.URL]:
        with postgres() as settings:
            where = {"host": settings["POSTGRES_HOST"]}
            yield sa.URL.create("postgresql+psycopg", settings["POSTGRES_USER"], database="postgres", query=where)

    @pytest.fixture
    def engine(self, postgres_url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
        name = f"test_{next(_numbers)}"
        server = sa.create_engine(postgres_url, isolation_level="AUTOCOMMIT")
        with server.connect() as db:
            db.exec_driver_sql(f"create database {name}")
        server.dispose()
        monkeypatch.setenv(URL_VARIABLE, postgres_url.set(database=name).render_as_string())
        engine = open_database(tmp_path / "views.sqlite")
        yield engine
        engine.dispose()


class Applied:
    """A view that notes each event that it is given: what comes twice, too early or not at all shows."""

    VERSION = 1

    def __init__(self, name: str = "applied") -> None:
        self.NAME, self.TABLES = name, sa.MetaData()
        self.cannot_take = set[int]()  # positions
        number = sa.Column("number", sa.Integer, primary_key=True)
        self._rows = sa.Table(f"{name}_v1", self.TABLES, number, sa.Column("seq", sa.BigInteger))

    def apply(self, db: sa.Connection, events: Sequence[Event]) -> None:
        seqs = [event.seq for event in events]
        if seqs:
            db.execute(self._rows.insert(), [{"seq": seq} for seq in seqs])
        if self.cannot_take.intersection(seqs):
            raise ValueError("Siti Rahayu")  # which nobody may see

    def seqs(self, engine: sa.Engine) -> list[int]:
        """What it was given, in that order."""
        with engine.connect() as db:
            return list(db.execute(sa.select(self._rows.c.seq).order_by(self._rows.c.number)).scalars())


def made_up(random: Random, count: int) -> list[Event]:
    """So many events of cases that no two calls share: each case lawful, all interleaved."""
    events: list[Event] = []
    ids: dict[str, list[str]] = defaultdict(list)  # of each case's events
    open_at: dict[str, Stage] = {}

    def happens(place: str, entity: str, fact: Fact) -> None:
        id_, occurred = f"{random.getrandbits(128):032x}", NOW + len(events) * timedelta(minutes=1)
        ids[entity].append(id_)
        events.append(Event(id_, place, entity, len(ids[entity]), occurred, fact, random.choice([None, "petugas.1"])))

    while len(events) < count:
        case = random.choice([*open_at, *["a new one"] * (len(open_at) < 12)])
        stage = open_at.get(case)
        what = random.choice(["on"] * 6 + ["back", "correct", "cancel"])
        if stage is None:
            case, resident = f"{random.getrandbits(64):x}", f"{random.getrandbits(64):x}"
            said = {"receipt": f"PM-{case}", "resident": resident, "kind": random.choice(list(Kind))}
            happens(OFFICE, case, SUBMITTED.model_copy(update=said))
            happens(BACKBONE_ID, resident, CaseClaimed(case=case, office=OFFICE))
            open_at[case] = Stage.SUBMITTED
        elif what == "correct":
            at = random.choice([None, NOW - random.randrange(10**6) * timedelta(seconds=1)])
            happens(OFFICE, case, Corrected(digest="", corrects=random.choice(ids[case]), at=at, new_actor="petugas.2"))
        elif what == "back" and stage is not Stage.SUBMITTED:
            open_at[case] = random.choice(ORDER[: ORDER.index(stage)])
            happens(OFFICE, case, Returned(digest="", back_to=open_at[case]))
        else:
            open_at[case] = Stage.CANCELLED if what == "cancel" else ORDER[ORDER.index(stage) + 1]
            happens(OFFICE, case, _STEPS[open_at[case]])
        if open_at[case] in FINAL:
            del open_at[case]
    return events[:count]


def in_memory(events: Sequence[Event]) -> list[Stored]:
    """The events as a journal would hold them that has nothing else."""
    bodies = stamp([encode(event, split(event.fact)[0]) for event in events], NOW)
    return [Stored(seq, event.subject, body) for seq, (event, body) in enumerate(zip(events, bodies, strict=True), 1)]


async def append(commits: GroupCommit, events: Sequence[Event]) -> None:
    """Append new cases, 1,000 events at a time; those of one case that leave together stand together."""
    ends: dict[str, int] = {}
    for start in range(0, len(events), 1_000):
        leaving: dict[str, list[bytes]] = defaultdict(list)
        for event in events[start : start + 1_000]:
            leaving[event.subject].append(encode(event, split(event.fact)[0]))
        positions = await commits.append(*(Change(on, ends.get(on, 0), bodies) for on, bodies in leaving.items()))
        for on, bodies in leaving.items():
            ends[on], positions = positions[len(bodies) - 1], positions[len(bodies) :]


def by_hand(events: Sequence[Event]) -> dict[str, CaseStatus]:
    """Where each case stands after these events, by receipt: said once more, and in other words than the view's."""
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if isinstance(event.fact, CaseFact):
            histories[event.entity_id].append(event)
    found: dict[str, CaseStatus] = {}
    queues: dict[str, list[tuple[object, ...]]] = defaultdict(list)
    for case, history in histories.items():
        lines = {e.id: Line(e.name, e.id, e.occurred, e.recorded or NOW, e.seq, e.actor) for e in history}
        for fact in (event.fact for event in history):
            if isinstance(fact, Corrected):
                line = lines[fact.corrects]
                lines[line.id] = replace(line, occurred=fact.at or line.occurred, actor=fact.new_actor or line.actor)
        first, last = history[0].fact, [event for event in history if not isinstance(event.fact, Corrected)][-1]
        assert isinstance(first, Submitted)
        stage = last.fact.back_to if isinstance(last.fact, Returned) else Stage(last.name)
        since, told = lines[last.id].occurred, list(lines.values())
        found[first.receipt] = CaseStatus(
            first.receipt, case, last.place, first.kind, stage, since, first.promised, None, told
        )
        if stage is Stage.QUEUED:
            queues[last.place].append((since, last.seq, first.receipt))
    for queue in queues.values():
        for number, (*_, receipt) in enumerate(sorted(queue), 1):
            found[str(receipt)] = replace(found[str(receipt)], place=(number, len(queue)))
    return found


def told(engine: sa.Engine) -> dict[str, CaseStatus]:
    """What the view says of every case that it knows, by receipt."""
    with engine.connect() as db:
        receipts = list(db.execute(sa.select(status.CASES.c.receipt)).scalars())
        return {receipt: found for receipt in receipts if (found := status.status(db, receipt))}


class Work(Protocol):
    """What a process does with the journal and the database; a function of a module."""

    def __call__(self, journal: Journal, engine: sa.Engine) -> Coroutine[Any, Any, object]: ...


@contextmanager
def another_process(work: Work, folder: DataFolder, nats_url: str, engine: sa.Engine) -> Iterator[BaseProcess]:
    """A process that does `work` on the same journal and database; killed with -9 at the end of the block, if not before."""
    file = Path(engine.url.database or "")
    process = get_context("spawn").Process(target=_works, args=(work, folder.path, nats_url, file))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _works(work: Work, data: Path, nats_url: str, file: Path) -> None:
    async def main() -> None:
        await work(Journal(await connect(open_folder(data), "reader", nats_url)), open_database(file))

    asyncio.run(main())
