"""What the library asks for recorders when PERSISTENCE_MODULE is infra.jetstream, and its settings.

EKTP_NATS_URL     the server, such as nats://127.0.0.1:4222
EKTP_NATS_CREDS   a JSON file `{"user": …, "password": …}`; a backbone writes one: keys/recorder.json

As every setting of the library, each may be given for one application alone: <APPLICATION>_EKTP_NATS_URL.
"""

import json
from pathlib import Path
from typing import NoReturn

import structlog
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    NotSupportedError,
    TrackingRecorder,
)
from eventsourcing.utils import Environment, EnvType

from infra.jetstream.link import Link
from infra.jetstream.recorders import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from infra.logs import configure_logs


class JetStreamFactory(InfrastructureFactory[TrackingRecorder]):
    """One connection, and recorders that share it."""

    EKTP_NATS_URL = "EKTP_NATS_URL"
    EKTP_NATS_CREDS = "EKTP_NATS_CREDS"

    def __init__(self, env: Environment | EnvType | None) -> None:
        """Raises OSError for a missing setting or file, as the library's own modules do; InterfaceError without a server."""
        super().__init__(env)
        url, file = self._setting(self.EKTP_NATS_URL), Path(self._setting(self.EKTP_NATS_CREDS))
        try:
            credentials = json.loads(file.read_bytes())
            user, password = str(credentials["user"]), str(credentials["password"])
        except (ValueError, KeyError, TypeError):
            raise OSError(f'{file} should hold {{"user": …, "password": …}}') from None
        if not structlog.is_configured():  # else it would print debugging lines into the application's output
            configure_logs()
        self._link = Link(url, user, password)

    def _setting(self, name: str) -> str:
        value = self.env.get(name)
        if not value:
            raise OSError(f"not found in the environment: {' or '.join(self.env.create_keys(name))}")
        return value

    def aggregate_recorder(self, purpose: str = "events") -> AggregateRecorder:
        return JetStreamAggregateRecorder(self._link, self.env.name, purpose)

    def application_recorder(self) -> ApplicationRecorder:
        return JetStreamApplicationRecorder(self._link, self.env.name)

    def tracking_recorder(self, tracking_recorder_class: type[TrackingRecorder] | None = None) -> NoReturn:
        """A view and the position that it has reached are one transaction of its own database."""
        raise NotSupportedError(_IN_SQL.format(name=self.env.name.upper() or "<NAME OF THE PROJECTION>"))

    def process_recorder(self) -> NoReturn:
        """Events and the position in the sequence that they follow from are one transaction of one database."""
        raise NotSupportedError(_IN_SQL.format(name=self.env.name.upper() or "<NAME OF THE APPLICATION>"))

    def close(self) -> None:
        self._link.close()


_IN_SQL = (
    "infra.jetstream stores events, not positions in other applications' sequences: these must change together with what "
    "follows from them. Use a SQL database there: {name}_PERSISTENCE_MODULE=eventsourcing.sqlite or eventsourcing.postgres"
)

Factory = JetStreamFactory
