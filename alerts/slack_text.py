"""Text for Slack in which nothing that an attacker writes is a mention, a link or markup."""

from datetime import datetime, timedelta
from typing import Any

from alerts.text import plain

MAX_VALUE = 160  # characters of one value as sent, escapes included
_LOOK_ALIKES = str.maketrans("*_~", "∗ˍ∼")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "ˋ"}


def escape(text: str, limit: int) -> str:
    """Plain text for Slack: at most `limit` characters with its escapes, none of them torn.

    >>> escape("<!channel> & co", 40)
    '&lt;!channel&gt; &amp; co'
    """
    parts: list[str] = []
    room = limit
    for character in plain(text, limit):
        part = _ESCAPES.get(character, character)
        if len(part) > room - 1:  # one is kept for the mark of the cut
            parts.append("…")
            break
        parts.append(part)
        room -= len(part)
    return "".join(parts)


def words(text: str, limit: int) -> str:
    """Plain text in which no address is a link.

    >>> words("see https://evil.example", 40)
    'see https[:]//evil.example'
    """
    return escape(text.replace("://", "[:]//"), limit)


def prose(text: str, limit: int) -> str:
    """As `words`, for a text object with markup: signs of markup become their look-alikes.

    >>> prose("*no* _markup_", 40)
    '∗no∗ ˍmarkupˍ'
    """
    return words(text, limit).translate(_LOOK_ALIKES)


def code(text: str, limit: int = MAX_VALUE) -> str:
    """Text as code: nothing in it can end the code or begin markup."""
    return f"`{escape(text.strip() or '-', limit)}`"


def money(dollars: float) -> str:
    """Dollars.

    >>> money(1234.5)
    '$1,234.50'
    """
    return f"${dollars:,.2f}" if abs(dollars) < 1e12 else f"${dollars:.3g}"


def amount(value: float) -> str:
    """A count with as many digits as it deserves."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e15 else f"{value:.3g}"


def instant(time: datetime) -> str:
    """A time in UTC, to the second."""
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def until(time: datetime) -> str:
    """An end in UTC, to the minute."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def lasting(length: timedelta) -> str:
    """A length of time in its largest fitting unit.

    >>> lasting(timedelta(minutes=90)), lasting(timedelta(seconds=90))
    ('90 min', '90 s')
    """
    seconds = round(length.total_seconds())
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{max(0, seconds)} s"


def plain_text(text: str) -> dict[str, Any]:
    """A text object in which nothing is markup."""
    return {"type": "plain_text", "text": text, "emoji": False}


def mrkdwn(text: str) -> dict[str, Any]:
    """A text object with markup; names of channels and people in it stay text."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def section(block_id: str, text: str) -> dict[str, Any]:
    """A paragraph of plain text."""
    return {"type": "section", "block_id": block_id, "text": plain_text(text)}


def context(block_id: str, *notes: str) -> dict[str, Any]:
    """Small print."""
    return {"type": "context", "block_id": block_id, "elements": [plain_text(n) for n in notes]}


def button(action: str, label: str, value: str, *, style: str | None = None) -> dict[str, Any]:
    """A button that tells us who pressed it."""
    made = {"type": "button", "action_id": action, "text": plain_text(label), "value": value}
    return made | ({"style": style} if style else {})


def link(action: str, label: str, url: str) -> dict[str, Any]:
    """A button that opens a page."""
    return {"type": "button", "action_id": action, "text": plain_text(label), "url": url}
