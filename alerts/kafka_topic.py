"""Findings into a topic of your own, one OCSF record a message, with kafka-python.

A message counts when all in-sync copies have it. Its key is the finding's id, so that revisions
stay in order; the header `tripmeter-key` is the same on every try.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Gt, Le
from pydantic import Field, StringConstraints, model_validator

from alerts.base import Delivery, Partly, RetryLater
from alerts.destination_base import Line, OptionalTokenSettings, Place
from alerts.network import unreachable
from alerts.ocsf import body_of
from alerts.ocsf_fit import fitted
from alerts.posting import tls_context

MAX_MESSAGE = 900_000  # bytes; brokers take 1 MB
HEADER = "tripmeter-key"

PROTOCOLS = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl": "SASL_PLAINTEXT",
    "sasl_tls": "SASL_SSL",
}


class KafkaTopicSettings(OptionalTokenSettings):
    """A topic of a Kafka cluster; the token is the password for SASL."""

    type: Literal["kafka_topic"]
    bootstrap: Line = Field(description="brokers to ask first, HOST:PORT with commas between")
    topic: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9._-]{1,249}$")] = Field(
        description="it must exist"
    )
    security: Literal["plaintext", "tls", "sasl", "sasl_tls"] = Field(
        default="plaintext", description="plaintext, tls, sasl (unencrypted) or sasl_tls"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how SASL proves who we are"
    )
    username: Line | None = Field(default=None, description="name for SASL")
    ca_file: Path | None = Field(default=None, description="PEM file of the CA to trust instead")
    certificate_file: Path | None = Field(default=None, description="PEM file of our certificate")
    key_file: Path | None = Field(default=None, description="PEM file of its private key")
    timeout_s: Annotated[float, Gt(0), Le(300)] = Field(default=20, description="of one batch")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        proofs = (self.token_file or self.token_env, self.username)
        if not all(proofs) if self.security.startswith("sasl") else any(proofs):
            raise ValueError(
                "security = sasl or sasl_tls needs username and a token, no other does"
            )
        files = (self.ca_file, self.certificate_file, self.key_file)
        if any(files) and not self.security.endswith("tls"):
            raise ValueError("ca_file, certificate_file and key_file need tls or sasl_tls")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file belong together")
        return self

    def sink(self, name: str, place: Place) -> "KafkaTopicSink":
        """Its sink."""

        def connect() -> Any:
            return _producer(self, place.base)

        return KafkaTopicSink(name, self.topic, connect, timeout_s=self.timeout_s)


class KafkaTopicSink:
    """One topic.

    Args:
        connect: makes a producer of kafka-python.
        timeout_s: after which what is not acknowledged comes again.
    """

    batch: ClassVar[int] = 500

    def __init__(
        self, name: str, topic: str, connect: Callable[[], Any], *, timeout_s: float = 20.0
    ) -> None:
        self.name = name
        self._topic = topic
        self._connect = connect
        self._timeout_s = timeout_s
        self._producer: Any = None

    def send(self, deliveries: Sequence[Delivery]) -> None:
        """Sends the records and waits for all acknowledgements.

        Raises:
            RetryLater: none was taken.
            Partly: some were.
        """
        producer = self._open()
        from kafka.errors import KafkaError

        results: list[tuple[str, Any]] = []
        later: RetryLater | None = None
        try:
            results.extend(
                (each.key, producer.send(self._topic, **to_message(each))) for each in deliveries
            )
            producer.flush(timeout=self._timeout_s)
        except (KafkaError, OSError) as error:
            later = _outcome(error)
        taken, rejected = set(), {}
        for key, future in results:
            try:
                future.get(timeout=0.0)
                taken.add(key)
            except KafkaError as error:
                if type(error).__name__ in _REFUSED:
                    rejected[key] = f"{type(error).__name__}: {error}"[:300]
                else:
                    later = later or _outcome(error)
        if later is not None:
            self.close()  # what this producer still holds must not arrive after its repetition
        if taken or rejected:
            if later is not None or rejected:
                raise Partly(frozenset(taken), rejected, later)
        elif later is not None:
            raise later

    def probe(self) -> str:
        """Asks for the topic's partitions.

        Raises:
            RetryLater: no broker answers, or there is no such topic.
        """
        producer = self._open()
        from kafka.errors import KafkaError

        try:
            partitions = producer.partitions_for(self._topic)
        except (KafkaError, OSError) as error:
            raise _outcome(error) from None
        if not partitions:
            raise RetryLater(f"there is no topic {self._topic}", operator=True)
        return f"the topic has {len(partitions)} partitions (writing was not tried)"

    def close(self) -> None:
        """Closes the connections; what is not acknowledged by now is given up."""
        if self._producer is not None:
            with suppress(Exception):
                self._producer.close(timeout=0)
            self._producer = None

    def _open(self) -> Any:
        if self._producer is not None:
            return self._producer
        try:
            from kafka.errors import KafkaError
        except ImportError:
            reason = "kafka-python is not installed: pip install '.[kafka]'"
            raise RetryLater(reason, operator=True) from None
        try:
            self._producer = self._connect()
        except (KafkaError, OSError) as error:
            raise _outcome(error) from None
        return self._producer


def to_message(delivery: Delivery) -> dict[str, Any]:
    """Key, value, header and time (event time, ms) of one message."""
    body = body_of(delivery)
    return {
        "key": delivery.finding.id.encode(),
        "value": fitted(body, MAX_MESSAGE),
        "headers": [(HEADER, delivery.key.encode())],
        "timestamp_ms": body["time"],
    }


_REFUSED = frozenset({"MessageSizeTooLargeError", "RecordListTooLargeError", "InvalidRecordError"})
_OPERATOR = frozenset(
    {
        "ClusterAuthorizationFailedError",
        "InvalidTopicError",
        "KafkaConfigurationError",
        "SaslAuthenticationFailedError",
        "TopicAuthorizationFailedError",
        "UnknownTopicOrPartitionError",
        "UnsupportedSaslMechanismError",
    }
)


def _outcome(error: BaseException) -> RetryLater:
    if isinstance(error, OSError):
        return unreachable(error)
    name = type(error).__name__
    return RetryLater(f"{name}: {error}"[:300], operator=name in _OPERATOR)


def _producer(settings: KafkaTopicSettings, base: Path) -> Any:
    from kafka import KafkaProducer

    milliseconds = int(settings.timeout_s * 1000)
    options: dict[str, Any] = {
        "bootstrap_servers": [each.strip() for each in settings.bootstrap.split(",")],
        "client_id": "tripmeter-findings",
        "acks": "all",
        "compression_type": "gzip",
        "max_block_ms": milliseconds,
        "request_timeout_ms": milliseconds,
        "delivery_timeout_ms": milliseconds * 2,
        "bootstrap_timeout_ms": milliseconds,
        "allow_auto_create_topics": False,
        "max_request_size": 2**20,
        "security_protocol": PROTOCOLS[settings.security],
    }
    if settings.security.endswith("tls"):
        context = tls_context(base / settings.ca_file if settings.ca_file else None)
        if settings.certificate_file and settings.key_file:
            try:
                context.load_cert_chain(base / settings.certificate_file, base / settings.key_file)
            except OSError as error:
                reason = f"certificate_file: {error.strerror or 'no certificate with its key'}"
                raise RetryLater(reason, operator=True) from None
        options["ssl_context"] = context
    if (secret := settings.secret(base)) is not None:
        options["sasl_mechanism"] = settings.mechanism
        options["sasl_plain_username"] = settings.username
        options["sasl_plain_password"] = secret.read()
    return KafkaProducer(**options)
