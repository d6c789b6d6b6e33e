"""Recorders of `eventsourcing` where JetStream shows: names, sizes, lost answers, damage, servers that come and go."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    ApplicationRecorder,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    Notification,
    OperationalError,
    StoredEvent,
)
from eventsourcing.utils import Environment

from infra.group_commit import GroupCommit
from infra.jetstream.factory import JetStreamFactory
from infra.journal import Journal
from infra.nats_server import NatsServer, start
from infra.nats_users import RECORDERS
from tests.recorder_servers import jetstream
from tests.support import frozen, kill, lossy_link

Open = Callable[..., JetStreamFactory]
PROGRAM = """
from eventsourcing.application import Application
from eventsourcing.domain import Aggregate
application = Application()
application.save(Aggregate())
subscription = application.recorder.subscribe()
next(subscription)
"""


@pytest.fixture
def open_factory(server: NatsServer) -> Iterator[Open]:
    """Factories of named applications, closed in the end."""
    opened: list[JetStreamFactory] = []

    def factory(name: str = "Shop", **settings: str) -> JetStreamFactory:
        opened.append(JetStreamFactory(Environment(name, jetstream(server) | settings)))
        return opened[-1]

    yield factory
    for one in opened:
        one.close()


@pytest.fixture
def recorder(open_factory: Open) -> ApplicationRecorder:
    return open_factory().application_recorder()


def event(originator: UUID | str = "o", version: int = 1, state: bytes = b"{}", topic: str = "shop:Sold") -> StoredEvent:
    return StoredEvent(originator, version, topic, state)


def stored(recorder: ApplicationRecorder) -> list[StoredEvent]:
    """All of an application, whose positions are 1, 2, …"""
    found = recorder.select_notifications(None, 1_000_000)
    assert [one.id for one in found] == list(range(1, len(found) + 1))
    return [StoredEvent(one.originator_id, one.originator_version, one.topic, one.state) for one in found]


async def test_ids_topics_and_states_of_every_kind_come_back_as_they_were(recorder: ApplicationRecorder) -> None:
    a_uuid = uuid4()
    ids: list[UUID | str] = [
        a_uuid,
        str(a_uuid),
        str(a_uuid).upper(),
        a_uuid.hex,
        "a.b",
        "*",
        ">",
        "%41",
        "A",
        "a",
        " ",
        "é\n",
        "=" * 300,
    ]
    topics = ["shop:Sold", "m:f.<locals>.Ü", " a\tb\r\nc%41: d "]
    events = [event(one, version, bytes(range(256)), topic) for one in ids for version, topic in enumerate(topics)]
    recorder.insert_events(events)
    assert stored(recorder) == events
    for one in ids:
        assert recorder.select_events(one) == [event for event in events if event.originator_id == one]


async def test_applications_and_purposes_have_events_and_positions_of_their_own(open_factory: Open) -> None:
    names = ["Shop", "shop.events", "shop=snapshots", "Shop Ü", ""]
    recorders = [open_factory(name).application_recorder() for name in names]
    snapshots = open_factory("Shop").aggregate_recorder("snapshots")
    for name, recorder in zip(names, recorders, strict=True):
        assert recorder.insert_events([event(state=name.encode())]) == [1]
    snapshots.insert_events([event(state=b"snapshot")])
    assert [stored(recorder) for recorder in recorders] == [[event(state=name.encode())] for name in names]
    assert snapshots.select_events("o") == [event(state=b"snapshot")]
    assert stored(open_factory("SHOP").application_recorder()) == [event(state=b"Shop")]  # as its settings are looked up


async def test_what_does_not_fit_is_told_and_nothing_is_stored(server: NatsServer, recorder: ApplicationRecorder) -> None:
    for too_much in (
        [event(version=version) for version in range(1_001)],
        [event(), event(version=2, state=b"x" * (1 << 20))],
        [event(topic="t" * (1 << 20))],
        [event("o" * 1_000)],
        [event("")],
    ):
        with pytest.raises(DataError):
            recorder.insert_events(too_much)
    largest = [event(version=version, state=b"x" * ((1 << 20) - 300)) for version in range(20)]
    recorder.insert_events(largest)
    assert stored(recorder) == largest
    assert recorder.select_events("o", gt=17) == largest[18:]


async def test_the_newest_snapshot_is_that_of_the_highest_version_whenever_it_was_taken(open_factory: Open) -> None:
    snapshots = open_factory().aggregate_recorder("snapshots")
    for version in (10, 30, 20, 5):
        snapshots.insert_events([event(version=version)])
    assert [one.originator_version for one in snapshots.select_events("o", desc=True)] == [30, 20, 10, 5]
    assert snapshots.select_events("o", desc=True, limit=1) == [event(version=30)]
    assert snapshots.select_events("o", desc=True, limit=1, lte=29) == [event(version=20)]
    assert snapshots.select_events("o", desc=True, gt=5, lte=20, limit=9) == [event(version=20), event(version=10)]
    assert [one.originator_version for one in snapshots.select_events("o", limit=3)] == [5, 10, 20]
    assert snapshots.select_events("nobody", desc=True) == []


async def test_of_two_applications_on_one_stream_one_records_a_version(open_factory: Open) -> None:
    one, other = (open_factory().application_recorder() for _ in range(2))
    for version in range(50):
        told = await asyncio.gather(
            *(asyncio.to_thread(recorder.insert_events, [event(version=version)]) for recorder in (one, other)),
            return_exceptions=True,
        )  # of the same bytes, too
        assert sorted(map(str, map(type, told))) == [str(IntegrityError), str(list)]
    assert stored(one) == stored(other) == [event(version=version) for version in range(50)]


async def test_who_asks_at_the_head_gets_each_event_as_it_comes(open_factory: Open) -> None:
    recorder, events = open_factory().application_recorder(), [event(version=version) for version in range(300)]
    other = open_factory().application_recorder()

    def record() -> None:
        for one in events:
            recorder.insert_events([one])

    recording, found = asyncio.create_task(asyncio.to_thread(record)), list[int]()
    while len(found) < len(events):  # most answers are empty, and none of them is a hole
        found += [one.id for one in await asyncio.to_thread(other.select_notifications, len(found) + 1, 10)]
    await recording
    assert found == list(range(1, 301))


@pytest.mark.parametrize("how", ["drop", "cut"])
@pytest.mark.parametrize("count", [1, 3])
async def test_an_answer_that_is_lost_is_read_from_the_stream(
    server: NatsServer, open_factory: Open, monkeypatch: pytest.MonkeyPatch, how: Literal["drop", "cut"], count: int
) -> None:
    monkeypatch.setattr("infra.jetstream.link.Journal", partial(Journal, timeout_s=0.2))
    events = [event(version=version) for version in range(5 * count)]
    async with lossy_link(server) as (link, url):
        link.how = how
        recorder = await asyncio.to_thread(lambda: open_factory("Shop", EKTP_NATS_URL=url).application_recorder())
        for first in range(0, len(events), count):
            link.to_lose = 1
            told = await asyncio.to_thread(recorder.insert_events, events[first : first + count])
            assert told == list(range(first + 1, first + count + 1))
        assert len(link.lost) == 5
        with pytest.raises(IntegrityError):
            await asyncio.to_thread(recorder.insert_events, events[:1])
        assert await asyncio.to_thread(stored, recorder) == events


async def test_a_server_that_does_not_answer_is_an_operational_error_that_says_what_is_stored(
    server: NatsServer, open_factory: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.jetstream.link.Journal", partial(Journal, timeout_s=0.2))
    monkeypatch.setattr("infra.jetstream.link.GroupCommit", partial(GroupCommit, timeout_s=0.5))
    recorder = open_factory().application_recorder()
    async with frozen(server):
        with pytest.raises(OperationalError, match="stored: unknown"):
            recorder.insert_events([event()])
        with pytest.raises(OperationalError, match="no answer from JetStream"):
            recorder.select_events("o")
    with pytest.raises(IntegrityError):  # it had come through
        recorder.insert_events([event()])


async def test_a_subscription_goes_on_where_the_server_comes_back(server: NatsServer, recorder: ApplicationRecorder) -> None:
    recorder.insert_events([event(version=1)])
    with recorder.subscribe() as subscription:
        assert next(subscription).originator_version == 1
        following = asyncio.create_task(asyncio.to_thread(next, subscription))
        await kill(server)
        again = await start(server.folder, server.port)
        await asyncio.to_thread(recorder.insert_events, [event(version=2)])
        assert (await following).originator_version == 2
    await again.stop()


async def test_a_subscription_that_waits_is_stopped_by_another_thread(recorder: ApplicationRecorder) -> None:
    subscription = recorder.subscribe(gt=0)
    waiting = asyncio.create_task(asyncio.to_thread(list[Notification], subscription))
    while subscription._waiting is None:  # type: ignore[attr-defined]
        await asyncio.sleep(0.001)
    subscription.stop()
    assert await waiting == []
    subscription.stop()
    assert list(subscription) == []


async def damaged(server: NatsServer, open_factory: Open, unreadable: int) -> NatsServer:
    """The server, started again after a bit was flipped in one of five events of the application Shop."""
    events = [event(version=version, state=b"state%d" % version) for version in range(1, 6)]
    open_factory().application_recorder().insert_events(events)
    await server.stop()
    (block,) = (server.folder.nats / "jetstream" / RECORDERS / "streams" / "ES_SHOP" / "msgs").glob("*.blk")
    whole, flipped = b"state%d" % unreadable, b"sta%ce%d" % (ord("t") ^ 1, unreadable)
    content = block.read_bytes()
    assert content.count(whole) == 1
    block.write_bytes(content.replace(whole, flipped))
    return await start(server.folder, server.port)


@pytest.mark.parametrize("unreadable", [1, 3, 4])
async def test_an_event_that_cannot_be_read_is_an_error_and_never_skipped(
    server: NatsServer, open_factory: Open, unreadable: int
) -> None:
    again = await damaged(server, open_factory, unreadable)
    recorder = open_factory().application_recorder()
    assert recorder.max_notification_id() == 5  # the server knows of no hole
    for versions in ({}, {"gt": unreadable - 1}, {"desc": True}):
        with pytest.raises(InternalError):
            recorder.select_events("o", **versions)
    for first, limit in ((1, 10), (unreadable, 1)):
        with pytest.raises(InternalError):
            recorder.select_notifications(first, limit)
    before = list(range(1, unreadable))
    assert [one.id for one in recorder.select_notifications(1, unreadable - 1)] == before
    seen: list[int] = []
    with pytest.raises(InternalError), recorder.subscribe() as subscription:
        seen.extend(one.id for one in subscription)
    assert seen == before
    await again.stop()


async def test_nothing_is_recorded_behind_an_event_that_cannot_be_read(server: NatsServer, open_factory: Open) -> None:
    again = await damaged(server, open_factory, 5)
    with pytest.raises(InternalError, match="event 5"):
        open_factory().application_recorder()
    await again.stop()


async def test_what_is_closed_says_so_also_to_those_who_wait(open_factory: Open) -> None:
    factory = open_factory()
    recorder = factory.application_recorder()
    waiting = asyncio.create_task(asyncio.to_thread(next, recorder.subscribe()))
    await asyncio.sleep(0.1)  # it also says so to one who begins to wait later
    factory.close()
    factory.close()
    with pytest.raises(InterfaceError, match="closed"):
        await waiting
    for ask in (recorder.max_notification_id, lambda: recorder.insert_events([event()]), lambda: next(recorder.subscribe())):
        with pytest.raises(InterfaceError, match="closed"):
            ask()
    assert [thread.name for thread in threading.enumerate() if thread.name == "JetStream"] == []


async def test_a_program_that_closes_nothing_ends_at_once_and_prints_nothing(server: NatsServer) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=os.environ | jetstream(server), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    assert (process.returncode, output) == (0, b"")


@pytest.mark.parametrize("missing", ["EKTP_NATS_URL", "EKTP_NATS_CREDS"])
def test_a_setting_that_is_missing_is_named(missing: str) -> None:
    settings = {"EKTP_NATS_URL": "nats://127.0.0.1:1", "EKTP_NATS_CREDS": "/nowhere"}
    with pytest.raises(OSError, match=f"SHOP_{missing} or {missing}"):
        JetStreamFactory(Environment("Shop", settings | {missing: ""}))


@pytest.mark.parametrize("content", ["", "[]", '{"user": "recorder"}'])
def test_credentials_that_are_none_are_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "credentials.json").write_text(content)
    settings = {"EKTP_NATS_URL": "nats://127.0.0.1:1", "EKTP_NATS_CREDS": str(tmp_path / "credentials.json")}
    with pytest.raises(OSError, match=r"credentials\.json should hold"):
        JetStreamFactory(Environment("Shop", settings))


async def test_a_server_that_does_not_let_us_in_is_told_with_its_reason(
    server: NatsServer, open_factory: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.jetstream.link.CONNECT_S_MAX", 0.5)
    (tmp_path / "old.json").write_text(json.dumps({"user": "recorder", "password": "old"}))
    with pytest.raises(InterfaceError, match="Authorization Violation"):
        open_factory("Shop", EKTP_NATS_CREDS=str(tmp_path / "old.json"))
    with pytest.raises(InterfaceError, match="Connect call failed"):
        open_factory("Shop", EKTP_NATS_URL="nats://127.0.0.1:1")
    with pytest.raises(InterfaceError, match="invalid connect url"):
        open_factory("Shop", EKTP_NATS_URL="nats://:::")
