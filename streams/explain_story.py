"""A finding in words: what was seen, what is usual, how improbable, what it cost."""

from dataclasses import dataclass
from typing import Any, TypeGuard

from detectors import CATALOG
from detectors.features import WINDOWS, Feature

MAX_FEATURES = 12  # contributing features that are listed
TELLS_ELSEWHERE = {"window", "tripped", "totals", "usual", "events", "seen", "feature", "features"}
TELLS_ELSEWHERE |= {"usual_total", "limit", "per_key_month"}

Finding = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Contribution:
    """One feature's part in a finding. Money in dollars.

    Attributes:
        typical: of a usual window; None where nothing was learned.
        limit: what it had to pass; None where no detector watches it.
        decided: it passed its limit first.
        learned: the limit comes from a habit, not from a fixed number.
    """

    feature: str
    unit: str
    seen: float
    typical: float | None = None
    limit: float | None = None
    windows: int = 0
    decided: bool = False
    learned: bool = False

    @property
    def times(self) -> float:
        """How many times its limit, or else its typical size; 0 without either."""
        against = self.limit or self.typical
        return self.seen / against if against else 0.0

    def told(self) -> str:
        """In words."""
        parts = [f"{number(self.seen)} {self.unit}"]
        if self.typical is not None:
            parts.append(f"usually {number(self.typical)}")
        if self.limit is not None:
            parts.append(f"{'limit' if self.learned else 'fixed limit'} {number(self.limit)}")
        if self.times > 0:
            parts.append(f"{self.times:,.1f} times that")
        return ", ".join(parts) + (" (this decided)" if self.decided else "")


def contributions(finding: Finding) -> list[Contribution]:
    """The features behind a finding: what decided first, then by how far each is beyond."""
    evidence = finding.get("evidence") or {}
    totals = evidence.get("totals")
    found = _of_window(finding, evidence, totals) if isinstance(totals, dict) else []
    found = found or _of_pairs(evidence)
    found.sort(key=lambda one: (not one.decided, -one.times, one.feature))
    return [one for one in found if one.decided or one.seen > 0][:MAX_FEATURES]


def _of_window(finding: Finding, evidence: Finding, totals: Finding) -> list[Contribution]:
    spec = (evidence.get("window") or {}).get("spec")
    features = {f.name: f for window in WINDOWS if window.name == spec for f in window.features}
    known = max(
        (one.get("windows", 0) for one in (evidence.get("usual") or {}).values()), default=0
    )
    watched = {
        channel.feature: channel
        for kind in CATALOG
        if kind.about.id == finding["detector"]
        for channel in kind.channels
        if channel.window == spec and channel.mature <= known < (channel.young or known + 1)
    }
    found = []
    for name, seen in totals.items():
        usual = (evidence.get("usual") or {}).get(name) or {}
        channel = watched.get(name)
        learned = bool(usual)
        limit = usual.get("limit")
        if channel is not None:  # the least limit, or the only one
            limit = max(limit or 0, channel.above)
            learned = learned and channel.share is not None
        unit, scale = _unit(features.get(name), name)
        found.append(
            Contribution(
                name,
                unit,
                seen / scale,
                usual.get("typical", 0.0) / scale if usual else None,
                None if limit is None else limit / scale,
                int(usual.get("windows") or 0),
                name == evidence.get("tripped"),
                learned,
            )
        )
    return found


def _of_pairs(evidence: Finding) -> list[Contribution]:
    """`steps` beside `usual_steps`, as detectors that inspect events write it."""
    found = []
    for name, seen in evidence.items():
        usual = evidence.get(f"usual_{name}")
        if _is_number(seen) and _is_number(usual):
            unit = name.replace("_", " ")
            found.append(Contribution(name, unit, float(seen), float(usual), decided=True))
    return found


def _unit(feature: Feature | None, name: str) -> tuple[str, float]:
    unit = feature.unit if feature else name.replace("_", " ")
    return ("dollars", 1e9) if unit == "nano-dollars" else (unit, 1.0)


