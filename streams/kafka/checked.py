"""What `tripmeter check` says about `[kafka]` without asking a broker: secrets and certificates."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from streams.configuration import BadConfig, Problem
from streams.kafka import clients, installation
from streams.kafka.settings import KafkaSettings
from streams.seal import QuarantineLocked, Seal
from streams.settings import Settings


def kafka_problems(settings: Settings) -> list[Problem]:
    """Files and variables that are named and cannot be used."""
    kafka, base = settings.kafka, settings.base
    looks: list[Callable[[], Any]] = [lambda: clients.common(kafka, base)]
    if kafka.pepper_file:
        looks.append(lambda: installation.find_pepper(kafka, base, base))
    if kafka.invalid_key_file:
        looks.append(lambda: _key(kafka, base))
    problems: list[Problem] = []
    for look in looks:
        try:
            look()
        except BadConfig as error:
            problems += map(_problem, str(error).splitlines())
    return problems


def _key(kafka: KafkaSettings, base: Path) -> None:
    path = base / (kafka.invalid_key_file or "")
    try:
        Seal.read(path)
    except (QuarantineLocked, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise BadConfig([f"kafka.invalid_key_file: {reason}; `openssl rand 32` makes one"]) \
            from None  # fmt: skip


def _problem(line: str) -> Problem:
    where, _, rest = line.partition(": ")
    reason, _, remedy = rest.rpartition("; ")
    return Problem(tuple(where.split(".")), reason, remedy)
