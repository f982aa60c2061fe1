"""What each process may do on the brokers, and no more: the rules (ACLs) for its user.

Where the brokers check rights, `tripmeter topics --create --grant ROLE=USER` makes them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from streams.kafka.topics import Names

Kind = Literal["TOPIC", "GROUP"]
ROLES = ("ingest", "worker", "deliver", "sender")


@dataclass(frozen=True, slots=True)
class Grant:
    """One right on one topic or group."""

    kind: Kind
    name: str
    operation: str


def grants(role: str, names: Names) -> tuple[Grant, ...]:
    """The rights of a process, or of a `sender` that writes events itself.

    Raises:
        KeyError: no such role, see `ROLES`.
    """
    reads: Mapping[str, tuple[str, ...]] = {
        "ingest": (names.installation,),
        "worker": (names.installation, names.events, *names.lanes, names.state, names.control),
        "deliver": (names.installation, names.findings, names.rollups, names.health),
        "sender": (),
    }
    writes: Mapping[str, tuple[str, ...]] = {
        "ingest": (names.installation, names.events, names.invalid, names.findings),
        "worker": (
            names.installation, *names.lanes, names.state, names.findings, names.rollups,
            names.health, names.invalid,
        ),
        "deliver": (names.installation,),
        "sender": (names.events,),
    }  # fmt: skip
    looks: Mapping[str, tuple[str, ...]] = {  # at positions, for the lag
        "ingest": (),
        "worker": (),
        "deliver": (names.events, *names.lanes, names.control),
        "sender": (),
    }
    joins = {"worker": (names.worker_group,), "deliver": (names.deliver_group,)}
    found = [Grant("TOPIC", name, "READ") for name in reads[role]]
    found += [Grant("TOPIC", name, "WRITE") for name in writes[role]]
    found += [Grant("TOPIC", name, "DESCRIBE") for name in looks[role]]
    found += [Grant("GROUP", name, "READ") for name in joins.get(role, ())]
    if role == "deliver":
        found.append(Grant("GROUP", names.worker_group, "DESCRIBE"))
    return tuple(found)


def parse(text: str) -> tuple[str, str]:
    """`ROLE=USER` as a pair.

    Raises:
        ValueError: what is wrong with it.

    >>> parse("ingest=gateway")
    ('ingest', 'gateway')
    """
    role, equals, user = text.partition("=")
    if role not in ROLES or not equals or not user:
        raise ValueError(f"write it as ROLE=USER; roles are {', '.join(ROLES)}")
    return role, user


def make(admin: Any, names: Names, wanted: Iterable[tuple[str, str]]) -> int:
    """Gives users their rights, from any host; gives how many rules were asked for.

    Raises:
        KafkaError: the brokers refuse, for example because they check no rights.
    """
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        ResourcePattern,
        ResourceType,
    )
    from kafka.errors import KafkaError

    rules = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=ACLOperation[grant.operation],
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(ResourceType[grant.kind], grant.name),
        )
        for role, user in wanted
        for grant in grants(role, names)
    ]
    answer = admin.create_acls(rules) if rules else {"failed": []}
    for _, error in answer["failed"]:
        raise error if isinstance(error, KafkaError) else KafkaError(str(error))
    return len(rules)
