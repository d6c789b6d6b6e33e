"""Subscribers hear what they may hear, from the first event on, and nothing that one does reaches another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.js.client import JetStreamContext

from infra.data_folder import DataFolder
from infra.group_commit import GroupCommit
from infra.journal import Journal
from infra.nats_server import NatsServer, start
from infra.nats_users import FEED_API
from infra.subscribers import PLACES, Subscriber, changing, subscribers
from projections.feed import feed_stream
from services.subscribers import NoPlaceLeft, SubscriberExists, UnknownFeedEvent, UnknownSubscriber, add, known, remove
from tests.support import change, stored, subject
from tests.telling import reader_of

COLLECTED, PRINTED = "ektp.feed.367203.application.collected", "ektp.feed.367203.application.printed"
ELSEWHERE = "ektp.feed.367204.application.collected"


class Bank:
    """A subscriber with its connection, as nats-py gives it, and what the server refused it."""

    def __init__(self, given: dict[str, Any], client: Client, refused: list[str]) -> None:
        self.given, self.client, self.refused = given, client, refused
        self.jetstream: JetStreamContext = client.jetstream(prefix=given["api_prefix"])

    async def pull(self) -> JetStreamContext.PullSubscription:
        return await self.jetstream.pull_subscribe_bind(self.given["consumer"], stream=self.given["stream"])

    async def takes(self, count: int = 100) -> list[str]:
        """Subjects and bodies of what there is for it, acknowledged."""
        messages = []
        with suppress(TimeoutError):
            messages = await (await self.pull()).fetch(count, timeout=1)
        for message in messages:
            await message.ack_sync()
        return [f"{message.subject} {message.data.decode()}" for message in messages]

    async def listens(self, to: str) -> Subscription:
        heard: Subscription = await self.client.subscribe(to)
        await self.client.flush()
        return heard


class Backbone:
    """What the subscribers' side of a backbone is."""

    def __init__(self, server: NatsServer, reader: Journal) -> None:
        self.server, self.reader, self.feed = server, reader, feed_stream(reader.connection)

    async def tells(self, *subjects: str) -> None:
        for number, on in enumerate(subjects, await self.feed.last_seq() + 1):
            await self.reader.connection.request(on, str(number).encode())

    async def adds(self, name: str, events: Sequence[str] = ("collected",), office: str = "367203") -> dict[str, Any]:
        return await add(self.feed, self.server.folder, self.server.url, name, events, office)

    async def removes(self, name: str) -> None:
        await remove(self.feed, self.server.folder, self.server.url, name)


@pytest.fixture
async def backbone(server: NatsServer, journal: Journal) -> AsyncIterator[Backbone]:
    async with reader_of(server) as reader:
        backbone = Backbone(server, reader)
        await backbone.feed.create()
        yield backbone


@asynccontextmanager
async def connected(given: dict[str, Any], url: str = "") -> AsyncIterator[Bank]:
    refused: list[str] = []

    async def told(error: Exception) -> None:
        refused.append(str(error))

    client = await nats.connect(
        url or given["url"], user=given["user"], password=given["password"], error_cb=told, allow_reconnect=False
    )
    try:
        yield Bank(given, client, refused)
    finally:
        await client.close()


async def heard(subscription: Subscription) -> list[str]:
    """What has arrived, and arrives in the next moment."""
    found = []
    with suppress(TimeoutError):
        while True:
            message = await subscription.next_msg(0.3)
            found.append(f"{message.subject} {message.data.decode()}")
    return found


async def test_it_gets_history_and_what_comes_of_its_events_and_office_alone(backbone: Backbone) -> None:
    await backbone.tells(COLLECTED, PRINTED, ELSEWHERE)
    async with AsyncExitStack() as stack:
        bank = await stack.enter_async_context(connected(await backbone.adds("bank")))
        everywhere = await backbone.adds("election", ["collected", "printed"], "all")
        election = await stack.enter_async_context(connected(everywhere))
        live = await bank.listens(COLLECTED), await election.listens("ektp.feed.*.*.printed")
        assert await bank.takes() == [f"{COLLECTED} 1"]
        assert await election.takes() == [f"{COLLECTED} 1", f"{PRINTED} 2", f"{ELSEWHERE} 3"]
        await backbone.tells(ELSEWHERE, PRINTED, COLLECTED)
        assert await bank.takes() == [f"{COLLECTED} 6"]
        assert await election.takes() == [f"{ELSEWHERE} 4", f"{PRINTED} 5", f"{COLLECTED} 6"]
        assert [await heard(one) for one in live] == [[f"{COLLECTED} 6"], [f"{PRINTED} 5"]]
        assert bank.refused == election.refused == []


