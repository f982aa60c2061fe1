"""What a worker writes: in order, with a promise for each record that all copies have it."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streams.kafka import clients
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import MAX_RECORD_BYTES

LINGER_MS = 5
BATCH_BYTES = 1 << 19
MAX_UNSENT = 4096  # records; beyond it the sender waits

Promise = asyncio.Future[Any]


class Publisher:
    """An idempotent producer: a record is written once and in its place, however often it is tried.

    Args:
        kafka: where.
        base: folder that relative paths start from.
    """

    def __init__(self, kafka: KafkaSettings, base: Path) -> None:
        self._settings = clients.common(kafka, base, client="worker")
        self._unsent: set[Promise] = set()
        self._producer: Any = None
        self.failure: str | None = None

    async def start(self) -> None:
        """Connects."""
        from aiokafka import AIOKafkaProducer

        self._producer = AIOKafkaProducer(
            **self._settings,
            acks="all",
            enable_idempotence=True,
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            max_request_size=MAX_RECORD_BYTES,
        )
        await self._producer.start()

    async def stop(self) -> None:
        """Sends what is left and disconnects."""
        await self._producer.stop()

    async def send(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
    ) -> Promise:
        """Puts a record in line; the promise is kept when all copies have it."""
        while len(self._unsent) >= MAX_UNSENT:
            await asyncio.wait(self._unsent, return_when=asyncio.FIRST_COMPLETED)
        promise: Promise = await self._producer.send(topic, value, key=key, partition=partition)
        self._unsent.add(promise)
        promise.add_done_callback(self._sent)
        return promise

    async def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return len(await self._producer.partitions_for(topic))

    def _sent(self, promise: Promise) -> None:
        self._unsent.discard(promise)
        if not promise.cancelled() and (error := promise.exception()) is not None:
            self.failure = f"a record could not be written: {type(error).__name__}"

    async def arrived(self, promises: Iterable[Promise]) -> None:
        """Waits until all copies have these.

        Raises:
            Exception: why one could not be written.
        """
        for promise in promises:
            await promise
