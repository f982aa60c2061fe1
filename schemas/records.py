"""What moves beside events and findings: control records, rollups and heartbeats."""

from datetime import datetime
from typing import Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from schemas.finding import Entity


class Control(BaseModel):
    """What an operator decided, as a record in the journal, so that a replay sees it too.

    It applies to findings whose event time lies in [`effective`, `until`). `expected` and
    `exception` hide matching findings (they are counted). `mode`, for records written by hand,
    tells a detector's findings as active, as monitor (reported, never paging) or not at all; a
    detector that the settings turn off for everybody does not run, and stays off.
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


class Excepted(BaseModel):
    """Findings that nobody wants to hear of: all that are named have to match.

    It hides findings whose event time lies before `until`; they are counted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    detector: str | None = Field(None, description="id of a detector")
    entity: str | None = Field(
        None, description="id of a key, session, address ..., as findings show"
    )
    tenant: str | None = None
    owner: str = Field(min_length=1, description="who answers for it")
    reason: str = Field(min_length=1, description="why")
    until: AwareDatetime = Field(description="when it ends")

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if (self.detector, self.entity, self.tenant) == (None, None, None):
            raise ValueError("name a detector, an entity or a tenant: this would hide everything")
        return self


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
