"""Secrets of destinations: named in the configuration, kept in files or the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alerts.base import RetryLater

MAX_SECRET = 4096  # bytes of a secret file


@dataclass(frozen=True, slots=True)
class Secret:
    """Where a secret is; it is read again at every use, so that a new one counts at once.

    Attributes:
        setting: its name in the configuration, for messages.
        file: its first line is the secret.
        env: or the variable that holds it.
    """

    setting: str
    file: Path | None = None
    env: str | None = None

    def read(self, environment: Mapping[str, str] = os.environ) -> str:
        """The secret.

        Raises:
            RetryLater: it is not there; only an operator can help.
        """
        text = ""
        try:
            if self.file is not None:
                with self.file.open("rb") as file:
                    text = file.readline(MAX_SECRET).decode().strip()
            elif self.env is not None:
                text = environment.get(self.env, "").strip()
        except OSError as error:
            raise self._missing(error.strerror or "cannot be read") from None
        except UnicodeDecodeError:
            raise self._missing("is not text") from None
        if not text:
            raise self._missing("is empty" if self.file else "is not set")
        if not text.isascii() or not text.isprintable():
            raise self._missing("has characters that no token has")
        return text

    def _missing(self, what: str) -> RetryLater:
        where = f"the file {self.file}" if self.file else f"the variable {self.env}"
        return RetryLater(f"{self.setting}: {where} {what}; put the token there", operator=True)
