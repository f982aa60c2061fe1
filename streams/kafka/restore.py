"""Reads the state topic: what was left of shards and routers by whoever had them before."""

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from streams.kafka import clients
from streams.kafka.chunks import Recovery
from streams.kafka.settings import KafkaSettings
from streams.kafka.topics import Names

POLL_MS = 500
STALLED_S = 30.0


class StateUnreadable(Exception):
    """The state topic did not answer in time; the worker must end, not begin without its state."""


def shard_name(lane: str, number: int) -> str:
    """How the state topic calls a shard."""
    return f"{lane}/{number}"


def router_key(partition: int) -> bytes:
    """Where a router's state is: one record, for it is small."""
    return f"route/{partition}".encode()


class Reader:
    """Reads the state of some shards and routers.

    Args:
        shards: how many each lane has; also the partitions of the state topic.
    """

    def __init__(self, kafka: KafkaSettings, base: Path, shards: int) -> None:
        self._kafka, self._base, self._shards = kafka, base, shards
        self._topic = Names(kafka.prefix).state
        self.records = 0

    async def read(
        self, lanes: Iterable[tuple[str, int]], routers: Collection[int]
    ) -> tuple[dict[str, Recovery], dict[int, bytes]]:
        """What there is of these shards, by name, and of these routers.

        Raises:
            StateUnreadable: no answer.
        """
        found = {shard_name(*one): Recovery() for one in lanes}
        states: dict[int, bytes] = {}
        wanted = {int(name.partition("/")[2]) for name in found}
        wanted |= {number % self._shards for number in routers}
        if not wanted:
            return found, states
        from aiokafka import AIOKafkaConsumer, TopicPartition

        consumer = AIOKafkaConsumer(
            **clients.common(self._kafka, self._base, client="restore"),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=8 << 20,
        )
        await consumer.start()
        try:
            parts = [TopicPartition(self._topic, number) for number in sorted(wanted)]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            await consumer.seek_to_beginning(*parts)
            await self._until(consumer, ends, found, states)
        finally:
            await consumer.stop()
        return found, {number: state for number, state in states.items() if number in routers}

    async def _until(
        self,
        consumer: Any,
        ends: dict[Any, int],
        found: dict[str, Recovery],
        states: dict[int, bytes],
    ) -> None:
        loop = asyncio.get_running_loop()
        moved = loop.time()
        left = {part for part, end in ends.items() if end > 0}
        while left:
            for records in (await consumer.getmany(timeout_ms=POLL_MS)).values():
                moved = loop.time()
                for record in records:
                    self._take(record.key or b"", record.value, found, states)
            for part in list(left):
                if await consumer.position(part) >= ends[part]:
                    left.discard(part)
            if loop.time() - moved > STALLED_S:
                raise StateUnreadable(f"{self._topic}: nothing came for {STALLED_S:.0f} s")

    def _take(
        self,
        key: bytes,
        value: bytes | None,
        found: dict[str, Recovery],
        states: dict[int, bytes],
    ) -> None:
        self.records += 1
        name = key.decode(errors="replace")
        if name.startswith("route/"):
            number = name.removeprefix("route/")
            if number.isdigit() and value is not None:
                states[int(number)] = value
            return
        recovery = found.get("/".join(name.split("/")[:2]))
        if recovery is not None:
            recovery.feed(key, value)
