"""Hands each table of the configuration to the room that owns it, and brings complaints back."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from streams.configuration import Extra, Problem, problems_of, unknown_name
from streams.settings import Settings

if TYPE_CHECKING:
    from schemas.adapters import Context
    from schemas.prices import PriceTable
    from streams.pipeline import CoreSettings


ELSEWHERE = {"modes", "tenants", "exceptions"}  # core settings that are tables of their own


def core_model() -> type[BaseModel]:
    """The model behind `[core]`."""
    from streams.pipeline import CoreSettings

    return CoreSettings


def core_settings(settings: Settings) -> "CoreSettings":
    """What the pipeline is built with."""
    from streams.pipeline import CoreSettings

    decided = {
        "modes": dict(settings.detectors),
        "tenants": dict(settings.tenants),
        "exceptions": settings.exceptions,
    }
    newest = max(price.date for price in prices(settings)).isoformat()
    return CoreSettings.model_validate({"prices": newest, **settings.core, **decided})


def prices(settings: Settings) -> "PriceTable":
    """List prices, with the operator's own on top.

    Raises:
        InvalidPrices, OSError: their file cannot be used; says where.
    """
    from schemas.prices import list_prices

    file = settings.adapters.prices_file
    if file is None:
        return list_prices()
    path = settings.base / file
    return _own_prices(path, path.stat().st_mtime_ns)


@lru_cache(4)
def _own_prices(path: Path, written_ns: int) -> "PriceTable":
    from schemas.prices import list_prices

    return list_prices().overridden(path)


def detector_names() -> list[str]:
    """Ids of the catalog."""
    from detectors import CATALOG

    return [detector.about.id for detector in CATALOG]


def context(
    settings: Settings, pepper: bytes, source: str | None = None, observed: datetime | None = None
) -> "Context":
    """What adapters may know beside the bytes of a request, or of a file (without the last two)."""
    from schemas.adapters import Context

    told = settings.adapters
    return Context(
        pepper=pepper,
        observed=observed,
        source=source,
        trusted_proxies=told.trusted_proxies,
        side_effects=told.side_effects,
        prices=prices(settings),
        resource_arguments=frozenset(told.resource_arguments),
        tenant_attributes=told.tenant_attributes,
    )


def _prices(settings: Settings) -> Iterable[Problem]:
    from schemas.prices import InvalidPrices

    try:
        prices(settings)
    except (InvalidPrices, OSError) as error:
        said = str(error) if isinstance(error, InvalidPrices) else f"{error.strerror}"
        yield Problem(("adapters", "prices_file"), said, "correct the file, or remove the setting")


def _core(settings: Settings) -> Iterable[Problem]:
    known = set(core_model().model_fields) - ELSEWHERE
    for name in settings.core:
        if name not in known:
            yield unknown_name(("core", name), known)
            return
    if any(_prices(settings)):
        return  # told already
    try:
        core_settings(settings)
    except ValidationError as error:
        for problem in problems_of(error, core_model()):
            inside = problem.loc[0] in ELSEWHERE
            yield problem if inside else replace(problem, loc=("core", *problem.loc))


def _detectors(settings: Settings) -> Iterable[Problem]:
    known = detector_names()
    for name in settings.detectors:
        if name not in known:
            yield unknown_name(("detectors", name), known)
    for tenant, own in settings.tenants.items():
        for name in own:
            if name not in known:
                yield unknown_name(("tenants", tenant, name), known)
    for place, one in enumerate(settings.exceptions):
        if one.get("detector") not in (None, *known):
            problem = unknown_name(("exceptions", place, one["detector"]), known)
            yield replace(problem, loc=("exceptions", place, "detector"), reason="unknown detector")


def _destinations(settings: Settings) -> Iterable[Problem]:
    from alerts.destinations import BadDestinations, Destinations

    others = ("findings-file",) if settings.store.findings_file else ()
    try:
        Destinations(settings.destinations, settings.base, settings.routes, others)
    except BadDestinations as error:
        for fault in error.faults:
            yield Problem(fault.loc, fault.reason, fault.remedy)


def missing_secrets(settings: Settings) -> list[Problem]:
    """What `check` says about tokens of destinations that are not where they should be."""
    from alerts.destinations import BadDestinations, Destinations

    try:
        faults = Destinations(settings.destinations, settings.base).missing_secrets()
    except BadDestinations:
        return []  # told by the check of the destinations themselves
    return [Problem(fault.loc, fault.reason, fault.remedy) for fault in faults]


def token_problems(settings: Settings) -> list[Problem]:
    """What is wrong with the secrets of senders."""
    from streams.tokens import configured

    return configured(settings)[1]


def _database(settings: Settings) -> Iterable[Problem]:
    try:
        settings.store.url()
    except ValueError as error:
        yield Problem(("store", "database_env"), str(error), "set it, or remove the setting")


EXTRAS: tuple[Extra, ...] = (_core, _prices, _detectors, _destinations, _database)
JUDGED: tuple[Extra, ...] = (_core, _detectors)
"""Checks of what decides findings, for commands that judge and tell nobody."""