async def test_it_goes_on_where_it_was_after_a_crash_and_after_the_server_s_next_start(
    folder: DataFolder, backbone: Backbone
) -> None:
    given = await backbone.adds("bank")
    await backbone.tells(COLLECTED, COLLECTED, COLLECTED)
    async with connected(given) as bank:
        assert await bank.takes(2) == [f"{COLLECTED} 1", f"{COLLECTED} 2"]
    async with connected(given) as bank:
        assert await bank.takes() == [f"{COLLECTED} 3"]
    await backbone.tells(COLLECTED)
    await backbone.server.stop()
    again = await start(folder)
    async with connected(given, again.url) as bank:
        assert await bank.takes() == [f"{COLLECTED} 4"]
    await again.stop()


@pytest.mark.parametrize(
    "forbidden",
    [
        subject("c1"),
        COLLECTED,
        f"live.{COLLECTED}",
        "cmd.ektp.367203.submit",
        "ask.ektp.status",
        "_INBOX_writer.forged",
        "$JS.ACK.EKTP_FEED.other.1.1.1.1.0",
        *(
            f"{api}.{call}"
            for api in ("$JS.API", FEED_API)
            for call in (
                *("INFO", "STREAM.INFO.EKTP", "STREAM.MSG.GET.EKTP", "DIRECT.GET.EKTP", "CONSUMER.MSG.NEXT.EKTP.bank"),
                *(
                    f"STREAM.{how}.EKTP_FEED"
                    for how in ("INFO", "CREATE", "UPDATE", "PURGE", "DELETE", "MSG.GET", "MSG.DELETE")
                ),
                *(
                    "CONSUMER.CREATE.EKTP_FEED.bank",
                    "CONSUMER.DURABLE.CREATE.EKTP_FEED.bank",
                    "CONSUMER.DELETE.EKTP_FEED.bank",
                ),
                *("CONSUMER.MSG.NEXT.EKTP_FEED.other", "CONSUMER.INFO.EKTP_FEED.other", "DIRECT.GET.EKTP_FEED"),
            )
        ),
    ],
)
async def test_what_it_may_not_say(backbone: Backbone, commits: GroupCommit, forbidden: str) -> None:
    await commits.append(change("c1"))
    await backbone.tells(COLLECTED)
    async with connected(await backbone.adds("bank")) as bank:
        await bank.client.publish(forbidden, b"{}", reply=bank.client.new_inbox())
        assert await bank.takes() == [f"{COLLECTED} 1"]
        assert bank.refused == [f'nats: permissions violation for publish to "{forbidden.lower()}"']
    assert (len(await stored(backbone.reader)), await backbone.feed.last_seq()) == (1, 1)


@pytest.mark.parametrize(
    "to", [">", "ektp.feed.>", "ektp.feed.*.*.collected", PRINTED, ELSEWHERE, "ektp.*.*.*", "live.>", "$JS.>"]
)
async def test_what_it_may_not_hear(backbone: Backbone, to: str) -> None:
    async with connected(await backbone.adds("bank")) as bank:
        await bank.client.subscribe(to)
        await bank.takes()
        assert bank.refused == [f'nats: permissions violation for subscription to "{to.lower()}"']


async def test_an_answer_that_one_asks_for_reaches_neither_the_journal_nor_another(backbone: Backbone) -> None:
    await backbone.tells(COLLECTED)
    async with AsyncExitStack() as stack:
        bank = await stack.enter_async_context(connected(await backbone.adds("bank")))
        rogue = await stack.enter_async_context(connected(await backbone.adds("rogue")))
        live, inbox = await bank.listens(COLLECTED), await bank.listens("_INBOX.>")
        for place in (subject("c1"), COLLECTED, "_INBOX.known", "cmd.ektp.3672.ping"):
            for call in ("CONSUMER.MSG.NEXT", "CONSUMER.INFO"):
                await rogue.client.publish(f"{FEED_API}.{call}.EKTP_FEED.rogue", b"", reply=place)
        await rogue.client.flush()
        assert await heard(inbox) == await heard(live) == []
        assert await stored(backbone.reader) == []
        assert await backbone.feed.last_seq() == 1


