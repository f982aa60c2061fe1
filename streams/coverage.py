"""Which event fields a source can fill, so that a detector without its inputs says so."""

import importlib
import pkgutil

from schemas.finding import About

CALLS = frozenset({"llm.request", "agent.tool_call", "agent.tool_list", "llm.auth_failure"})


class UnknownSource(ValueError):
    """No adapter has that name; the message lists those that exist."""


def sources() -> dict[str, frozenset[str]]:
    """Every adapter that declares what it provides, by the name of its module."""
    package = importlib.import_module("schemas.adapters")
    found: dict[str, frozenset[str]] = {}
    for module in pkgutil.iter_modules(package.__path__):
        provided = getattr(
            importlib.import_module(f"schemas.adapters.{module.name}"), "PROVIDES", None
        )
        if provided is not None:
            found[module.name.replace("_", "-")] = frozenset(provided)
    return found


def provides(source: str) -> frozenset[str]:
    """Wire names of the fields a source can fill.

    Raises:
        UnknownSource: with the names that are known.
    """
    known = sources()
    if source not in known:
        raise UnknownSource(f"no source {source!r}; known: {', '.join(sorted(known))}")
    return known[source]


def kinds(source: str) -> frozenset[str]:
    """Kinds of events a source can make; calls of models and tools, unless its adapter says more.

    Raises:
        UnknownSource: with the names that are known.
    """
    provides(source)
    module = importlib.import_module(f"schemas.adapters.{source.replace('-', '_')}")
    return frozenset(getattr(module, "KINDS", CALLS))


def missing(about: About, source: str) -> list[str]:
    """What a detector lacks with a source; nothing means that it is covered.

    Raises:
        UnknownSource: with the names that are known.
    """
    fields, made = provides(source), kinds(source)
    lacking = [kind for kind in about.kinds if kind not in made]
    return [f"{kind} events" for kind in lacking] + [
        name for name in about.needs if name not in fields
    ]
