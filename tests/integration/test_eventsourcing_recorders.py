"""The library's own test cases for recorders and factories, against a real server. What is overridden, and why: ADR 6."""

import re
import sys
from collections.abc import Iterator
from typing import Any
from unittest import TestCase
from uuid import uuid4

import pytest
from eventsourcing import cryptography
from eventsourcing.persistence import (
    AggregateRecorder,
    ApplicationRecorder,
    InfrastructureFactory,
    NotSupportedError,
    ProcessRecorder,
    TrackingRecorder,
)
from eventsourcing.utils import Environment

from infra.jetstream.factory import JetStreamFactory
from infra.jetstream.recorders import JetStreamAggregateRecorder, JetStreamApplicationRecorder
from tests.recorder_servers import Settings, jetstream, nats_server

# The library has two AES ciphers of one name; its test cases ask for the one on pycryptodome, which we do not install.
sys.modules.setdefault("eventsourcing.cipher", cryptography)
from eventsourcing.tests import persistence as library  # noqa: E402

SETTINGS: Settings = {}


@pytest.fixture(scope="module", autouse=True)
def recorders_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with nats_server(tmp_path_factory.mktemp("recorders") / "data") as server:
        SETTINGS.update(jetstream(server))
        yield


def new_environment() -> Environment:
    """Of an application that nobody has used."""
    return Environment(f"Test{uuid4().hex}", SETTINGS)


def new_factory(case: TestCase) -> InfrastructureFactory[Any]:
    factory = InfrastructureFactory[Any].construct(new_environment())
    case.addCleanup(factory.close)
    return factory


class TestAggregateRecorder(library.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return new_factory(self).aggregate_recorder()


class TestAggregateRecorderForSnapshots(library.AggregateRecorderTestCase):
    def create_recorder(self) -> AggregateRecorder:
        return new_factory(self).aggregate_recorder(purpose="snapshots")


class TestApplicationRecorder(library.ApplicationRecorderTestCase):
    def create_recorder(self) -> ApplicationRecorder:
        return new_factory(self).application_recorder()

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithTextIds(TestApplicationRecorder):
    def new_originator_id(self) -> str:
        return f"desk 1.*>/%é {uuid4()}"


class TestNonInterleavingNotificationIds(library.NonInterleavingNotificationIDsBaseCase):
    def create_recorder(self) -> ApplicationRecorder:
        return new_factory(self).application_recorder()


class TestInfrastructureFactory(library.InfrastructureFactoryTestCase[JetStreamFactory]):
    def setUp(self) -> None:
        self.env = new_environment()
        super().setUp()

    def expected_factory_class(self) -> type[JetStreamFactory]:
        return JetStreamFactory

    def expected_aggregate_recorder_class(self) -> type[AggregateRecorder]:
        return JetStreamAggregateRecorder

    def expected_application_recorder_class(self) -> type[ApplicationRecorder]:
        return JetStreamApplicationRecorder

    # The library's case demands these two; the tests that would ask them are replaced below (ADR 6).
    def expected_tracking_recorder_class(self) -> type[TrackingRecorder]:
        raise NotImplementedError

    tracking_recorder_subclass = expected_tracking_recorder_class

    def expected_process_recorder_class(self) -> type[ProcessRecorder]:
        raise NotImplementedError

    def test_create_tracking_recorder(self) -> None:
        self.env.name = "Overdue"
        with pytest.raises(NotSupportedError, match=re.escape("OVERDUE_PERSISTENCE_MODULE=eventsourcing.sqlite")):
            self.factory.tracking_recorder()

    def test_create_process_recorder(self) -> None:
        self.env.name = "Overdue"
        with pytest.raises(NotSupportedError, match=re.escape("OVERDUE_PERSISTENCE_MODULE=eventsourcing.sqlite")):
            self.factory.process_recorder()
