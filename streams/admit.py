"""Which adapted events a sender may write: tenants and clocks, decided before the journal."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from streams.tokens import Token

CLOCK_AHEAD = "clock_ahead"
TENANT_MISMATCH = "tenant_mismatch"
TENANT_MISSING = "tenant_missing"


class _Glance(msgspec.Struct, gc=False):
    timestamp: datetime
    tenant: str | None = msgspec.field(default=None, name="tenant.id")


_glance = msgspec.json.Decoder(_Glance)


@dataclass(frozen=True, slots=True)
class Denied:
    """An event that was understood and is still not accepted."""

    field: str
    reason: str
    raw: bytes
    index: int
    tenant: str | None = None


@dataclass(slots=True)
class Admission:
    """The verdict over one request."""

    events: list[bytes] = field(default_factory=list)
    denied: list[Denied] = field(default_factory=list)


def admit(events: Sequence[bytes], token: Token, observed: datetime, ahead: timedelta) -> Admission:
    """Sorts canonical lines into accepted and denied; fills in the token's default tenant.

    Args:
        observed: this machine's clock when the request came.
        ahead: how far before `observed` an event may claim to be.
    """
    verdict = Admission()
    latest = observed + ahead
    for index, line in enumerate(events):
        seen = _glance.decode(line)
        if seen.timestamp > latest:
            reason = f"{CLOCK_AHEAD}: more than {ahead.total_seconds():g} s in the future"
            verdict.denied.append(Denied("timestamp", reason, line, index))
            continue
        tenant = seen.tenant
        if tenant is None and token.default_tenant is not None:
            tenant = token.default_tenant
            line = _with_tenant(line, tenant)
        if token.may_write(tenant):
            verdict.events.append(line)
        elif tenant is None:
            reason = f"{TENANT_MISSING}: the token writes for named tenants and has no default"
            verdict.denied.append(Denied("tenant.id", reason, line, index))
        else:
            reason = f"{TENANT_MISMATCH}: the token may not write for this tenant"
            verdict.denied.append(Denied("tenant.id", reason, line, index, tenant))
    return verdict


def _with_tenant(line: bytes, tenant: str) -> bytes:
    stated = {"tenant.id": tenant, "tenant.id.source": "token"}
    if b'"tenant.id' in line:  # spelled out as null
        return msgspec.json.encode({**msgspec.json.decode(line), **stated})
    return msgspec.json.encode(stated)[:-1] + b"," + line[1:]
