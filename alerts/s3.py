"""Findings into an S3-compatible bucket: one object a batch, one OCSF record a line.

boto3 signs and sends: its ways to find credentials (roles, profiles, containers) are what people
have set up. Its own repetitions are off; those belong to the outbox.
"""

import gzip
import hashlib
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Gt, Le
from pydantic import Field, StringConstraints, field_validator, model_validator

from alerts.base import Delivery, Rejected, RetryLater
from alerts.destination_base import (
    Line,
    OptionalTokenSettings,
    Place,
    checked_url,
    require_https,
)
from alerts.network import unreachable
from alerts.ocsf import body_of
from alerts.ocsf_fit import encoded
from alerts.secret import Secret

OPERATOR = frozenset({400, 401, 403, 404, 301, 307})  # keys, bucket, region: not the content
TOO_LARGE = frozenset({413})


class S3Settings(OptionalTokenSettings):
    """A bucket of S3 or a compatible store; the token is the secret access key.

    Without a token, boto3 finds credentials as it always does.
    """

    type: Literal["s3"]
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    prefix: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9/_.=-]{0,256}$")] = Field(
        default="tripmeter/", description="of every object's key"
    )
    region: Line | None = Field(default=None, description="unset: as boto3 finds it")
    endpoint_url: Line | None = Field(default=None, description="of a compatible store")
    access_key_id: Line | None = Field(default=None, description="with a token")
    allow_http: bool = Field(default=False, description="send findings unencrypted")
    ca_file: Path | None = Field(default=None, description="PEM file of the CA to trust instead")
    timeout_s: Annotated[float, Gt(0), Le(300)] = Field(default=30, description="of one request")

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint(cls, value: str | None) -> str | None:
        return checked_url(value) if value is not None else None

    @model_validator(mode="after")
    def _keys(self) -> Self:
        has_token = self.token_file is not None or self.token_env is not None
        if has_token != (self.access_key_id is not None):
            raise ValueError("set access_key_id and token_file or token_env, or none of them")
        if self.endpoint_url is not None:
            require_https("endpoint_url", self.endpoint_url, allowed=self.allow_http)
        return self

    def sink(self, name: str, place: Place) -> "S3Sink":
        """Its sink."""
        options = {
            "region_name": self.region,
            "endpoint_url": self.endpoint_url,
            "aws_access_key_id": self.access_key_id,
            "verify": str(place.base / self.ca_file) if self.ca_file else None,
        }
        return S3Sink(
            name,
            self.bucket,
            self.prefix,
            secret=self.secret(place.base),
            options={key: value for key, value in options.items() if value is not None},
            timeout_s=self.timeout_s,
        )


class S3Sink:
    """One bucket.

    Args:
        secret: the secret access key, if one is configured.
        options: of boto3's client.
        client: used instead of one of boto3.
    """

    batch: ClassVar[int] = 1000

    def __init__(
        self,
        name: str,
        bucket: str,
        prefix: str,
        *,
        secret: Secret | None = None,
        options: dict[str, Any] | None = None,
        timeout_s: float = 30.0,
        client: Any = None,
    ) -> None:
        self.name = name
        self._bucket = bucket
        self._prefix = prefix
        self._secret = secret
        self._options = options or {}
        self._timeout_s = timeout_s
        self._given = client
        self._made: tuple[str | None, Any] | None = None

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Writes one object; the same records give the same key, so a repetition replaces it.

        Raises:
            RetryLater, Rejected: as the store's status says.
        """
        self._call(
            "put_object",
            Key=object_key(self._prefix, deliveries),
            Body=to_object(deliveries),
            ContentType="application/x-ndjson",
            ContentEncoding="gzip",
        )

    def probe(self) -> str:
        """Looks at the bucket, and writes nothing.

        Raises:
            RetryLater: it is not there, or there is no answer.
        """
        try:
            self._call("head_bucket")
        except RetryLater as error:
            if str(error).startswith("HTTP 403"):  # who may only write may not look
                return "the bucket is there, but these keys may not look at it (nothing was tried)"
            raise
        return "the bucket is there (writing was not tried)"

    def close(self) -> None:
        """Closes the connections."""
        if self._made is not None:
            self._made[1].close()
            self._made = None

    def _call(self, method: str, **arguments: Any) -> None:
        client = self._client()
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,
            HTTPClientError,
            NoCredentialsError,
        )

        try:
            getattr(client, method)(Bucket=self._bucket, **arguments)
        except ClientError as error:
            raise _refused(error.response) from None
        except NoCredentialsError:
            reason = "no credentials: set access_key_id and a token, or what boto3 reads"
            raise RetryLater(reason, operator=True) from None
        except (HTTPClientError, ConnectionError) as error:
            raise unreachable(error) from None
        except (BotoCoreError, ValueError) as error:
            raise RetryLater(f"{type(error).__name__}: {error}"[:300], operator=True) from None

    def _client(self) -> Any:
        if self._given is not None:
            return self._given
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            reason = "boto3 is not installed: pip install '.[s3]'"
            raise RetryLater(reason, operator=True) from None
        secret = self._secret.read() if self._secret else None
        if self._made is None or self._made[0] != secret:  # a new secret counts at once
            self.close()
            config = Config(
                retries={"total_max_attempts": 1},
                connect_timeout=self._timeout_s,
                read_timeout=self._timeout_s,
            )
            keys = {"aws_secret_access_key": secret} if secret else {}
            session = boto3.session.Session()
            self._made = (secret, session.client("s3", config=config, **self._options, **keys))
        return self._made[1]


def object_key(prefix: str, deliveries: Sequence[Delivery]) -> str:
    """By day and hour of the first record, then a fingerprint of all their keys."""
    hour = deliveries[0].finding.time.astimezone(UTC)
    names = "\n".join(each.key for each in deliveries)
    digest = hashlib.sha256(names.encode()).hexdigest()[:32]
    return f"{prefix}date={hour:%Y-%m-%d}/hour={hour:%H}/{hour:%Y%m%dT%H%M%SZ}-{digest}.ndjson.gz"


def to_object(deliveries: Sequence[Delivery]) -> bytes:
    """The records, a line each, compressed; always the same bytes."""
    return gzip.compress(
        b"".join(encoded(body_of(each)) + b"\n" for each in deliveries), 6, mtime=0
    )


def _refused(response: Any) -> RetryLater | Rejected:
    error = response.get("Error", {})
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    reason = f"HTTP {status}, {error.get('Code', '')}: {error.get('Message', '')}"[:300]
    if status in TOO_LARGE or error.get("Code") == "EntityTooLarge":
        return Rejected(reason)
    return RetryLater(reason, operator=status in OPERATOR)
