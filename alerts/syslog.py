"""Findings to a syslog receiver: RFC 5424 over TCP or TLS, the message in CEF or as OCSF JSON.

No client: those on PyPI have not been released for years, and none counts octets over TLS.
"""

import re
import socket
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from annotated_types import Ge, Gt, Le
from pydantic import Field, model_validator

from alerts.base import Delivery, RetryLater
from alerts.cef import to_cef
from alerts.destination_base import DestinationSettings, Line, Place
from alerts.network import unreachable
from alerts.ocsf import body_of
from alerts.ocsf_fit import fitted
from alerts.posting import tls_context
from alerts.syslog_stream import Stream, connect
from alerts.text import plain
from schemas.finding import Severity

ENTERPRISE = 32473  # reserved for examples (RFC 5612); set the number of your own organisation
SEVERITIES = {  # RFC 5424, table 2
    Severity.INFO: 6,
    Severity.LOW: 5,
    Severity.MEDIUM: 4,
    Severity.HIGH: 3,
    Severity.CRITICAL: 2,
}

Format = Literal["cef", "json"]
_NAME = re.compile(r"[^\x21-\x7e]")


class SyslogSettings(DestinationSettings):
    """A syslog receiver (RFC 5424) over TCP or TLS, in CEF or OCSF JSON."""

    type: Literal["syslog"]
    host: Line = Field(description="name or address of the receiver")
    port: Annotated[int, Ge(1), Le(65535)] = Field(default=6514, description="often 6514, or 601")
    tls: bool = Field(default=True, description="encrypt, and verify the receiver's certificate")
    format: Format = Field(default="cef", description='"cef" or "json" (OCSF)')
    facility: Annotated[int, Ge(0), Le(23)] = Field(default=4, description="4 is security")
    max_bytes: Annotated[int, Ge(5000), Le(1_000_000)] = Field(
        default=8000, description="of a message; receivers cut longer ones, many at 8192"
    )
    enterprise: Annotated[int, Ge(1)] = Field(
        default=ENTERPRISE, description="private enterprise number in the structured data"
    )
    hostname: Line | None = Field(default=None, description="sender's name; unset is this host's")
    ca_file: Path | None = Field(default=None, description="PEM file of the CA to trust instead")
    certificate_file: Path | None = Field(
        default=None, description="PEM file of our own certificate"
    )
    key_file: Path | None = Field(default=None, description="PEM file of its private key")
    timeout_s: Annotated[float, Gt(0), Le(300)] = Field(default=15, description="of one batch")

    @model_validator(mode="after")
    def _files(self) -> Self:
        files = (self.ca_file, self.certificate_file, self.key_file)
        if not self.tls and any(files):
            raise ValueError("ca_file, certificate_file and key_file need tls = true")
        if self.key_file and not self.certificate_file:
            raise ValueError("key_file needs certificate_file")
        return self

    def sink(self, name: str, place: Place) -> "SyslogSink":
        """Its sink."""
        base = place.base

        def open() -> socket.socket:
            if not self.tls:
                return connect(self.host, self.port, None, self.timeout_s)
            context = tls_context(base / self.ca_file if self.ca_file else None)
            if self.certificate_file:
                key = base / self.key_file if self.key_file else None
                try:
                    context.load_cert_chain(base / self.certificate_file, key)
                except OSError as error:
                    reason = (
                        f"certificate_file: {error.strerror or 'is not a certificate with its key'}"
                    )
                    raise RetryLater(reason, operator=True) from None
            return connect(self.host, self.port, context, self.timeout_s)

        return SyslogSink(
            name,
            Stream(name, open, self.timeout_s),
            format=self.format,
            facility=self.facility,
            max_bytes=self.max_bytes,
            enterprise=self.enterprise,
            hostname=self.hostname or socket.gethostname(),
        )


class SyslogSink:
    """One receiver; the arguments are those of `to_syslog`."""

    batch: ClassVar[int] = 500

    def __init__(
        self,
        name: str,
        stream: Stream,
        *,
        format: Format = "cef",
        facility: int = 4,
        max_bytes: int = 8000,
        enterprise: int = ENTERPRISE,
        hostname: str = "-",
    ) -> None:
        self.name = name
        self._stream = stream
        self._format = format
        self._facility = facility
        self._max_bytes = max_bytes
        self._enterprise = enterprise
        self._hostname = hostname

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Writes a frame each.

        Raises:
            RetryLater: the connection cannot be made, or broke.
        """
        messages = [
            to_syslog(
                each,
                format=self._format,
                facility=self._facility,
                max_bytes=self._max_bytes,
                enterprise=self._enterprise,
                hostname=self._hostname,
            )
            for each in deliveries
        ]
        try:
            self._stream.send([framed(message) for message in messages])
        except OSError as error:
            raise unreachable(error) from None

    def probe(self) -> str:
        """Connects, and sends nothing.

        Raises:
            RetryLater: it cannot.
        """
        try:
            self._stream.send([])
        except OSError as error:
            raise unreachable(error) from None
        return "connects (syslog has no answers; nothing was sent)"

    @property
    def resent(self) -> int:
        """Records that were sent again because a connection broke."""
        return self._stream.resent

    def close(self) -> None:
        """Ends the connection, so that the receiver reads to the end."""
        self._stream.close()


def to_syslog(
    delivery: Delivery,
    *,
    format: Format,
    facility: int = 4,
    max_bytes: int = 8000,
    enterprise: int = ENTERPRISE,
    hostname: str = "-",
) -> bytes:
    """One RFC 5424 message in UTF-8, without a byte order mark, which parsers stumble over.

    Args:
        max_bytes: 5000 or more; what is longer is shortened, and stays valid.
    """
    finding = delivery.finding
    priority = facility * 8 + SEVERITIES[finding.severity]
    instant = finding.time.astimezone(UTC).isoformat(timespec="microseconds")
    parameters = {
        "key": delivery.key,
        "finding": finding.id,
        "revision": str(finding.revision),
        "activity": delivery.activity,
        "severity": finding.severity.value,
    }
    told = "".join(f' {name}="{_quoted(value)}"' for name, value in parameters.items())
    header = " ".join(
        (
            f"<{priority}>1",
            instant.replace("+00:00", "Z"),
            _name(hostname, 255),
            "tripmeter",
            "-",
            _name(finding.detector, 32),
            f"[tripmeter@{enterprise}{told}] ",
        )
    ).encode()
    room = max_bytes - len(header)
    if format == "cef":
        return header + to_cef(delivery, limit=room).encode()
    return header + fitted(body_of(delivery), room)


def framed(message: bytes) -> bytes:
    """With its length before it (octet counting, RFC 6587), so that nothing inside can end it."""
    return b"%d " % len(message) + message


def _name(text: str, longest: int) -> str:
    return _NAME.sub("_", text)[:longest] or "-"


def _quoted(value: str) -> str:
    """A parameter's value: `"`, `\\` and `]` escaped, nothing that ends a line."""
    return re.sub(r'(["\\\]])', r"\\\1", plain(value, 128))
