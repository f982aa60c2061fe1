"""What moves beside events and findings: control records, rollups and heartbeats."""

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue

from schemas.finding import Entity


class Control(BaseModel):
    """What an operator decided, as a record in the journal, so that a replay sees it too.

    It applies to findings whose event time lies in [`effective`, `until`). `expected` and
    `exception` hide matching findings (they are counted); `mode` turns a detector active, to
    monitor (reported, never paging) or off.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record: Literal["control"] = "control"
    id: str
    action: Literal["expected", "exception", "mode"]
    detector: str | None = Field(None, description="null means every detector")
    entity: Entity | None = Field(None, description="null means every entity")
    tenant: str | None = None
    mode: Literal["active", "monitor", "off"] | None = None
    owner: str
    reason: str
    effective: AwareDatetime
    until: AwareDatetime | None = None


class Rollup(BaseModel):
    """One closed window of one key: what was used, and what is usual."""

    model_config = ConfigDict(frozen=True)

    record: Literal["rollup"] = "rollup"
    entity: Entity
    tenant: str | None
    start: datetime
    end: datetime
    totals: dict[str, int]
    usual: dict[str, tuple[float, float]] = Field(description="feature -> low and high of the band")
    cost_usd: float


class Heartbeat(BaseModel):
    """A sign of life of one source, or of the pipeline itself."""

    model_config = ConfigDict(frozen=True)

    record: Literal["heartbeat"] = "heartbeat"
    source: str
    time: datetime = Field(description="event time of the pipeline")
    last_event: datetime | None
    events: int
    lag_s: float
    detail: dict[str, JsonValue] = {}
