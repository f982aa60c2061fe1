"""Accepted lines onto the events topic: a sender hears 2xx only when every copy has them.

The journal of the embedded runner and this are the same to the endpoints. While no broker takes
records, appends fail within `APPEND_S` and senders hear 503; what a failed append left with the
producer may still arrive, and is then a redelivery that `event.id` recognises.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from schemas.finding import Finding
from streams.journal import JournalFull
from streams.kafka import clients, invalid
from streams.kafka.records import Headers, finding_key, place, placed_by, shard_of, values
from streams.kafka.settings import MIB, KafkaSettings
from streams.kafka.topics import HEADER_PLACED, HEADER_SOURCE, MAX_RECORD_BYTES, Names
from streams.quarantine import Refused
from streams.seal import Seal

APPEND_S = 10.0  # until a sender is asked to come back, at most
PROBE_S = 2.0  # between two looks whether a broker answers
MAX_WAITING = 1024  # appends at once; more are asked to come back
LINGER_MS = 5  # requests that arrive together share a batch

log = logging.getLogger("tripmeter.ingest")

T = TypeVar("T")


class NotTaken(OSError):
    """No broker took the records in time; the same ones may be sent again."""


class Appender:
    """Writes to the topics from one event loop; `submit` and the rest may be called from anywhere.

    Args:
        base: folder that relative paths start from.
        seal: encrypts rejected originals.
    """

    def __init__(self, kafka: KafkaSettings, base: Path, seal: Seal) -> None:
        self._kafka = kafka
        self._patience_s = min(APPEND_S, kafka.request_timeout_s)
        self._base = base
        self._seal = seal
        self._names = Names(kafka.prefix)
        self._producer: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._away_since: float | None = None
        self._probe: asyncio.Task[None] | None = None
        self.failure: str | None = None

    async def start(self) -> None:
        """Connects.

        Raises:
            BrokerAway: no broker answered.
        """
        from aiokafka import AIOKafkaProducer
        from aiokafka.errors import KafkaError

        self._loop = asyncio.get_running_loop()
        self._producer = AIOKafkaProducer(
            **clients.common(self._kafka, self._base, client="ingest"),
            acks="all",
            enable_idempotence=True,
            compression_type="lz4",
            linger_ms=LINGER_MS,
            max_batch_size=MIB,
            max_request_size=MAX_RECORD_BYTES,
        )
        try:
            async with asyncio.timeout(self._kafka.request_timeout_s):
                await self._producer.start()
        except (KafkaError, TimeoutError) as error:
            await self._producer.stop()
            raise clients.away(self._kafka, error) from None
        self._probe = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """Sends what waits, for at most `APPEND_S`, and disconnects."""
        if self._probe is not None:
            self._probe.cancel()
        try:
            async with asyncio.timeout(self._patience_s):
                await self._producer.stop()
        except TimeoutError:
            log.warning("not everything was sent; its senders were told so")

    @property
    def away_s(self) -> float:
        """Seconds since a broker last answered; 0 while it does."""
        return 0.0 if self._away_since is None else time.monotonic() - self._away_since

    @property
    def waiting(self) -> int:
        """Appends that no broker has taken yet."""
        return self._waiting

    def submit(self, source: str, lines: Sequence[bytes]) -> "Future[None]":
        """Appends lines; the future ends when every copy has them.

        Raises (from the future):
            JournalFull: no broker took all of them in time.
        """
        if self._waiting >= MAX_WAITING:
            done: Future[None] = Future()
            done.set_exception(JournalFull("too many requests are waiting for the broker"))
            return done
        return self._run(self._append(source, lines))

    def add(self, refused: Refused) -> None:
        """Puts one rejected original on its topic.

        Raises:
            NotTaken: no broker took it in time. Never call it in the event loop.
        """
        self.add_all([refused])

    def add_all(self, refused: Sequence[Refused]) -> None:
        """Puts rejected originals on their topic; raises as `add`."""
        now = time.time()
        rows = [invalid.encode(item, self._seal, now) for item in refused]
        keys = [invalid.decode(row).id.encode() for row in rows]
        self._wait(self._send_all(self._names.invalid, zip(keys, rows, strict=True)))

    def record(self, findings: Sequence[Finding]) -> None:
        """Publishes findings; raises as `add`."""
        rows = [(finding_key(finding), finding.to_json()) for finding in findings]
        self._wait(self._send_all(self._names.findings, rows))

    def _run(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        if self._loop is None:
            raise RuntimeError("start() comes first")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            self._run(work).result()
        except JournalFull as error:
            raise NotTaken(str(error)) from None

    async def _append(self, source: str, lines: Sequence[bytes]) -> None:
        topic = self._names.events
        partitions = len(await self._partitions(topic))
        headers: Headers = [
            (HEADER_SOURCE, source.encode(errors="replace")),
            (HEADER_PLACED, placed_by(partitions)),
        ]
        await self._all(
            [
                self._producer.send(topic, value, partition=partition, headers=headers)
                for partition, placed in place(lines, partitions).items()
                for value in values(placed)
            ]
        )

    async def _send_all(self, topic: str, rows: Any) -> None:
        partitions = len(await self._partitions(topic))
        await self._all(
            [
                self._producer.send(
                    topic, value, key=key, partition=shard_of(key.decode(), partitions)
                )
                for key, value in rows
            ]
        )

    async def _partitions(self, topic: str) -> set[int]:
        from aiokafka.errors import KafkaError

        try:
            async with asyncio.timeout(self._patience_s):
                found: set[int] = await self._producer.partitions_for(topic)
        except (KafkaError, TimeoutError) as error:
            raise self._failed(error) from None
        return found

    async def _all(self, sends: Sequence[Coroutine[Any, Any, Any]]) -> None:
        """Hands records over in order, then waits until every copy has every one."""
        from aiokafka.errors import KafkaError

        self._waiting += 1
        left = list(sends)
        try:
            async with asyncio.timeout(self._patience_s):
                taken = []
                while left:
                    taken.append(await left.pop(0))
                await asyncio.gather(*taken)
        except (KafkaError, TimeoutError) as error:
            raise self._failed(error) from None
        finally:
            self._waiting -= 1
            for send in left:
                send.close()
        self._away_since = None

    def _failed(self, error: BaseException) -> JournalFull:
        from aiokafka.errors import OutOfOrderSequenceNumber, ProducerFenced

        if self._away_since is None:
            self._away_since = time.monotonic()
        if isinstance(error, OutOfOrderSequenceNumber | ProducerFenced):
            self.failure = f"the producer cannot go on ({type(error).__name__})"
        return JournalFull(f"no broker took it: {type(error).__name__}")

    async def _look(self) -> None:
        """Notices a broker that is away while nobody sends, and that it is back."""
        while True:
            try:
                async with asyncio.timeout(PROBE_S):
                    reached = await self._producer.client.force_metadata_update()
            except TimeoutError:
                reached = False
            if reached:
                self._away_since = None
            elif self._away_since is None:
                self._away_since = time.monotonic()
            await asyncio.sleep(PROBE_S)
