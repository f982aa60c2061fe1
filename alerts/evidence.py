"""Reads a finding's evidence, whatever shape a detector gave it."""

import re
from dataclasses import dataclass
from typing import Any, TypeGuard

from pydantic import JsonValue

from schemas.finding import MAX_FINDING_EVENTS, Finding

MAX_COMPARISONS = 12  # features shown side by side with the habit

_DOLLARS = "nanousd"
_LABEL = re.compile("[a-z][a-z_]{0,30}")
_SHOWN_ELSEWHERE = {
    "feature",
    "limit",
    "per_key_month",
    "seen",
    "tool",
    "tripped",
    "usual_total",
    "window",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One feature of the window: what was seen, and what is usual for this key.

    Money is in dollars. `limit` is the value that is too rare to be usual, where it is known.
    """

    feature: str
    seen: float
    usual: float
    limit: float | None = None


def events(finding: Finding) -> list[dict[str, JsonValue]]:
    """The copies of events it carries, the deciding one first."""
    copies = finding.evidence.get("events")
    if not isinstance(copies, list):
        return []
    return [each for each in copies if isinstance(each, dict)][:MAX_FINDING_EVENTS]


def values(finding: Finding, name: str) -> list[str]:
    """The different values of one field in those events, in order."""
    found = (event.get(name) for event in events(finding))
    return list(dict.fromkeys(value for value in found if isinstance(value, str) and value))


def decided(finding: Finding) -> list[Comparison]:
    """The comparison that decided, where a habit did."""
    names = (finding.evidence.get("feature"), finding.evidence.get("tripped"))
    shown = {_in_dollars(name) for name in names if isinstance(name, str)}
    return [each for each in comparisons(finding) if each.feature in shown]


def details(finding: Finding) -> list[tuple[str, str]]:
    """What else a detector names beside its counts, as label and value: names before numbers."""
    found = [
        (name.replace("_", " "), value if isinstance(value, str) else f"{value:,}")
        for name, value in finding.evidence.items()
        if name not in _SHOWN_ELSEWHERE
        and _LABEL.fullmatch(name)
        and (isinstance(value, str) or _number(value))
        and value
    ]
    return sorted(found, key=lambda pair: pair[1][:1].isdigit())


def comparisons(finding: Finding) -> list[Comparison]:
    """What was seen against what is usual, for the features that have both."""
    evidence = finding.evidence
    usual = evidence.get("usual")
    if not isinstance(usual, dict):
        return []
    first = (evidence.get("feature"), evidence.get("tripped"))  # what decided comes first
    names = sorted(usual, key=lambda name: name not in first)
    found = (_compare(name, _seen(evidence, name), usual[name]) for name in names)
    return [each for each in found if each is not None][:MAX_COMPARISONS]


def _seen(evidence: dict[str, JsonValue], name: str) -> JsonValue:
    for key in ("seen", "totals"):
        table = evidence.get(key)
        if isinstance(table, dict) and name in table:
            return table[name]
    return None


def _compare(name: str, seen: JsonValue, usual: Any) -> Comparison | None:
    limit = None
    if isinstance(usual, dict):
        usual, limit = usual.get("typical"), usual.get("limit")
    if not _number(seen) or not _number(usual):
        return None
    known = limit if _number(limit) else None
    if name != _DOLLARS:
        return Comparison(name, seen, usual, known)
    return Comparison("cost_usd", seen / 1e9, usual / 1e9, None if known is None else known / 1e9)


def _in_dollars(name: str) -> str:
    return "cost_usd" if name == _DOLLARS else name


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
