"""Adds to a call what only other spans of the same request know: client, key, attempts."""

from collections import defaultdict
from collections.abc import Iterable

from schemas.adapters.collapse import Told
from schemas.adapters.family import Family
from schemas.adapters.signal import SERVER, Resource, Signal


def enrich(told: Iterable[Told], family: Family) -> None:
    """Adds what only other spans of the same request know: client, key, attempts."""
    told = list(told)
    attempts = family.by_root(_is_attempt)
    resent = family.by_root(
        lambda s: isinstance(s.attributes.get("http.request.resend_count"), int)
    )
    calls: dict[str, int] = defaultdict(int)
    for one in told:
        if one.draft["event.name"] == "llm.request":
            calls[family.root(one.signal)] += 1
    for one in told:
        root = family.root(one.signal)
        for above in family.ancestors(one.signal):
            _fill_from(one, above)
        if one.draft["event.name"] != "llm.request" or one.draft["retry.evidence"] != "none":
            continue
        below = [s for s in resent.get(root, ()) if one.signal in family.ancestors(s)]
        if below:
            count = max(s.attributes["http.request.resend_count"] for s in below)
            one.draft |= {"http.request.resend_count": count, "retry.evidence": "observed"}
        elif calls[root] == 1 and (tries := attempts.get(root)):
            one.draft |= {
                "http.request.resend_count": len(tries) - 1,
                "retry.evidence": "observed",
            }


def _is_resent(signal: Signal) -> bool:
    return isinstance(signal.attributes.get("http.request.resend_count"), int)


def _is_attempt(signal: Signal) -> bool:
    """A gateway's span for one attempt: a model and an owner, and nothing that tells of a call."""
    has = signal.attributes
    return (
        "gen_ai.request.model" in has
        and "litellm.api_key.hash" in has
        and not any(name in has for name in _NOT_AN_ATTEMPT)
    )


_NOT_AN_ATTEMPT = (
    "gen_ai.operation.name",
    "code.function.name",
    "http.route",
    "http.request.method",
    "mcp.method.name",
    "litellm.call_id",
)


_OF_A_REFUSED_KEY = (
    ("api_key.id", "litellm.api_key.hash"),
    ("gen_ai.request.model", "gen_ai.request.model"),
)


def _fill_from(one: Told, above: Signal) -> None:
    if not _same_process(one.signal.resource, above.resource):
        return
    for field in ("user_agent.original", "client.address"):
        value = above.attributes.get(field)
        if above.role == SERVER and isinstance(value, str) and not one.draft.get(field):
            one.draft[field] = value
            if field == "client.address":
                one.draft["client.address.quality"] = "xff_unverified"
    if one.draft["event.name"] == "llm.auth_failure":
        for field, name in _OF_A_REFUSED_KEY:
            one.draft[field] = one.draft.get(field) or above.attributes.get(name)


def _same_process(a: Resource, b: Resource) -> bool:
    return a is b or a.attributes == b.attributes
