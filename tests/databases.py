"""What tests of the views share: both kinds of database, made-up histories, and what the views must then say of them.

What both databases must pass is written once: `class TestOnSqlite(OnSqlite, Cases)`, and the same on PostgreSQL.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, Protocol

import pytest
import sqlalchemy as sa

from events.application import CaseFact, Corrected, Returned, Submitted
from events.envelope import Event, encode, stamp
from events.fact import Fact, split
from events.offices import BACKBONE_ID
from events.resident import CaseClaimed
from events.stages import FINAL, ORDER, Kind, Stage
from infra import journal_reader
from infra.data_folder import DataFolder, open_folder
from infra.database import URL_VARIABLE, instant, open_database, open_sqlite
from infra.group_commit import Change, GroupCommit
from infra.journal import Journal, Stored
from infra.nats_connection import connect
from projections import status
from projections.status import Line
from tests.applications import CANCELLED, COLLECTED, NOW, OFFICE, PRINTED, QUEUED, RECORDED, SUBMITTED
from tests.recorder_servers import postgres

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
    """A server for the class, emptied for each test, and found by configuration."""

    @pytest.fixture(scope="class")
    @classmethod
    def postgres_url(cls) -> Iterator[sa.URL]:
        with postgres() as settings:
            where = {"host": settings["POSTGRES_HOST"]}
            yield sa.URL.create("postgresql+psycopg", settings["POSTGRES_USER"], database="postgres", query=where)

    @pytest.fixture
    def engine(self, postgres_url: sa.URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
        monkeypatch.setenv(URL_VARIABLE, postgres_url.render_as_string())
        engine = open_database(tmp_path / "views.sqlite")
        with engine.begin() as db:
            for schema in set(sa.inspect(db).get_schema_names()) - {"information_schema"}:
                db.execute(sa.schema.DropSchema(schema, cascade=True))
            db.execute(sa.schema.CreateSchema("public"))
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


class Told(NamedTuple):
    """What is known of one case."""

    stage: Stage
    since: datetime
    lines: list[Line]


def by_hand(events: Sequence[Event]) -> dict[str, Told]:
    """Where each case stands after these events, by receipt: said once more, and in other words than the view's."""
    histories: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        if isinstance(event.fact, CaseFact):
            histories[event.entity_id].append(event)
    found: dict[str, Told] = {}
    for history in histories.values():
        lines = {e.id: Line(e.name, e.id, e.occurred, e.recorded or NOW, e.seq, e.actor) for e in history}
        for fact in (event.fact for event in history):
            if isinstance(fact, Corrected):
                line = lines[fact.corrects]
                lines[line.id] = replace(line, occurred=fact.at or line.occurred, actor=fact.new_actor or line.actor)
        first, last = history[0].fact, [event for event in history if not isinstance(event.fact, Corrected)][-1]
        assert isinstance(first, Submitted)
        stage = last.fact.back_to if isinstance(last.fact, Returned) else Stage(last.name)
        found[first.receipt] = Told(stage, lines[last.id].occurred, list(lines.values()))
    return found


def told(engine: sa.Engine) -> dict[str, Told]:
    """What the view says of every case that it knows, by receipt."""
    case, line = status.CASES.c, status.HISTORY.c
    columns = (line.event, line.id, line.occurred, line.recorded, line.seq, line.actor)
    query = sa.select(case.receipt, case.stage, case.since, *columns).join(status.HISTORY, line.case == case.case)
    found: dict[str, Told] = {}
    with engine.connect() as db:
        for receipt, stage, since, event, id_, occurred, recorded, seq, actor in db.execute(query.order_by(line.seq)):
            known = found.setdefault(receipt, Told(Stage(stage), instant(since), []))
            known.lines.append(Line(event, id_, instant(occurred), instant(recorded), seq, actor))
    return found


class Work(Protocol):
    """What a process does with the journal and the database; a function of a module."""

    def __call__(self, journal: Journal, engine: sa.Engine) -> Coroutine[Any, Any, object]: ...


@contextmanager
def another_process(work: Work, folder: DataFolder, nats_url: str, engine: sa.Engine) -> Iterator[BaseProcess]:
    """A process that does `work` on the same journal and database; killed with -9 at the end of the block, if not before."""
    ways = get_context("forkserver")
    ways.set_forkserver_preload(["tests.databases", "tests.command"])  # so that the second one begins at once
    process = ways.Process(target=_works, args=(work, folder.path, nats_url, engine.url))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _works(work: Work, data: Path, nats_url: str, database: sa.URL) -> None:
    journal_reader._AHEAD_MAX = journal_reader.BATCH_MAX  # small batches: there is more between them to be killed in

    async def main() -> None:
        ours = parent_process()
        assert ours
        asyncio.get_running_loop().add_reader(ours.sentinel, os._exit, 1)  # a test that ends leaves nothing running
        sqlite = database.get_backend_name() == "sqlite"
        engine = open_sqlite(Path(str(database.database))) if sqlite else sa.create_engine(database)
        await work(Journal(await connect(open_folder(data), "reader", nats_url)), engine)

    asyncio.run(main())
