"""Makes text from outside harmless before a person reads it."""

import re
import unicodedata

_SECRETS = re.compile(
    r"xox[a-z]-[\w-]+|xapp-[\w-]+|sk-[\w-]{8,}|(?<=Bearer )\S+|(?<=Splunk )\S+"
    r"|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|(?<=//)[^/@\s]+@"
)


def plain(text: str, limit: int) -> str:
    """One line of at most `limit` characters that reads as what it is.

    Control, direction, zero-width and private characters become `�`, so that nothing hides,
    reorders or breaks a line; what is cut off leaves a `…`.

    >>> plain("a\\u202egnp.exe\\n", 20)
    'a�gnp.exe�'
    """
    if len(text) <= limit and text.isprintable():  # nearly all
        return text
    clean = "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c)[0] == "C" else c
        for c in text[: limit + 1]
    )
    clean = re.sub(r"[\u2028\u2029]", "\N{REPLACEMENT CHARACTER}", clean)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def scrub(text: str, limit: int) -> str:
    """A reason fit for a log: one line, bounded, nothing in it that looks like a secret.

    >>> scrub("refused https://me:pw@host/ with Splunk 1234", 80)
    'refused https://***host/ with Splunk ***'
    """
    return plain(_SECRETS.sub("***", text[: 20 * limit].replace("\n", " ")), limit)
