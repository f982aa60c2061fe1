"""What happened: one model call, tool call or control-plane action, as one flat record.

The pydantic model is the single source of truth: the JSON Schema, the messages for rejected
records and the fast decoder (`schemas.decode`) are all derived from it. Keys are OpenTelemetry
attribute names where one exists. `None` means unknown, `0` means known zero. Cached input is part
of the input tokens, reasoning is part of the output tokens.

Prompts, completions, arguments, results, e-mail addresses and raw keys have no field here.
"""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

import msgspec
from annotated_types import Ge, Le, MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails

SCHEMA_VERSION = "1.0"
MAX_IDENTIFIER = 256  # characters
MAX_TEXT = 1024  # characters
MAX_COUNT = 2**40  # tokens, bytes or requests in one event
MAX_COST_USD = 1e5  # dollars in one event; 92 000 of them still fit one window's total
MAX_DURATION_MS = 1e10  # 115 days
MAX_LIST = 64  # members of one list field

AwareTimestamp = Annotated[datetime, msgspec.Meta(tz=True)]


def rfc3339(value: Any) -> Any:
    """Reads an RFC 3339 instant exactly as the fast decoder does (microseconds, zone required)."""
    if isinstance(value, datetime):
        return value
    try:
        return msgspec.convert(value, AwareTimestamp)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None


Identifier = Annotated[str, MinLen(1), MaxLen(MAX_IDENTIFIER)]
Text = Annotated[str, MaxLen(MAX_TEXT)]
Count = Annotated[int, Ge(0), Le(MAX_COUNT)]
CostUsd = Annotated[float, Ge(0.0), Le(MAX_COST_USD)]
DurationMs = Annotated[float, Ge(0.0), Le(MAX_DURATION_MS)]
Timestamp = Annotated[datetime, BeforeValidator(rfc3339)]
Identifiers = Annotated[tuple[Identifier, ...], MaxLen(MAX_LIST)]

EventName = Literal[
    "llm.request",
    "agent.tool_call",
    "agent.tool_list",
    "llm.auth_failure",
    "llm.control_plane",
    "llm.usage_bucket",
]
ErrorType = Literal[
    "rate_limit",
    "auth",
    "permission",
    "not_found",
    "invalid_request",
    "context_length",
    "content_filter",
    "timeout",
    "server_error",
    "connection",
    "cancelled",
    "tool_error",
    "budget_exceeded",
    "_OTHER",
]

_members = msgspec.json.Decoder(msgspec.defstruct("Members", []))  # any members, none looked into


