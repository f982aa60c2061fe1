"""Fixtures of the whole suite."""

import secrets
from collections.abc import Iterator

import pytest

from streams.kafka.settings import KafkaSettings
from tests.kafka_broker import Broker, running


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A Kafka broker for the tests marked `kafka`."""
    with running() as broker:
        yield broker


@pytest.fixture
def kafka(broker: Broker) -> KafkaSettings:
    """Settings with names that no other test uses, and few shards."""
    return KafkaSettings(
        bootstrap=broker.bootstrap, prefix=f"test-{secrets.token_hex(4)}", shards=2
    )
