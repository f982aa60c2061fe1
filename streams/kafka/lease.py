"""One reader at a time: a consumer group whose leader gives every partition to one member.

The others stand by, and one of them takes over when the group's coordinator has not heard of the
holder for the session timeout, or at once when it leaves. A holder that was frozen meanwhile can
commit nothing any more (its generation is over); what it already handed on carries the same ids.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from kafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from kafka.protocol.consumer.metadata import (
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)

VERSION = 0
HOLDER = b"holder"


class OneReader(AbstractPartitionAssignor):  # type: ignore[misc]
    """Gives everything to the member that holds it already, else to the first by name."""

    name = "tripmeter-one"

    def __init__(self) -> None:
        self._holds = False

    def metadata(self, topics: Iterable[str]) -> Any:
        """What this member says when it joins."""
        return ConsumerProtocolSubscription(VERSION, list(topics), HOLDER if self._holds else b"")

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Remembers whether this member holds the lease."""
        self._holds = bool(assignment.partitions())

    def assign(self, cluster: Any, members: Sequence[Any]) -> dict[str, Any]:
        """Member id -> its partitions: all, or none."""
        holder = min(
            members,
            key=lambda member: (
                bytes(member.metadata.user_data or b"") != HOLDER,
                member.group_instance_id or "",
                member.member_id,
            ),
        )
        topics = sorted({topic for member in members for topic in member.metadata.topics})
        everything = [
            (topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics
        ]
        return {
            member.member_id: ConsumerProtocolAssignment(
                VERSION, everything if member is holder else [], b""
            )
            for member in members
        }
