"""Who may say what on the embedded server: its users, their passwords and rights. What is not listed is denied.

Nobody may update, purge, delete or restore a stream, or delete a message; only the writer publishes facts; each user's
replies come to an inbox that the others cannot listen to.

Three accounts, because a right to ask the server anything is a right to choose where it answers, and the server answers
without asking for rights: in one account a subscriber could have an answer "delivered" to a case's subject, into the
journal. Subjects and streams of an account are out of the reach of another; what subscribers may ask is imported one by
one. Applications of the library `eventsourcing` (infra.jetstream) make streams, and rights cannot say `ES_*`: a wildcard
stands for a whole name. So they have an account with streams of its own, where the journal does not exist.
"""

import json
import secrets
from pathlib import Path
from typing import Any, Literal, NamedTuple

from infra.data_folder import DataFolder, write_durably
from infra.folder_errors import FolderDamaged

User = Literal["writer", "reader", "desk", "subscriber", "recorder"]
ACCOUNT = "BACKBONE"  # the server keeps its streams in nats/jetstream/BACKBONE/streams
SUBSCRIBERS = "SUBSCRIBERS"
RECORDERS = "RECORDERS"
FEED_API = "feed.API"  # stands for $JS.API in the subscribers' account: nats-py `jetstream(prefix=...)`

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
# no CONSUMER.CREATE: a push consumer delivers to any subject of the backbone's account; `ektp subscriber add` makes them
_FEED = ["$JS.API.STREAM.INFO.EKTP_FEED", "$JS.API.CONSUMER.INFO.EKTP_FEED.*", "$JS.ACK.EKTP_FEED.>"]
_FEED_PULL = "$JS.API.CONSUMER.MSG.NEXT.EKTP_FEED.*"  # many answers to one request
_FEED_LIVE = "ektp.feed.>"
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
    "writer": ["ektp.>", "cmd.ektp.>", "ask.ektp.*.due", "$JS.API.STREAM.CREATE.EKTP", *_REPLIES, *_READ],
    "reader": ["cmd.ektp.>", *_REPLIES, *_READ],
    "desk": ["cmd.ektp.>", "ask.ektp.>", *_READ],
    "subscriber": [subject.replace("$JS.API", FEED_API) for subject in (*_FEED, _FEED_PULL)],
    "recorder": _RECORD,
}
_SUBSCRIBE = {"writer": ["cmd.ektp.>"], "reader": ["ask.ektp.>"], "subscriber": [_FEED_LIVE]}


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


def accounts(passwords: dict[str, str]) -> dict[str, Any]:
    """The `accounts` block of the server's configuration."""

    def users(*names: User) -> list[dict[str, Any]]:
        return [
            {
                "user": name,
                "password": passwords[name],
                "permissions": {
                    "publish": {"allow": _PUBLISH[name], "deny": _NEVER.get(name, [])},
                    "subscribe": {"allow": [f"_INBOX_{name}.>", *_SUBSCRIBE.get(name, [])]},
                },
            }
            for name in names
        ]

    to = {"accounts": [SUBSCRIBERS]}
    imports = [
        {"service": {"account": ACCOUNT, "subject": subject}, "to": subject.replace("$JS.API", FEED_API)}
        for subject in (*_FEED, _FEED_PULL)
    ]
    return {
        ACCOUNT: {
            "jetstream": "enabled",
            "users": users("writer", "reader", "desk"),
            "exports": [
                *({"service": subject} | to for subject in _FEED),
                {"service": _FEED_PULL, "response_type": "stream"} | to,
                {"stream": _FEED_LIVE} | to,
            ],
        },
        SUBSCRIBERS: {
            "users": users("subscriber"),
            "imports": [*imports, {"stream": {"account": ACCOUNT, "subject": _FEED_LIVE}}],
        },
        RECORDERS: {"jetstream": "enabled", "users": users("recorder")},
    }
