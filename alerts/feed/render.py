"""Turns values into pages: everything escaped, one line, and no character that hides or reorders.

Times are shown as distances and, on hover, in UTC; money as estimates.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from alerts.text import plain
from schemas.finding import Severity

STATIC = Path(__file__).parent / "static"
MAX_SHOWN = 4000  # characters of any one value on a page
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
LANES = {
    "credential": "key",
    "session": "session",
    "resource": "resource",
    "service": "service",
    "origin": "address",
}
FAMILIES = {
    "llmjacking": "Stolen key",
    "cross-tenant": "Tenant leak",
    "retry-storm": "Retry storm",
    "health": "Health",
}
STATES = {
    "open": "Open",
    "acked": "Acked",
    "snoozed": "Snoozed",
    "resolved": "Resolved",
    "false_positive": "False positive",
}


@lru_cache(maxsize=1)  # compiling the templates takes a third of a second
def environment() -> Environment:
    """Jinja with our filters."""
    made = Environment(
        loader=PackageLoader("alerts.feed", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "money": money, "amount": amount, "utc": utc, "cut": plain, "ago": ago, "pretty": pretty,
        "lane": lambda name: LANES.get(name, name), "family": lambda n: FAMILIES.get(n, n),
        "state": lambda name: STATES.get(name, name), "instant": instant, "seldom": seldom,
        "field": field,
        "step": lambda s: distance(s) if s < 86_400 else f"{s // 86_400} d",
    }  # fmt: skip
    made.globals |= {
        "static": static, "entity_url": entity_url, "url": url, "severities": list(Severity),
        "families": FAMILIES, "lanes": LANES, "states": STATES,
    }  # fmt: skip
    return made


def harmless(value: Any) -> Any:
    """What every `{{ }}` goes through: text as one that reads as what it is."""
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return plain(value, MAX_SHOWN)
    return value


def money(dollars: float | None) -> str:
    """Dollars, an estimate.

    >>> money(1234.5), money(0.004), money(None)
    ('$1,234.50', '<$0.01', '')
    """
    if dollars is None:
        return ""
    if 0 < dollars < 0.01:
        return "<$0.01"
    return f"${dollars:,.2f}" if dollars < 1e9 else f"${dollars:.3g}"


def amount(value: float | None) -> str:
    """A number with as many digits as one reads.

    >>> amount(11847.2), amount(0.034567), amount(3)
    ('11,847', '0.0346', '3')
    """
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def utc(moment: datetime | float | None, form: str = "%Y-%m-%d %H:%M:%S UTC") -> str:
    """An instant, absolute."""
    if moment is None:
        return ""
    if isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    return f"{moment.astimezone(UTC):{form}}"


def distance(seconds: float) -> str:
    """How long something lasts.

    >>> distance(59), distance(200), distance(90_000)
    ('59 s', '3 min', '25 h')
    """
    for size, unit in _UNITS:
        if seconds >= size * (2 if size > 60 else 1):
            return f"{int(seconds // size)} {unit}"
    return "0 s"


def field(event: Mapping[str, Any], name: str) -> str:
    """One field of an event's copy, as people read it."""
    value = event.get(name)
    if value is None:
        return ""
    if name == "time":
        return plain(str(value), 60).replace("T", " ").removesuffix("Z")
    if name == "cost_usd" and isinstance(value, int | float):
        return f"{value:.4f}"
    return (
        f"{value:,}"
        if isinstance(value, int) and name.endswith("_tokens")
        else plain(str(value), 60)
    )


def seldom(per_month: float) -> str:
    """How often something comes up that is expected so many times a month.

    >>> seldom(2.5), seldom(0.1), seldom(1.4e-6)
    ('2.5 times a month', 'once in 10 months', 'once in 60,000 years')
    """
    if per_month >= 1:
        return f"{per_month:.2g} times a month"
    months = 1 / max(per_month, 1e-300)
    if months < 24:
        return f"once in {months:.0f} months"
    years = float(f"{months / 12:.2g}")
    return f"once in {years:,.0f} years" if years < 1e6 else "once in over a million years"


@pass_context
def ago(context: Context, moment: datetime | float | None) -> Markup:
    """An instant as a `<time>`: near on the page, absolute on hover; scripts keep it current."""
    if moment is None:
        return Markup("")
    if isinstance(moment, int | float):
        moment = datetime.fromtimestamp(moment, UTC)
    seconds = (context["now"] - moment).total_seconds()
    words = f"{distance(seconds)} ago" if seconds >= 0 else f"in {distance(-seconds)}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        moment.astimezone(UTC).isoformat(timespec="seconds"), utc(moment), words
    )


def instant(moment: datetime | float | None) -> Markup:
    """An instant as a `<time>`, absolute."""
    if moment is None:
        return Markup("")
    text = utc(moment, "%d %b %H:%M:%S")
    return Markup('<time title="{}">{}</time>').format(utc(moment), text)


def pretty(value: Any) -> str:
    """JSON for people; characters that hide are written as escapes."""
    return json.dumps(value, indent=2, sort_keys=False, ensure_ascii=True)


def static(name: str) -> str:
    """The address of a file we ship; it changes with the file, so that browsers keep it."""
    return f"/static/{name}?v={_version(name)}"


_versions: dict[str, str] = {}


def _version(name: str) -> str:
    if name not in _versions:
        _versions[name] = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]
    return _versions[name]


def url(path: str, **query: str) -> str:
    """An address of ours with a query."""
    given = {name: value for name, value in query.items() if value}
    return f"{quote(path)}?{urlencode(given)}" if given else quote(path)


def entity_url(lane: str, id: str) -> str:
    """The page of an entity."""
    return f"/entities/{quote(lane, safe='')}?{urlencode({'id': id})}"


def safe_next(text: str) -> str:
    """Where to go after signing in: only ever a page of ours.

    >>> safe_next("/incidents/1?x=2"), safe_next("//evil.example"), safe_next("/\\\\\\\\evil")
    ('/incidents/1?x=2', '/', '/')
    """
    fine = text.startswith("/") and not text.startswith(("//", "/\\")) and text.isprintable()
    return text if fine and "\\" not in text else "/"


class Pages:
    """Renders templates with what every page needs."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._environment = environment()
        self._common = dict(common)

    def warm(self) -> None:
        """Compiles every template."""
        for name in self._environment.list_templates():
            self._environment.get_template(name)

    def __call__(self, name: str, **values: Any) -> str:
        """A page or a part of one, as HTML."""
        return self._environment.get_template(name).render({**self._common, **values})
