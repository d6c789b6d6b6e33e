"""FastStream's broker for the services, connected as infra.nats_connection does it. (Apart, because it loads slowly.)"""

from typing import Any

from faststream.nats import NatsBroker
from faststream.security import SASLPlaintext

from infra.data_folder import DataFolder
from infra.nats_connection import OPTIONS
from infra.nats_users import User, credentials


def broker(folder: DataFolder, user: User, url: str, **options: Any) -> NatsBroker:
    """A broker for one of the server's users, not yet started; `options` as of NatsBroker."""
    name, password, inbox_prefix = credentials(folder, user)
    security = SASLPlaintext(name, password)
    return NatsBroker(url, security=security, inbox_prefix=inbox_prefix, logger=None, **OPTIONS, **options)
