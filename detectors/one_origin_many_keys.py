"""One address that uses the keys of many tenants."""

from collections.abc import Iterable

import numpy as np

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.events import Events
from detectors.memory import Memory
from detectors.places import Places, Rule
from schemas.decode import Record
from schemas.finding import About, Severity

DAY_MS = 86_400_000
HORIZON_DAYS = 7
STRANGERS = 3  # tenants whose keys meet at an address that is new to all of them
HOME_DAYS = 2  # a key's home was known at least since the day before yesterday
MAX_ENTRIES = 500_000  # keys and addresses remembered per generation
HOMES = Rule(most=16, kept=HORIZON_DAYS, past=HOME_DAYS, recent=HOME_DAYS)  # in days
MAX_GUESTS = 64  # of one address


class OneOriginManyKeys(Detector):
    """Flags an address that is answered with the keys of three tenants which live elsewhere.

    A platform's egress or an office uses many keys too, but it always did; and when it moves, its
    keys come from the same old address. Keys that were stolen one by one have nothing in common but
    the thief's address.

    Source: one resale proxy was seen with 55 stolen keys; nearly all calls of the campaign Permiso
    watched came from one address.
    Blind spot: a proxy that gives each key an address of its own; keys without a past.

    >>> from schemas.testing import record
    >>> detector = OneOriginManyKeys()
    >>> for day, homes in ((0, "abc"), (3, "xxx")):
    ...     for number, home in enumerate(homes):
    ...         who = dict(key=f"k{number}", tenant=f"t{number}", address=home)
    ...         told = list(detector.inspect(record(id=f"e{number}", **who), day * 86_400_000))
    >>> told[0].summary
    'keys of 3 tenants that live elsewhere are used from one new address'
    """

    about = About(
        id="one-origin-many-keys",
        title="One address uses the keys of many tenants",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Look up who runs the address: a hosting or VPN provider is a bad sign.",
            "Ask the owners of the named keys; revoke those that nobody vouches for.",
            "Find what the keys have in common: that is where they leaked.",
        ),
        blind_spot="a proxy that gives each key an address of its own; keys without a past",
        needs=("api_key.id", "tenant.id", "client.address", "client.address.quality"),
    )
    takes = "answered_at_origin"
    lane = "origin"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Places(HORIZON_DAYS * DAY_MS, MAX_ENTRIES, HOMES, once=True)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.client_address

    def pick(self, events: Events) -> Iterable[int]:
        days, owned = events.times // DAY_MS, events["tenant"] > 0
        keys = np.where(owned, events["key"], 0)
        return self._memory.strange(events, keys, events["address"], days, days, owned)

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tenant, address = event.api_key_id, event.tenant_id, event.client_address
        if key is None or tenant is None or address is None:
            return ()
        today = time_ms // DAY_MS
        here, homes = self._memory.note(key, address, today, today)
        old = sorted(home.name for home in homes if home.low <= today - HOME_DAYS)
        if not old or here.name in old:
            return ()  # at home here, or nowhere else
        guests = [one for one in self._memory.get(address) or () if one[0] >= today - 1]
        if key not in [one[1] for one in guests]:
            guests.append([today, key, tenant, event.event_id, time_ms, old])
        self._memory.put(address, guests[:MAX_GUESTS])
        tenants = {one[2] for one in guests}
        if len(tenants) < STRANGERS:
            return ()
        if frozenset.intersection(*(frozenset(one[5]) for one in guests)):
            return ()  # they have a home in common
        latest = sorted(([one[4], one[3]] for one in guests), reverse=True)
        return (
            Verdict(
                f"keys of {len(tenants)} tenants that live elsewhere are used from one new address",
                {"keys": len(guests), "tenants": len(tenants)},
                decisive=(latest[0][1], latest[0][0]),
                others=tuple((id, time) for time, id in latest[1:]),
            ),
        )