class Event(BaseModel):
    """One canonical event. Field names are the wire keys with dots written as underscores.

    Raises:
        pydantic.ValidationError: which field is wrong, and why.
    """

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", allow_inf_nan=False, populate_by_name=True
    )

    # envelope
    event_schema_version: Literal["1.0"] = Field(alias="event.schema_version")
    event_id: Identifier = Field(
        alias="event.id", description="recognises a redelivery of the same record, nothing else"
    )
    event_name: EventName = Field(alias="event.name")
    event_granularity: Literal["attempt", "request", "bucket"] = Field(
        "request", alias="event.granularity"
    )
    timestamp: Timestamp = Field(description="end of the operation")
    observed_timestamp: Timestamp | None = Field(None, description="when ingest received it")
    ingest_source: Identifier = Field("canonical", alias="ingest.source")
    ingest_native_id: Identifier | None = Field(None, alias="ingest.native_id")
    call_ids: Identifiers = Field(
        (),
        alias="call.ids",
        description="names this call shares with other signals about the same call",
    )

    # identity
    tenant_id: Identifier | None = Field(None, alias="tenant.id")
    tenant_id_source: Identifier | None = Field(None, alias="tenant.id.source")
    api_key_id: Identifier | None = Field(
        None, alias="api_key.id", description="`hmac:` fingerprint, never a raw key"
    )
    user_id: Identifier | None = Field(None, alias="user.id")
    enduser_id: Identifier | None = Field(None, alias="enduser.id")
    session_id: Identifier | None = Field(None, alias="session.id")
    conversation_id: Identifier | None = Field(None, alias="gen_ai.conversation.id")
    agent_id: Identifier | None = Field(None, alias="gen_ai.agent.id")
    agent_name: Identifier | None = Field(None, alias="gen_ai.agent.name")
    cloud_account_id: Identifier | None = Field(None, alias="cloud.account.id")

    # correlation
    trace_id: Identifier | None = None
    span_id: Identifier | None = None
    request_id: Identifier | None = Field(None, alias="request.id")
    response_id: Identifier | None = Field(None, alias="gen_ai.response.id")

    # model
    operation_name: Identifier | None = Field(None, alias="gen_ai.operation.name")
    provider_name: Identifier | None = Field(None, alias="gen_ai.provider.name")
    request_model: Identifier | None = Field(None, alias="gen_ai.request.model")
    response_model: Identifier | None = Field(None, alias="gen_ai.response.model")
    deployment_id: Identifier | None = Field(None, alias="llm.deployment.id")
    request_stream: bool | None = Field(None, alias="gen_ai.request.stream")
    cloud_region: Identifier | None = Field(None, alias="cloud.region")
    server_address: Identifier | None = Field(None, alias="server.address")

    # usage
    input_tokens: Count | None = Field(None, alias="gen_ai.usage.input_tokens")
    output_tokens: Count | None = Field(None, alias="gen_ai.usage.output_tokens")
    cache_read_tokens: Count | None = Field(None, alias="gen_ai.usage.cache_read.input_tokens")
    cache_creation_tokens: Count | None = Field(
        None, alias="gen_ai.usage.cache_creation.input_tokens"
    )
    reasoning_tokens: Count | None = Field(None, alias="gen_ai.usage.reasoning.output_tokens")
    cost_usd: CostUsd | None = Field(None, alias="cost.usd")
    cost_source: Identifier | None = Field(None, alias="cost.source")
    usage_requests: Count | None = Field(None, alias="llm.usage.requests")

    # timing
    latency_ms: DurationMs | None = None
    time_to_first_chunk_s: DurationMs | None = Field(
        None, alias="gen_ai.response.time_to_first_chunk"
    )

    # outcome
    status: Literal["ok", "error", "blocked"] | None = None
    error_type: ErrorType | None = Field(None, alias="error.type")
    error_native_type: Identifier | None = Field(None, alias="error.native_type")
    error_origin: Literal["gateway", "provider", "tool", "client"] | None = Field(
        None, alias="error.origin"
    )
    http_status: Annotated[int, Ge(0), Le(999)] | None = Field(
        None, alias="http.response.status_code"
    )
    finish_reasons: Identifiers = Field((), alias="gen_ai.response.finish_reasons")

    # retry
    resend_count: Count | None = Field(None, alias="http.request.resend_count")
    retry_evidence: Literal["observed", "reported_total", "inferred", "none"] | None = Field(
        None, alias="retry.evidence"
    )
    idempotency_key_id: Identifier | None = Field(None, alias="idempotency_key.id")

    # network
    client_address: Identifier | None = Field(None, alias="client.address")
    client_address_quality: (
        Literal["peer", "xff_trusted", "xff_unverified", "masked", "service_name"] | None
    ) = Field(None, alias="client.address.quality")
    user_agent: Text | None = Field(None, alias="user_agent.original")
    as_number: Count | None = Field(None, alias="as.number")
    as_organization: Identifier | None = Field(None, alias="as.organization.name")
    country: Identifier | None = Field(None, alias="geo.country_iso_code")

    # tool
    tool_name: Identifier | None = Field(None, alias="gen_ai.tool.name")
    tool_type: Identifier | None = Field(None, alias="gen_ai.tool.type")
    tool_call_id: Identifier | None = Field(None, alias="gen_ai.tool.call.id")
    mcp_server_name: Identifier | None = Field(None, alias="mcp.server.name")
    mcp_method_name: Identifier | None = Field(None, alias="mcp.method.name")
    mcp_session_id: Identifier | None = Field(None, alias="mcp.session.id")
    mcp_protocol_version: Identifier | None = Field(None, alias="mcp.protocol.version")
    mcp_resource_uri: Text | None = Field(None, alias="mcp.resource.uri")
    jsonrpc_request_id: Identifier | None = Field(None, alias="jsonrpc.request.id")
    tool_args_hash: Identifier | None = Field(None, alias="tool.args.hash")
    tool_args_size: Count | None = Field(None, alias="tool.args.size")
    tool_result_size: Count | None = Field(None, alias="tool.result.size")
    tool_result_truncated: bool | None = Field(None, alias="tool.result.truncated")
    tool_result_sampled_ids: Identifiers = Field((), alias="tool.result.sampled_ids")
    tool_side_effect: bool | None = Field(None, alias="tool.side_effect")
    tool_destination_ids: Identifiers = Field((), alias="tool.destination.ids")
    tool_acl_decision: Identifier | None = Field(None, alias="tool.acl.decision")
    resource_id: Identifier | None = Field(None, alias="resource.id")
    resource_owner_tenant_id: Identifier | None = Field(None, alias="resource.owner.tenant_id")
    resource_owner_source: Identifier | None = Field(None, alias="resource.owner.source")

    # fingerprints of contents, where a source has them
    content_input_hash: Identifier | None = Field(None, alias="content.input.hash")
    content_output_hash: Identifier | None = Field(None, alias="content.output.hash")

    @classmethod
    def model_validate_json(cls, json_data: str | bytes | bytearray, **options: Any) -> Self:
        """Reads one event; JSON that has NaN or infinities anywhere is none, as for the decoder."""
        event = super().model_validate_json(json_data, **options)
        try:
            _members.decode(json_data)
        except (msgspec.DecodeError, UnicodeError) as error:
            broken = InitErrorDetails(type="json_invalid", input="", ctx={"error": str(error)})
            raise ValidationError.from_exception_data(cls.__name__, [broken]) from None
        return event

    def to_json(self) -> bytes:
        """The canonical line: wire keys, unknown values left out, no newline."""
        return self.model_dump_json(
            by_alias=True, exclude_none=True, exclude_defaults=False
        ).encode()