async def test_one_that_falls_behind_or_sends_garbage_harms_nobody(backbone: Backbone) -> None:
    async with AsyncExitStack() as stack:
        bank = await stack.enter_async_context(connected(await backbone.adds("bank")))
        rogue = await stack.enter_async_context(connected(await backbone.adds("rogue")))
        await rogue.listens(COLLECTED)
        await backbone.tells(*[COLLECTED] * 1_500)
        taken = await (await rogue.pull()).fetch(1_200, timeout=2)  # and does not acknowledge
        assert len(taken) == 1_000
        for number in range(2_000):
            for call in ("CONSUMER.MSG.NEXT.EKTP_FEED.rogue", "CONSUMER.INFO.EKTP_FEED.rogue"):
                await rogue.client.publish(f"{FEED_API}.{call}", b"\xff{" * 50, reply=f"_INBOX.{number}")
            await rogue.client.publish("$JS.ACK.EKTP_FEED.rogue.1.9.9.9.9", b"+NOTHING")
            await rogue.client.publish(f"$JS.ACK.EKTP_FEED.rogue.{number}", b"-NAK {")
        assert [len(await bank.takes(1_000)) for _ in range(2)] == [1_000, 500]
        await backbone.tells(COLLECTED)
        assert await bank.takes() == [f"{COLLECTED} 1501"]
        bank_is, rogue_is = await known(backbone.feed, backbone.server.folder)
        assert (bank_is["name"], bank_is["behind"], bank_is["unacknowledged"]) == ("bank", 0, 0)
        assert (rogue_is["name"], rogue_is["behind"]) == ("rogue", 501)


async def test_others_come_and_go_while_one_waits(backbone: Backbone) -> None:
    async with connected(await backbone.adds("bank")) as bank:
        live, pull = await bank.listens(COLLECTED), await bank.pull()
        waiting = asyncio.create_task(pull.fetch(1, timeout=20))
        await backbone.adds("election")
        await backbone.removes("election")
        await backbone.tells(COLLECTED)
        (message,) = await waiting
        await message.ack_sync()
        assert await bank.takes() == []
        assert await heard(live) == [f"{COLLECTED} 1"]
        assert backbone.reader.connection.stats["reconnects"] == 0


async def test_who_is_removed_is_cut_off_and_refused_and_begins_anew_when_added_again(backbone: Backbone) -> None:
    await backbone.tells(COLLECTED)
    async with connected(given := await backbone.adds("bank")) as bank:
        await bank.takes()
        await backbone.removes("bank")
        async with asyncio.timeout(5):
            while bank.client.is_connected:
                await asyncio.sleep(0.01)
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        async with connected(given):
            pass
    assert await known(backbone.feed, backbone.server.folder) == []
    async with connected(await backbone.adds("bank")) as bank:
        assert await bank.takes() == [f"{COLLECTED} 1"]
    with pytest.raises(nats.errors.Error, match="Authorization Violation"):
        async with connected(given):
            pass


async def test_what_cannot_be_is_refused_and_changes_nothing(backbone: Backbone, folder: DataFolder) -> None:
    await backbone.adds("bank")
    before = subscribers(folder)
    with pytest.raises(SubscriberExists):
        await backbone.adds("bank", ["printed"])
    with pytest.raises(UnknownFeedEvent):
        await backbone.adds("election", ["collected", "born"])
    with pytest.raises(UnknownSubscriber):
        await backbone.removes("election")
    assert subscribers(folder) == before
    with changing(folder) as all_of_them:
        all_of_them |= {f"s{place}": Subscriber(place, "p", []) for place in range(2, PLACES + 1)}
    with pytest.raises(NoPlaceLeft):
        await backbone.adds("election")


async def test_the_file_is_for_its_owner_alone(backbone: Backbone, folder: DataFolder) -> None:
    given = await backbone.adds("bank")
    file = folder.keys / "subscribers.json"
    assert given["password"] in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
