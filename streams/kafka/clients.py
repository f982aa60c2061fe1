"""How every client connects: the same settings in the words of each library.

kafka-python (administration, replays, delivery), aiokafka (ingest) and Faust (workers) differ in
names only; SASL and TLS mean the same everywhere.
"""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from streams.configuration import BadConfig
from streams.kafka.settings import KafkaSettings, MissingSecret

RETRY_S = 0.2

T = TypeVar("T")

_PROTOCOLS = {
    "plaintext": "PLAINTEXT",
    "tls": "SSL",
    "sasl": "SASL_PLAINTEXT",
    "sasl_tls": "SASL_SSL",
}


class BrokerAway(Exception):
    """No broker answered in time; the text says which were asked and what to look at."""


def common(kafka: KafkaSettings, base: Path = Path(), *, client: str = "cli") -> dict[str, Any]:
    """Keyword arguments that kafka-python and aiokafka share.

    Args:
        base: folder that relative paths start from.
        client: what this process is, for the brokers' logs.
    Raises:
        BadConfig: a password, key or certificate is missing or cannot be used.
    """
    options: dict[str, Any] = {
        "bootstrap_servers": kafka.servers,
        "client_id": f"{kafka.prefix}-{client}",
        "request_timeout_ms": int(kafka.request_timeout_s * 1000),
        "security_protocol": _PROTOCOLS[kafka.security],
    }
    if (context := tls(kafka, base)) is not None:
        options["ssl_context"] = context
    if kafka.security.startswith("sasl"):
        options["sasl_mechanism"] = kafka.mechanism
        options["sasl_plain_username"] = kafka.username
        options["sasl_plain_password"] = _password(kafka, base)
    return options


def faust(kafka: KafkaSettings, base: Path = Path(), *, scheme: str = "kafka") -> dict[str, Any]:
    """Keyword arguments of `faust.App`: `broker`, and `broker_credentials` where needed.

    Args:
        scheme: the transport, such as `kafka` or one of our own.
    Raises:
        BadConfig: a password, key or certificate is missing or cannot be used.
    """
    from faust import SASLCredentials, SSLCredentials

    options: dict[str, Any] = {"broker": [f"{scheme}://{server}" for server in kafka.servers]}
    context = tls(kafka, base)
    if kafka.security.startswith("sasl"):
        options["broker_credentials"] = SASLCredentials(
            username=kafka.username,
            password=_password(kafka, base),
            mechanism=kafka.mechanism,
            ssl_context=context,
        )
    elif context is not None:
        options["broker_credentials"] = SSLCredentials(context)
    return options


def tls(kafka: KafkaSettings, base: Path = Path()) -> ssl.SSLContext | None:
    """The TLS context; None where TLS is off. Host names are always checked.

    Raises:
        BadConfig: a file is missing or cannot be used.
    """
    if not kafka.security.endswith("tls"):
        return None
    setting, path = "ca_file", kafka.ca_file
    try:
        context = ssl.create_default_context(cafile=str(base / path) if path else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if kafka.certificate_file and kafka.key_file:
            setting, path = "certificate_file", kafka.certificate_file
            context.load_cert_chain(base / kafka.certificate_file, base / kafka.key_file)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise BadConfig([f"kafka.{setting}: {path}: {reason}; it must be a PEM file"]) from None
    return context


def admin(kafka: KafkaSettings, base: Path = Path()) -> Any:
    """A kafka-python `KafkaAdminClient`; close it.

    Raises:
        BadConfig: see `common`.
        BrokerAway: no broker answered.
    """
    from kafka import KafkaAdminClient

    return connect(KafkaAdminClient, kafka, base, client="admin")


def consumer(kafka: KafkaSettings, base: Path = Path(), *, client: str, **options: Any) -> Any:
    """A kafka-python `KafkaConsumer`; close it.

    Raises:
        BadConfig: see `common`.
        BrokerAway: no broker answered.
    """
    from kafka import KafkaConsumer

    return connect(KafkaConsumer, kafka, base, client=client, **options)


def producer(kafka: KafkaSettings, base: Path = Path(), *, client: str, **options: Any) -> Any:
    """A kafka-python `KafkaProducer` that is told of a record only when every copy has it.

    Raises:
        BadConfig: see `common`.
        BrokerAway: no broker answered.
    """
    from kafka import KafkaProducer

    patience_ms = int(kafka.request_timeout_s * 1000)
    durable = {"acks": "all", "enable_idempotence": True, "max_block_ms": patience_ms}
    return connect(KafkaProducer, kafka, base, client=client, **{**durable, **options})


def connect(kind: Any, kafka: KafkaSettings, base: Path, *, client: str, **options: Any) -> Any:
    """One client of kafka-python, with its errors in our words."""
    from kafka.errors import KafkaError

    settings = {**common(kafka, base, client=client), **options}
    settings.setdefault("bootstrap_timeout_ms", settings["request_timeout_ms"])
    try:
        return kind(**settings)
    except KafkaError as error:
        raise away(kafka, error) from None


def patiently(kafka: KafkaSettings, work: Callable[[], T]) -> T:
    """Does something again while the brokers say that they will be able to soon.

    Raises:
        BrokerAway: not within `request_timeout_s`.
    """
    from kafka.errors import KafkaError

    deadline = time.monotonic() + kafka.request_timeout_s
    while True:
        try:
            return work()
        except KafkaError as error:
            if not error.retriable or time.monotonic() > deadline:
                raise away(kafka, error) from None
        time.sleep(RETRY_S)


def away(kafka: KafkaSettings, error: BaseException) -> BrokerAway:
    """What to say when a broker does not answer; addresses are told, secrets never."""
    return BrokerAway(
        f"no answer from Kafka at {kafka.bootstrap} ({type(error).__name__}); is it running,"
        " is the address right, and do security, user and password match what it wants?"
    )


def _password(kafka: KafkaSettings, base: Path) -> str:
    try:
        return kafka.password(base)
    except MissingSecret as error:
        where = "password_env" if kafka.password_env else "password_file"
        raise BadConfig([f"kafka.{where}: {error}; put it there"]) from None
