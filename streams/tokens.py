"""Who may send: bearer tokens, kept as hashes, each with the tenants it may write."""

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streams.configuration import BadConfig, Problem
from streams.settings import Settings, TokenSettings

FIRST = "default"  # the token made on first run
TOKENS_FILE = "tokens.json"
PLAIN_FILE = "ingest-token"
MIN_TOKEN_CHARACTERS = 16
MAX_TOKEN_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Token:
    """A sender that proved who it is."""

    name: str
    tenants: frozenset[str]
    default_tenant: str | None = None
    metrics: bool = False  # may read what all senders together did

    def may_write(self, tenant: str | None) -> bool:
        """Whether events of this tenant are accepted; None is an event that names none."""
        return "*" in self.tenants or (tenant is not None and tenant in self.tenants)


class Tokens:
    """Finds the token of an `Authorization` header by the hash of its secret."""

    def __init__(self, by_hash: Mapping[str, Token]) -> None:
        self._by_hash = dict(by_hash)

    def authenticate(self, header: str | None) -> Token | None:
        """The token behind `Bearer ...`, or None when it is missing or wrong."""
        scheme, _, secret = (header or "").partition(" ")
        if scheme.lower() != "bearer" or not 0 < len(secret) <= MAX_TOKEN_CHARACTERS:
            return None
        # Looking a hash up leaks no useful timing: its preimage cannot be steered.
        return self._by_hash.get(digest(secret.strip()))

    def named(self, name: str) -> Token | None:
        """The token of that name (for `dlq retry`)."""
        return next((token for token in self._by_hash.values() if token.name == name), None)


def digest(secret: str) -> str:
    """What is stored of a token; tokens are random, so one hash is enough."""
    return hashlib.sha256(secret.encode()).hexdigest()


def load(data: Path, settings: Settings, environment: Mapping[str, str] = os.environ) -> Tokens:
    """The tokens of the configuration and the one made on first run.

    Raises:
        BadConfig: a secret is missing, too short, or used twice.
    """
    by_hash, problems = configured(settings, environment)
    if problems:
        raise BadConfig([f"{'.'.join(map(str, p.loc))}: {p.reason}; {p.remedy}" for p in problems])
    first = settings.tokens.get(FIRST, TokenSettings())
    stored = data / TOKENS_FILE
    if stored.exists() and not (first.secret_file or first.secret_env):
        for name, hashed in json.loads(stored.read_text()).items():
            by_hash[hashed] = _token(name, settings.tokens.get(name, TokenSettings()))
    return Tokens(by_hash)


def configured(
    settings: Settings, environment: Mapping[str, str] = os.environ
) -> tuple[dict[str, Token], list[Problem]]:
    """The tokens of the configuration by hash, and what is wrong with the others."""
    by_hash: dict[str, Token] = {}
    problems: list[Problem] = []
    for name, wanted in settings.tokens.items():
        loc = ("tokens", name)
        if not (wanted.secret_file or wanted.secret_env):
            if name != FIRST:
                problems.append(Problem(loc, "has no secret", "set secret_file or secret_env"))
            continue
        try:
            secret = _secret(wanted, settings.base, environment)
        except (OSError, KeyError, UnicodeDecodeError):
            where = wanted.secret_file or wanted.secret_env
            problems.append(Problem(loc, f"no secret in {where}", "put one there"))
            continue
        if not MIN_TOKEN_CHARACTERS <= len(secret) <= MAX_TOKEN_CHARACTERS:
            reason = f"its secret has {len(secret)} characters, {MIN_TOKEN_CHARACTERS} are needed"
            problems.append(Problem(loc, reason, "`openssl rand -hex 32` makes a good one"))
        elif digest(secret) in by_hash:
            problems.append(Problem(loc, "another token has the same secret", "make a new one"))
        else:
            by_hash[digest(secret)] = _token(name, wanted)
    return by_hash, problems


def make_first(data: Path) -> Path | None:
    """Makes the first token: its hash is stored, the token itself written once to a 0600 file.

    Returns: the path of that file, or None when the installation already has a token.
    """
    stored = data / TOKENS_FILE
    if stored.exists():
        return None
    secret = secrets.token_urlsafe(32)
    plain = data / PLAIN_FILE
    _write_private(plain, secret + "\n")
    _write_private(stored, json.dumps({FIRST: digest(secret)}) + "\n")
    return plain


def _token(name: str, settings: TokenSettings) -> Token:
    return Token(name, frozenset(settings.tenants), settings.default_tenant, settings.metrics)


def _secret(settings: TokenSettings, base: Path, environment: Mapping[str, str]) -> str:
    if settings.secret_file:
        return (base / settings.secret_file).read_text().split("\n", 1)[0].strip()
    return environment[settings.secret_env or ""].strip()


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
