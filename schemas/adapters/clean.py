"""Makes text of strangers fit for an event: bounded, printable, and without secrets."""

import re

from schemas.identity import fingerprint, is_fingerprint

MAX_SEARCHED = 4096  # characters searched for secrets; longer text is replaced whole

EMAIL = re.compile(r"[\w.+%-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}\.[A-Za-z]{2,24}")
SECRET = re.compile(
    r"(?<![A-Za-z0-9])(?:sk|pk|rk)[-_][\w-]{6,}"  # OpenAI, Anthropic, Stripe and their likes
    r"|(?:AKIA|ASIA)[0-9A-Z]{12,}"
    r"|AIza[\w-]{20,}"
    r"|gh[opsur]_\w{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|xox[abeprs]-[\w-]{8,}"
    r"|hf_[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{4,}"
    r"|-----BEGIN "
    r"|://[^/\s:@]{1,128}:[^/\s@]{1,128}@"
    r"|(?i:\bbearer\s+[\w.~+/=-]{6,}|\bbasic\s+[\w+/=]{16,})"
    r"|(?i:api[-_ ]?key\s*[=:]\s*\S{6,}|password\s*[=:]\s*\S+)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufeff]")


def holds_secret(text: str) -> bool:
    """Whether `text` has an obvious key, token, password or e-mail address in it.

    >>> holds_secret("gpt-4o"), holds_secret("task-12345678"), holds_secret("x sk-proj-abc123")
    (False, False, True)
    """
    return len(text) > MAX_SEARCHED or bool(
        SECRET.search(text) or ("@" in text and EMAIL.search(text))
    )


def clean(pepper: bytes, text: str, limit: int) -> str:
    """`text` with at most `limit` characters; a fingerprint instead if it holds a secret.

    What is cut ends in a fingerprint of the whole, so that two long ids stay two.
    """
    if is_fingerprint(text):
        return text
    if holds_secret(text):
        return fingerprint(pepper, text)
    text = _CONTROL.sub("\ufffd", text)
    if len(text) > limit:
        text = text[: limit - 17] + "~" + fingerprint(pepper, text)[5:]
    return text