def story(
    finding: Finding, since: str | None = None, level: str | None = None
) -> list[tuple[str, str]]:
    """A finding as pairs of a heading and a text, in reading order.

    Args:
        since: how far back its habit is known to reach, where something shows that.
        level: since when the key's windows are where they are, in words.
    """
    evidence = finding.get("evidence") or {}
    parts = contributions(finding)
    pairs = [
        ("what", f"{finding['title']} ({finding['detector']}, {finding['severity']})"),
        ("summary", finding["summary"]),
        ("entity", f"{finding['entity']['lane']} {finding['entity']['id']}"),
        ("tenant", finding["tenant"] or "unknown"),
        ("decided", finding["time"]),
        ("since", finding["since"]),
        ("revision", f"{finding['revision']}{' (final)' if finding['final'] else ''}"),
        ("mode", finding["mode"]),
        ("seen", _seen(parts, evidence)),
        ("usual", _usual(parts, evidence, since)),
        *([("level", level)] if level else []),
        ("probability", _probability(finding, evidence)),
        ("cost", _dollars(finding["cost_usd"], finding["provenance"]["prices"])),
    ]
    pairs += [(f"feature {n}: {one.feature}", one.told()) for n, one in enumerate(parts, 1)]
    for name in sorted(set(evidence) - TELLS_ELSEWHERE):
        pairs += _evidence(name, evidence[name])
    pairs += [("event", event) for event in finding["event_ids"]]
    pairs += [(f"step {n}", step) for n, step in enumerate(finding["runbook"], 1)]
    pairs += [
        ("mapped to", f"{t['framework']} {t['version']} {t['id']} {t['name']}")
        for t in finding["techniques"]
    ]
    pairs += [(f"made by {name}", str(value)) for name, value in finding["provenance"].items()]
    return pairs


def _seen(parts: list[Contribution], evidence: Finding) -> str:
    decided = next((one for one in parts if one.decided), None)
    if decided is None:
        return "the events below"
    window = evidence.get("window") or {}
    within = f" in the window {window['spec']} that began {window['start']}" if window else ""
    return f"{number(decided.seen)} {decided.unit}{within}"


def _usual(parts: list[Contribution], evidence: Finding, since: str | None) -> str:
    """What is usual, and how that is known."""
    decided = next((one for one in parts if one.decided), None)
    if decided is None:
        return "nothing was compared: this is decided by what the events say"
    if not decided.learned:
        if not evidence.get("usual") and decided.typical is not None:
            return f"{number(decided.typical)} {decided.unit}, as far as remembered"
        limit = "" if decided.limit is None else f"at most {number(decided.limit)} {decided.unit}: "
        return f"{limit}a fixed limit, the same for every key; no habit decided this"
    return (
        f"{number(decided.typical or 0)} {decided.unit}, above {number(decided.limit or 0)} too"
        f" rarely for the alert budget; learned from {decided.windows:,} windows of this key's"
        " own past" + (f", since {since} or before" if since else "")
    )


def _evidence(name: str, value: Any) -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [(f"{name} {key}", str(inner)) for key, inner in value.items()]
    return [(name, str(value))]


def _probability(finding: Finding, evidence: Finding) -> str:
    value, rate = finding["probability"], evidence.get("per_key_month")
    if value is None:
        return "a fact, not a guess"
    often = f"; its habit reaches this {rate:.3g} times a month" if _is_number(rate) else ""
    return f"{value:.3g} within a month under this key's own habit{often}"


def _dollars(value: float | None, prices: str) -> str:
    return "unknown" if value is None else f"${value:,.2f} so far (prices of {prices or 'none'})"


def number(value: float) -> str:
    """Short enough to read: no decimals from 100 on.

    >>> number(1234567.8), number(1.5), number(12)
    ('1,234,568', '1.5', '12')
    """
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.3g}"


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
