"""One address that uses the keys of many tenants."""

from collections.abc import Iterable
from typing import Any

from detectors.base import Detector, Verdict, atlas, attack, owasp
from detectors.memory import Memory
from schemas.decode import Record
from schemas.finding import About, Severity

DAY_MS = 86_400_000
HORIZON_DAYS = 7
STRANGERS = 3  # tenants whose keys meet at an address that is new to all of them
HOME_DAYS = 2  # a key's home was known at least since the day before yesterday
MAX_ENTRIES = 500_000  # keys and addresses remembered per generation
MAX_HOMES = 16  # of one key
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
    once = ("key", "address")
    lane = "origin"

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        super().__init__(allowed)
        self._memory = Memory(HORIZON_DAYS * DAY_MS, MAX_ENTRIES)

    @property
    def memory(self) -> Memory:
        return self._memory

    def entity(self, event: Record) -> str | None:
        return event.client_address

    def inspect(self, event: Record, time_ms: int) -> Iterable[Verdict]:
        key, tenant, address = event.api_key_id, event.tenant_id, event.client_address
        if key is None or tenant is None or address is None:
            return ()
        today = time_ms // DAY_MS
        homes = self._note_home(key, address, today)
        old = sorted(home[0] for home in homes if home[1] <= today - HOME_DAYS)
        if not old or address in old:
            return ()  # at home here, or nowhere else
        guests = [one for one in self._memory.get("at " + address) or () if one[0] >= today - 1]
        if key not in [one[1] for one in guests]:
            guests.append([today, key, tenant, event.event_id, time_ms, old])
        self._memory.put("at " + address, guests[:MAX_GUESTS])
        tenants = {one[2] for one in guests}
        common = frozenset.intersection(*(frozenset(one[5]) for one in guests))
        if len(tenants) < STRANGERS or common:
            return ()
        latest = sorted(([one[4], one[3]] for one in guests), reverse=True)
        return (
            Verdict(
                f"keys of {len(tenants)} tenants that live elsewhere are used from one new address",
                {"keys": len(guests), "tenants": len(tenants)},
                decisive=(latest[0][1], latest[0][0]),
                others=tuple((id, time) for time, id in latest[1:]),
            ),
        )

    def _note_home(self, key: str, address: str, today: int) -> list[list[Any]]:
        """Where a key is answered: address, first and newest day."""
        name = "of " + key
        homes: list[list[Any]] = self._memory.get(name) or []
        for home in homes:
            if home[0] == address and home[1] <= today <= home[2]:
                self._memory.keep(name, homes)
                return homes  # the usual case
        homes = [home for home in homes if home[2] >= today - HORIZON_DAYS]
        here = next((home for home in homes if home[0] == address), None)
        if here is None:
            here = [address, today, today]
            homes = [*homes[: MAX_HOMES - 1], here]  # a thief cannot crowd out the old ones
        here[1], here[2] = min(here[1], today), max(here[2], today)
        self._memory.put(name, homes)
        return homes
