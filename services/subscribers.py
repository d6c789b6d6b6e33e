"""Subscribers of the feed: given a place on the server and a consumer of their own, while the backbone runs.

Whatever one does, it reaches nobody else: its account holds nothing but its consumer and what it may hear. The consumer
is ours to make; it holds how far the subscriber has come, so it goes on there after a crash or a week away.
"""

import asyncio
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import nats.errors
from nats.aio.client import Client

from events.feed import EVENTS, filter_subject
from events.offices import office as known_office
from events.problem import Problem
from infra.data_folder import DataFolder
from infra.journal import Journal
from infra.journal_errors import JournalBusy, JournalRefused
from infra.nats_server import reload
from infra.nats_users import FEED_API
from infra.subscribers import PLACES, Subscriber, changing, subscribers, user
from projections.feed import STREAM

_NAME = re.compile("[a-z][a-z0-9-]{0,31}")
_UNACKNOWLEDGED_MAX = 1_000  # what one may have taken without a word: bounds what the server keeps of it in memory
_RELOAD_S_MAX = 10.0
_NO_STREAM, _NO_CONSUMER = 10059, 10014


@dataclass(eq=False)
class InvalidSubscriberName(Problem):
    """Not a name for a subscriber; nobody was added."""

    code: ClassVar[str] = "invalid_subscriber_name"
    sentence_id: ClassVar[str] = (
        "Nama pelanggan: huruf kecil, angka dan tanda hubung, paling banyak 32. Belum ada yang dibuat."
    )
    sentence_en: ClassVar[str] = "A subscriber's name is of small letters, digits and hyphens, 32 at most. Nobody was added."


@dataclass(eq=False)
class SubscriberExists(Problem):
    """One of this name is there; nothing was changed."""

    name: str
    code: ClassVar[str] = "subscriber_exists"
    status: ClassVar[int] = 409
    sentence_id: ClassVar[str] = "Pelanggan {name} sudah ada; tidak ada yang diubah. Hapus dahulu: ektp subscriber remove."
    sentence_en: ClassVar[str] = (
        "There is a subscriber {name}; nothing was changed. Remove it first: ektp subscriber remove."
    )


@dataclass(eq=False)
class UnknownSubscriber(Problem):
    """None of this name is there; nobody was removed."""

    name: str
    code: ClassVar[str] = "unknown_subscriber"
    status: ClassVar[int] = 404
    sentence_id: ClassVar[str] = "Pelanggan {name} tidak ada. Lihat: ektp subscriber list."
    sentence_en: ClassVar[str] = "There is no subscriber {name}. See: ektp subscriber list."


@dataclass(eq=False)
class UnknownFeedEvent(Problem):
    """The feed has no such event; nobody was added."""

    events: str  # that it has
    code: ClassVar[str] = "unknown_feed_event"
    sentence_id: ClassVar[str] = "Kejadian itu tidak ada; belum ada yang dibuat. Yang ada: {events}."
    sentence_en: ClassVar[str] = "The feed has no such event; nobody was added. It has: {events}."


@dataclass(eq=False)
class NoPlaceLeft(Problem):
    """All places for subscribers are taken; nobody was added."""

    places: int
    code: ClassVar[str] = "no_place_left"
    status: ClassVar[int] = 409
    sentence_id: ClassVar[str] = "Semua {places} tempat pelanggan terpakai; belum ada yang dibuat. Hapus satu dahulu."
    sentence_en: ClassVar[str] = "All {places} places for subscribers are taken; nobody was added. Remove one first."


async def add(feed: Journal, folder: DataFolder, url: str, name: str, events: Sequence[str], office: str) -> dict[str, Any]:
    """Let `name` have these events of an office, or of `all`; returns what it connects with. `feed`: as the reader.

    Raises InvalidSubscriberName, SubscriberExists, UnknownFeedEvent, UnknownOffice, NoPlaceLeft, and the journal's errors.
    """
    if not _NAME.fullmatch(name):
        raise InvalidSubscriberName
    if not events or set(events) - set(EVENTS):
        raise UnknownFeedEvent(", ".join(EVENTS))
    place_name = "*" if office == "all" else known_office(office).code
    subjects = [filter_subject(event, place_name) for event in dict.fromkeys(events)]
    with changing(folder) as known:
        if name in known:
            raise SubscriberExists(name)
        free = set(range(1, PLACES + 1)) - {one.place for one in known.values()}
        if not free:
            raise NoPlaceLeft(PLACES)
        known[name] = one = Subscriber(min(free), secrets.token_urlsafe(32), subjects)
    await _consumer(feed, "DELETE", name)  # of one that was removed in part
    await feed.create()
    config = {
        "durable_name": name,
        "filter_subjects": subjects,
        "ack_policy": "explicit",
        "deliver_policy": "all",
        "max_ack_pending": _UNACKNOWLEDGED_MAX,
    }
    await feed.api(f"CONSUMER.CREATE.{STREAM}.{name}", {"stream_name": STREAM, "config": config, "action": "create"})
    await _reload(folder, url, name, one, welcome=True)
    return {
        "url": url,
        "user": user(name),
        "password": one.password,
        "api_prefix": FEED_API,
        "stream": STREAM,
        "consumer": name,
        "subjects": subjects,
    }


async def remove(feed: Journal, folder: DataFolder, url: str, name: str) -> None:
    """It is cut off and refused from now on, and how far it had come is forgotten. Raises as `add`, UnknownSubscriber."""
    with changing(folder) as known:
        one = known.pop(name, None)
        if one is None:
            raise UnknownSubscriber(name)
    await _reload(folder, url, name, one, welcome=False)
    await _consumer(feed, "DELETE", name)


async def known(feed: Journal, folder: DataFolder) -> list[dict[str, Any]]:
    """Every subscriber: what it hears, how many messages it has not taken, how many taken ones not acknowledged."""
    found = []
    for name, one in sorted(subscribers(folder).items()):
        consumer = await _consumer(feed, "INFO", name) or {}  # none: it was added, or is being added, in part
        waiting = {"behind": consumer.get("num_pending"), "unacknowledged": consumer.get("num_ack_pending")}
        found.append({"name": name, "subjects": one.subjects} | waiting)
    return found


async def _consumer(feed: Journal, call: str, name: str) -> dict[str, Any] | None:
    """INFO or DELETE of a subscriber's consumer; None where there is none."""
    try:
        return await feed.api(f"CONSUMER.{call}.{STREAM}.{name}", None)
    except JournalRefused as refused:
        if refused.err_code in {_NO_STREAM, _NO_CONSUMER}:
            return None
        raise


async def _reload(folder: DataFolder, url: str, name: str, one: Subscriber, welcome: bool) -> None:
    """Have the server take it up, and see that it did. Raises JournalBusy after 10 s."""
    reload(folder, int(url.rpartition(":")[2]))
    try:
        async with asyncio.timeout(_RELOAD_S_MAX):
            while await _is_let_in(url, name, one) != welcome:  # noqa: ASYNC110 (the server tells nobody)
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise JournalBusy(_RELOAD_S_MAX, "unknown") from None


async def _is_let_in(url: str, name: str, one: Subscriber) -> bool:
    client = Client()

    async def unheard(_: Exception) -> None:
        """nats-py prints tracebacks without this."""

    try:
        await client.connect(url, user=user(name), password=one.password, error_cb=unheard, allow_reconnect=False)
    except (nats.errors.Error, OSError):
        return False
    else:
        return True
    finally:
        await client.close()
