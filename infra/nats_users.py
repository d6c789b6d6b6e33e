"""Who may say what on the embedded server: its users, their passwords and rights. What is not listed is denied.

Nobody may update, purge, delete or restore a stream, or delete a message; only the writer publishes facts; each user's
replies come to an inbox that the others cannot listen to.

Several accounts, because a right to ask the server anything is a right to choose where it answers, and the server answers
without asking for rights: in one account a subscriber could have an answer "delivered" to a case's subject, into the
journal, or to another subscriber. Subjects and streams of an account are out of the reach of another; what subscribers may
ask is imported one by one. So each subscriber has an account of its own, one of a fixed number of places: the server takes
up new users while it runs, new accounts with imports only when it starts (2.15.1 answers them 503, or twice).
Applications of the library `eventsourcing` (infra.jetstream) make streams, and rights cannot say `ES_*`: a wildcard
stands for a whole name. So they have an account with streams of its own, where the journal does not exist.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from infra.data_folder import DataFolder, write_durably
from infra.folder_errors import FolderDamaged
from infra.subscribers import PLACES, Subscriber
from infra.subscribers import user as user_of

User = Literal["writer", "reader", "desk", "recorder"]
ACCOUNT = "BACKBONE"  # the server keeps its streams in nats/jetstream/BACKBONE/streams
SUBSCRIBERS = [f"SUBSCRIBER_{place}" for place in range(1, PLACES + 1)]
RECORDERS = "RECORDERS"
FEED_API = "feed.API"  # stands for $JS.API in a subscriber's account: nats-py `jetstream(prefix=...)`

_REPLIES = ["_INBOX_writer.>", "_INBOX_reader.>", "_INBOX_desk.>"]
_READ = [
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.EKTP",
    "$JS.API.STREAM.MSG.GET.EKTP",
    "$JS.API.DIRECT.GET.EKTP",
    "$JS.API.DIRECT.GET.EKTP.>",
    "$JS.API.CONSUMER.CREATE.EKTP.>",
    "$JS.API.CONSUMER.MSG.NEXT.EKTP.>",
    "$JS.API.CONSUMER.DELETE.EKTP.>",
    "$JS.FC.EKTP.>",
]
_TELL = [  # what keeps the feed, and makes the subscribers' consumers
    "ektp.feed.*.*.*",  # and not `ektp.feed.>`: four words are a subject of the journal
    "$JS.API.STREAM.CREATE.EKTP_FEED",
    "$JS.API.STREAM.INFO.EKTP_FEED",
    "$JS.API.DIRECT.GET.EKTP_FEED",
    "$JS.API.CONSUMER.CREATE.EKTP_FEED.*",
    "$JS.API.CONSUMER.INFO.EKTP_FEED.*",
    "$JS.API.CONSUMER.DELETE.EKTP_FEED.*",
]
_TRY = ["canary.ektp", "$JS.API.STREAM.CREATE.EKTP_CANARY"]  # whether anything can be stored
# no CONSUMER.CREATE: a push consumer delivers to any subject of the backbone's account; `ektp subscriber add` makes them
_FEED = ["$JS.API.CONSUMER.INFO.EKTP_FEED.*", "$JS.ACK.EKTP_FEED.*.>"]
_FEED_PULL = "$JS.API.CONSUMER.MSG.NEXT.EKTP_FEED.*"  # many answers to one request
_FEED_LIVE, _HEARD_AS = "live.ektp.feed.*.*.*", "ektp.feed.*.*.*"  # what the feed's stream says again once it is stored
_RECORD = [
    "es.>",
    "$JS.API.INFO",
    "$JS.API.STREAM.CREATE.*",
    "$JS.API.STREAM.INFO.*",
    "$JS.API.DIRECT.GET.*",
    "$JS.API.CONSUMER.CREATE.*.*",
    "$JS.API.CONSUMER.MSG.NEXT.*.*",
    "$JS.API.CONSUMER.DELETE.*.*",
]
_NEVER = {"recorder": ["$JS.API.STREAM.CREATE.EKTP", "$JS.API.STREAM.CREATE.EKTP_FEED"]}  # one journal in the store

_PUBLISH = {
    "writer": ["ektp.*.*.*", "cmd.ektp.>", "ask.ektp.*.due", "$JS.API.STREAM.CREATE.EKTP", *_REPLIES, *_READ],
    "reader": ["cmd.ektp.>", *_REPLIES, *_READ, *_TELL, *_TRY],
    "desk": ["cmd.ektp.>", "ask.ektp.>", *_READ],
    "recorder": _RECORD,
}
_SUBSCRIBE = {"writer": ["cmd.ektp.>", "$JS.EVENT.ADVISORY.API"], "reader": ["ask.ektp.>"]}


class Credentials(NamedTuple):
    """What a client connects with."""

    user: str
    password: str
    inbox_prefix: bytes


def credentials(folder: DataFolder, user: str) -> Credentials:
    """For one of User. Raises FolderDamaged where no server was ever started, as starting makes the passwords."""
    try:
        password = json.loads((folder.keys / "nats.json").read_bytes())[user]
    except (FileNotFoundError, ValueError):
        raise FolderDamaged(str(folder.path), "keys/nats.json") from None
    return Credentials(user, password, f"_INBOX_{user}".encode())


def recorder_credentials(folder: DataFolder) -> Path:
    """The file that an application of `eventsourcing` is given: its user and password alone, as JSON."""
    return folder.keys / "recorder.json"


def make_passwords(folder: DataFolder) -> dict[str, str]:
    """The password of each user (43 random characters); made where it is missing, and kept. Raises OSError."""
    file = folder.keys / "nats.json"
    kept = json.loads(file.read_bytes()) if file.exists() else {}
    passwords = {user: kept.get(user) or secrets.token_urlsafe(32) for user in _PUBLISH}
    if passwords != kept:
        recorder = {"user": "recorder", "password": passwords["recorder"]}
        write_durably(recorder_credentials(folder), json.dumps(recorder).encode())
        write_durably(file, json.dumps(passwords).encode())
    return passwords


def accounts(passwords: Mapping[str, str], subscribers: Mapping[str, Subscriber]) -> dict[str, Any]:
    """The `accounts` block of the server's configuration."""

    def user(name: User) -> dict[str, Any]:
        heard = [f"_INBOX_{name}.>", *_SUBSCRIBE.get(name, [])]
        return _user(name, passwords[name], _PUBLISH[name], heard, _NEVER.get(name, []))

    to = {"accounts": SUBSCRIBERS}
    imports = [
        *(
            {"service": {"account": ACCOUNT, "subject": subject}, "to": _asked_as(subject)}
            for subject in (*_FEED, _FEED_PULL)
        ),
        {"stream": {"account": ACCOUNT, "subject": _FEED_LIVE}, "to": _HEARD_AS},
    ]
    places: dict[str, dict[str, Any]] = {account: {"imports": imports, "users": []} for account in SUBSCRIBERS}
    for name, one in subscribers.items():
        asked = [_asked_as(subject.replace("*", name)) for subject in (*_FEED, _FEED_PULL)]  # of its own consumer
        rights = _user(user_of(name), one.password, asked, ["_INBOX.>", *one.subjects])
        places[SUBSCRIBERS[one.place - 1]]["users"].append(rights)
    return {
        ACCOUNT: {
            "jetstream": "enabled",
            "users": [user("writer"), user("reader"), user("desk")],
            "exports": [
                *({"service": subject} | to for subject in _FEED),
                {"service": _FEED_PULL, "response_type": "stream"} | to,
                {"stream": _FEED_LIVE} | to,
            ],
        },
        RECORDERS: {"jetstream": "enabled", "users": [user("recorder")]},
    } | places


def _user(name: str, password: str, says: list[str], hears: list[str], never: Sequence[str] = ()) -> dict[str, Any]:
    rights = {"publish": {"allow": says, "deny": list(never)}, "subscribe": {"allow": hears}}
    return {"user": name, "password": password, "permissions": rights}


def _asked_as(subject: str) -> str:
    """How a subscriber says it."""
    return subject.replace("$JS.API", FEED_API)
