"""The table `[kafka]` of the configuration: where the brokers are, who we are, how many shards."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MIB = 2**20
MAX_SECRET_BYTES = 4096


class MissingSecret(Exception):
    """A password is not where the configuration says; the text says where that is."""


class KafkaSettings(BaseModel):
    """Kafka, for installations that outgrew one machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap: str = Field(
        default="127.0.0.1:9092", description="brokers to ask first, HOST:PORT with commas between"
    )
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,99}$")] = Field(
        default="tripmeter", description="beginning of every topic and consumer group"
    )
    shards: Annotated[int, Ge(1), Le(1024)] = Field(
        default=16, description="partitions of each lane; fixed when the topics are created"
    )
    events_partitions: Annotated[int, Ge(1), Le(10_000)] = Field(
        default=4, description="partitions of the events topic when we create it"
    )
    replication: Annotated[int, Ge(1), Le(9)] = Field(
        default=1, description="copies of every partition; 3 where there are three brokers"
    )
    min_insync: Annotated[int, Ge(1), Le(9)] = Field(
        default=1, description="copies that must have a record before it counts; 2 of 3 copies"
    )
    events_keep_hours: Annotated[float, Gt(0)] = Field(
        default=168, description="age at which events leave their topic"
    )
    events_keep_bytes: Annotated[int, Ge(MIB)] = Field(
        default=32 * 2**30, description="size of one partition at which its oldest events go"
    )
    findings_keep_days: Annotated[float, Gt(0)] = Field(
        default=90, description="age at which findings leave their topic"
    )
    security: Literal["plaintext", "tls", "sasl", "sasl_tls"] = Field(
        default="plaintext", description="plaintext, tls, sasl (unencrypted) or sasl_tls"
    )
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="how SASL proves who we are"
    )
    username: str | None = Field(default=None, description="name for SASL")
    password_file: str | None = Field(
        default=None, description="file whose first line is the password for SASL"
    )
    password_env: str | None = Field(
        default=None, description="environment variable that holds the password for SASL"
    )
    ca_file: str | None = Field(
        default=None, description="PEM file of who signed the brokers' certificates"
    )
    certificate_file: str | None = Field(
        default=None, description="PEM file of our own certificate, where brokers ask for one"
    )
    key_file: str | None = Field(default=None, description="PEM file of our certificate's key")
    pepper_file: str | None = Field(
        default=None, description="the installation's pepper (default: `pepper` in the data folder)"
    )
    invalid_key_file: str | None = Field(
        default=None,
        description="32 bytes that encrypt rejected originals (default: `quarantine.key` there)",
    )
    accept_raw: bool = Field(
        default=False,
        description="let formats that hold prompts and answers onto the events topic",
    )
    request_timeout_s: Annotated[float, Gt(0), Le(600)] = Field(
        default=20, description="seconds a broker has to answer"
    )

    @field_validator(
        "username", "password_file", "password_env", "ca_file", "certificate_file", "key_file",
        "pepper_file", "invalid_key_file", mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value

    @field_validator("bootstrap")
    @classmethod
    def _brokers(cls, value: str) -> str:
        for server in value.split(","):
            host, colon, port = server.strip().rpartition(":")
            if not colon or not host or not port.isdigit() or not 0 < int(port) <= 65_535:
                raise ValueError("write it as HOST:PORT, with commas between several")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "KafkaSettings":
        if self.password_file and self.password_env:
            raise ValueError("give password_file or password_env, not both")
        if self.security.startswith("sasl"):
            if self.username is None:
                raise ValueError(f"security = {self.security!r} needs a username")
            if not (self.password_file or self.password_env):
                raise ValueError(
                    f"security = {self.security!r} needs password_file or password_env"
                )
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together")
        if self.min_insync > self.replication:
            raise ValueError("min_insync cannot be more than replication")
        return self

    @property
    def servers(self) -> list[str]:
        """The brokers, one by one."""
        return [server.strip() for server in self.bootstrap.split(",")]

    def password(self, base: Path, environment: Mapping[str, str] = os.environ) -> str:
        """The password for SASL.

        Args:
            base: folder that relative paths start from.
        Raises:
            MissingSecret: it is not there.
        """
        if self.password_env:
            if not (value := environment.get(self.password_env, "").strip()):
                raise MissingSecret(f"no password in the environment variable {self.password_env}")
            return value
        path = base / (self.password_file or "")
        try:
            text = path.read_bytes()[:MAX_SECRET_BYTES].decode()
        except (OSError, UnicodeDecodeError) as error:
            raise MissingSecret(f"no password in {path}: {type(error).__name__}") from None
        if not (value := text.split("\n", 1)[0].strip()):
            raise MissingSecret(f"no password in {path}: its first line is empty")
        return value
