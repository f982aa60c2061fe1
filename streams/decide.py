"""Hands what operators decide to the core: into the journal, or into the `control` topic."""

from collections.abc import Callable
from pathlib import Path

from schemas.records import Control
from streams.journal import Journal, Limits
from streams.settings import DAY_S, Settings

OPERATOR = "operator"  # the journal's source of control records; no sender can have this name

Emit = Callable[[Control], None]


def into_journal(journal: Journal) -> Emit:
    """For the process that has the journal open; returns when the record is on the disk."""

    def emit(control: Control) -> None:
        journal.append(OPERATOR, [control.model_dump_json().encode()])

    return emit


def from_outside(data: Path, settings: Settings) -> Emit:
    """For a command beside a running process, or without one.

    The journal of the data directory gets the record (a running `serve` judges it now, another when
    it starts); without a journal, and with `kafka.bootstrap` set, the topic.
    """
    used = "bootstrap" in settings.kafka.model_fields_set
    if used and not (data / "journal.db").exists():
        return _into_topic(settings)

    def emit(control: Control) -> None:
        kept = settings.journal
        limits = Limits(kept.max_bytes, kept.keep_bytes, kept.keep_days * DAY_S)
        journal = Journal(data / "journal.db", limits)
        try:
            into_journal(journal)(control)
        finally:
            journal.close()

    return emit


def _into_topic(settings: Settings) -> Emit:
    def emit(control: Control) -> None:
        from streams.kafka import clients
        from streams.kafka.topics import Names

        producer = clients.producer(settings.kafka, settings.base, client="decide")
        try:
            topic = Names(settings.kafka.prefix).control
            sent = producer.send(topic, control.model_dump_json().encode())
            sent.get(timeout=settings.kafka.request_timeout_s)
        finally:
            producer.close()

    return emit
