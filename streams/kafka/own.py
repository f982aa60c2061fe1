"""Findings of workers about themselves: what is gone, and what could not be judged."""

from datetime import datetime

from pydantic import JsonValue

from schemas.event import SCHEMA_VERSION
from schemas.finding import Entity, Finding, Provenance, Severity, finding_id


def records_gone(topic: str, partition: int, first: int, end: int, now: datetime) -> Finding:
    """Records left their topic before they were judged."""
    return _health(
        "topic-gap",
        "Events left their topic before they were judged",
        f"{topic}/{partition}",
        (first, end),
        f"Records {first} to {end - 1} of {topic}, partition {partition}, were gone before they"
        " were judged.",
        {"topic": topic, "partition": partition, "first": first, "lost": end - first},
        (
            "See how far the workers are behind (`tripmeter lag`) and why; add workers.",
            "Raise retention of the topic until they keep up.",
            "Replay the senders' own records of that time with `tripmeter replay`.",
        ),
        now,
    )


def source_skipped(lane: str, shard: int, times: int, now: datetime) -> Finding:
    """What a source sent to a shard did not join up."""
    return _health(
        "lane-gap",
        "Events between a router and a shard are missing",
        f"{lane}/{shard}",
        (times,),
        f"Shard {shard} of the lane {lane} was sent records that do not join up, {times} times.",
        {"lane": lane, "shard": shard, "times": times},
        (
            "See whether records of the lane's topic were deleted, or the state topic was.",
            "Replay the time in question with `tripmeter replay --from-topic`.",
        ),
        now,
    )


def event_set_aside(lane: str, shard: int, place: str, error: str, now: datetime) -> Finding:
    """An event made a detector fail; it was set aside, and its shard goes on."""
    return _health(
        "event-set-aside",
        "An event could not be judged",
        f"{lane}/{shard}",
        (place,),
        f"An event made judging fail ({error}); it was set aside and judging went on without it.",
        {"lane": lane, "shard": shard, "place": place, "error": error},
        (
            "The original is on the topic of rejected originals, encrypted.",
            "Report the error: no event may do this.",
        ),
        now,
    )


def _health(
    detector: str,
    title: str,
    entity: str,
    parts: tuple[str | int, ...],
    summary: str,
    evidence: dict[str, JsonValue],
    runbook: tuple[str, ...],
    now: datetime,
) -> Finding:
    named = Entity(lane="service", id=entity)
    return Finding(
        id=finding_id(detector, named, *parts),
        final=True,
        detector=detector,
        title=title,
        family="health",
        entity=named,
        tenant=None,
        time=now,
        since=now,
        severity=Severity.HIGH,
        probability=None,
        summary=summary,
        evidence=evidence,
        cost_usd=None,
        runbook=runbook,
        provenance=Provenance(
            detector_version="1", settings="", prices="", state=SCHEMA_VERSION, position=0
        ),
    )
