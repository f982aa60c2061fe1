"""A key used as none of its tenant's keys ever was: what a key without a past is judged by."""

from bisect import insort
from collections.abc import Iterable
from typing import Any

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp, usd
from detectors.events import Events
from detectors.memory import Memory
from detectors.places import Place, Places, Rule
from detectors.settled import HOUR_MS
from schemas.decode import Record
from schemas.finding import About, Severity
from schemas.fingerprint import fingerprint_of

DAY_H = 24
HORIZON_H = 7 * DAY_H
SAMPLED = 16  # calls for each one looked at; see `sampled` in streams.masks
NEW_ADDRESSES = 8  # of one key within a day, each new to its tenant
DEAR_NANOUSD = 20_000_000  # a call that costs so much is dear
DEAR_CALLS = 6  # looked at, of one key within a day, of a model and an address new to its tenant
DEAR_SPENT_NANOUSD = 10_000_000_000  # and what they, and those not looked at, cost
MOST_PLACES = 256  # of one tenant; one that has more is not judged
MAX_ENTRIES = 100_000  # tenants, and keys at new addresses, remembered per generation
MAX_CALLS = 64  # of one key
PLACES = Rule(most=MOST_PLACES, kept=HORIZON_H, gap=DAY_H, past=DAY_H, recent=DAY_H)  # in hours
_MODELS = 0x9E3779B97F4A7C15  # makes of a tenant's name that of its models


class UnlikeTenant(Detector):
    """Flags a key that does, from addresses new to its tenant, what no key of the tenant did.

    Either it comes from eight new addresses within a day, or it spends more than ten dollars in
    dear calls of a model that is new to the tenant as well. A key needs no past for that, its
    tenant one of a day. A migration brings a new model from known addresses; a roaming laptop new
    addresses one at a time; a new project either.

    One call in sixteen is looked at, so the tenth dollar is an estimate.

    Source: of stolen keys that were never used before, those sold to many come from 3 to 40 new
    addresses at once and use the dearest model (docs/detection.md); in 220 honest key-months no key
    brought its tenant a new model for ten dollars in a day.
    Blind spot: a thief at one or few addresses who uses models that the tenant uses too.

    >>> from schemas.testing import record
    >>> detector, day = UnlikeTenant(), 86_400_000
    >>> home = record(id="h", key="k", tenant="t", address="home", model="small")
    >>> list(detector.inspect(home, 0))
    []
    >>> far = [record(id=f"e{n}", key="new", tenant="t", address=f"far-{n}") for n in range(8)]
    >>> told = [list(detector.inspect(call, 2 * day + n)) for n, call in enumerate(far)]
    >>> told[-1][0].summary
    'a key is used from 8 addresses within a day that are new to its tenant'
    """

    about = About(
        id="unlike-tenant",
        title="A key is used as no key of its tenant ever was",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Ask the tenant whether a new project began, and who made its key.",
            "Look up who runs the addresses: many networks at once are a bad sign.",
            "Revoke the key if nobody knows them; lower its budget at the gateway meanwhile.",
        ),
        blind_spot="a thief at one or few addresses who uses models that the tenant uses too",
        needs=("api_key.id", "tenant.id", "client.address", "gen_ai.request.model", "cost.usd"),
    )
    takes = "sampled"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Places(HORIZON_H * HOUR_MS, MAX_ENTRIES, PLACES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.api_key_id

    def pick(self, events: Events) -> Iterable[int]:
        memory, hours, addresses = self._memory, events.times // HOUR_MS, events["address"]
        tenants = np.where((addresses > 0) & (events["key"] > 0), events["tenant"], np.uint64(0))
        models = np.where(tenants > 0, tenants * np.uint64(_MODELS) | np.uint64(1), tenants)
        everyone, done = np.ones(len(tenants), np.bool_), 0
        for at in memory.strange(events, tenants, addresses, hours, hours, everyone):
            here = slice(done, at + 1)
            memory.note_all(models[here], events["model"][here], hours[here], hours[here])
            done = at + 1
            yield at
        memory.note_all(models[done:], events["model"][done:], hours[done:], hours[done:])

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tenant = event.api_key_id, event.tenant_id
        address, model = event.client_address, event.request_model
        if key is None or tenant is None or address is None:
            return ()
        hour, new_model = time_ms // HOUR_MS, False
        if model is not None:
            of_models = fingerprint_of(tenant) * _MODELS % 2**64 | 1
            new_model = _new(*self._memory.note(of_models, model, hour, hour), hour)
        if not _new(*self._memory.note(tenant, address, hour, hour), hour):
            return ()
        name = f"{tenant}\0{key}"
        calls, dear = self._memory.get(name) or [[], []]
        here = fingerprint_of(address)
        mine = [[time_ms, event.event_id, here], *(one for one in calls if one[2] == here)]
        calls = [one for one in calls if one[2] != here]
        insort(calls, min(mine))
        cost = round(1e9 * (event.cost_usd or 0.0))
        if new_model and cost >= DEAR_NANOUSD:
            insort(dear, [time_ms, event.event_id, cost])
        since = max(time_ms, *(one[-1][0] for one in (calls, dear) if one)) - DAY_H * HOUR_MS
        calls, dear = _since(calls, since), _since(dear, since)
        self._memory.put(name, [calls, dear])
        spent = SAMPLED * sum(one[2] for one in dear)
        if len(calls) >= NEW_ADDRESSES:
            said = f"from {len(calls)} addresses within a day that are new to its tenant"
            return (_verdict(said, calls, {"new_addresses": len(calls)}, None),)
        if len(dear) >= DEAR_CALLS and spent > DEAR_SPENT_NANOUSD:
            said = f"for some ${usd(spent):,.2f}, of a model and from addresses new to its tenant"
            return (_verdict(said, dear, {"sampled_calls": len(dear)}, spent),)
        return ()


def _new(here: Place, places: list[Place], hour: int) -> bool:
    """Whether a place, or a model, is new to a tenant that is not new itself."""
    oldest = min(place.low for place in places)
    if len(places) >= MOST_PLACES or oldest > hour - DAY_H:
        return False
    return here.low >= oldest + DAY_H and here.low > hour - DAY_H


def _since(calls: list[list[Any]], since: int) -> list[list[Any]]:
    return [call for call in calls if call[0] > since][-MAX_CALLS:]


def _verdict(said: str, calls: list[list[Any]], seen: dict[str, Any], cost: int | None) -> Verdict:
    return Verdict(
        f"a key is used {said}",
        {**seen, "within_hours": round((calls[-1][0] - calls[0][0]) / HOUR_MS, 1)},
        decisive=(calls[-1][1], calls[-1][0]),
        others=tuple((call[1], call[0]) for call in reversed(calls[:-1])),
        cost_nanousd=cost,
    )
