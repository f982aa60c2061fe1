"""What the core is told, and what it gives back."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator

from schemas.finding import Finding
from schemas.identity import FINGERPRINT
from schemas.records import Excepted, Heartbeat, Rollup

Mode = Literal["active", "monitor", "off"]


class CoreSettings(BaseModel):
    """What decides findings; its fingerprint is part of every finding's provenance."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    alert_budget: float = Field(0.5, gt=0, le=1000, description="false alerts per key-month")
    lateness_s: int = Field(60, ge=1, le=240, description="how late an event may come, seconds")
    max_keys: int = Field(1_000_000, ge=64, description="keys per lane")
    max_pairs: int = Field(4_000_000, ge=1024, description="(key, value) pairs remembered")
    modes: dict[str, Mode] = Field({}, description="detector -> mode")
    tenants: dict[str, dict[str, Mode]] = Field(
        {}, description="tenant -> detector -> mode, instead of the detector's own"
    )
    exceptions: tuple[Excepted, ...] = Field((), description="findings nobody wants to hear of")
    support: frozenset[str] = Field(
        frozenset(), description="users, keys or tenants that may act in several tenants"
    )
    canaries: frozenset[str] = Field(
        frozenset(), description="what was planted to be stolen: keys, records, addresses, texts"
    )
    revoked: dict[str, AwareDatetime] = Field(
        {}, description="key -> when it was revoked, after which nobody may use it"
    )
    reconcile_usage: bool = Field(
        False, description="compare providers' usage reports with the calls that were seen"
    )
    prices: str = Field("", description="date of the price table")

    @field_validator("canaries", "revoked", mode="before")
    @classmethod
    def _fingerprints(cls, keys: Any) -> Any:
        listed = keys if isinstance(keys, dict | list | frozenset | set | tuple) else ()
        if not all(isinstance(key, str) and FINGERPRINT.fullmatch(key) for key in listed):
            raise ValueError("write keys as events show them: hmac: and 16 hexadecimal digits")
        return keys

    def asked(self, detector: str) -> bool:
        """Whether a detector is on for anybody."""
        modes = [self.modes.get(detector, "active")]
        modes += [own[detector] for own in self.tenants.values() if detector in own]
        return modes != ["off"] * len(modes)

    def fingerprint(self) -> str:
        """Equal settings give equal fingerprints; new prices change no habit."""
        sets = {"support", "modes", "tenants", "canaries", "revoked"}  # written in order below
        text = self.model_dump_json(exclude=sets | {"prices"})
        modes = "\0".join(f"{name}={mode}" for name, mode in sorted(self.modes.items()))
        text += modes + "\0\0" + "\0".join(sorted(self.support))
        for tenant, own in sorted(self.tenants.items()):
            text += f"\0tenant={tenant!r}{sorted(own.items())}"
        for key in sorted(self.canaries):
            text += f"\0canary={key}"
        for key, since in sorted(self.revoked.items()):
            text += f"\0revoked={key}@{since.timestamp()}"
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


@dataclass(slots=True)
class Stats:
    """What became of every line: `events = judged + late + duplicates + merged + held`."""

    events: int = 0
    judged: int = 0
    late: int = 0
    duplicates: int = 0
    conflicts: int = 0
    merged: int = 0
    rejected: int = 0
    controls: int = 0
    held: int = 0
    hidden: int = 0
    open_windows: int = 0
    closed_windows: int = 0
    lane_visits: int = 0
    evicted_keys: int = 0
    refused_keys: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """Which events of a block are neither late nor redelivered, for others that judge them too.

    Attributes:
        rows: their places in the block, ascending.
        added: which of them only add to a call told of before.
        columns: of all events of the block.
    """

    rows: npt.NDArray[np.int64]
    added: npt.NDArray[np.bool_]
    columns: Any


@dataclass(frozen=True, slots=True)
class Rejection:
    """A line that is not an event we can judge."""

    position: int
    field: str
    reason: str
    raw: bytes


@dataclass(slots=True)
class Output:
    """What a block brought to light."""

    findings: list[Finding] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    rollups: list[Rollup] = field(default_factory=list)
    heartbeats: list[Heartbeat] = field(default_factory=list)
    kept: Kept | None = None
