"""A key used from where, and by what, it never was before."""

from pydantic import JsonValue

from detectors.base import Channel, Detector, Verdict, Window, atlas, attack, owasp, usd
from schemas.finding import About, Severity

ODD_CALLS = 1  # calls from a new address with a new model or client that are still honest
NEW_ADDRESSES = 2  # in an hour; a key that roams learns a higher limit
SHARE = 0.3  # part of the alert budget
LEARNED_HOURS = 6
RARE_ADDRESSES = 2  # likewise, of a key that was used in few hours before
RESTED_HOURS = 24  # since its first, before such a key is judged


class NewOrigin(Detector):
    """Flags two coincidences: a new address together with a new model or client, and many new
    addresses at once.

    A key that was used in a few hours only, a day ago or more, and comes to life at several new
    places is flagged likewise: it has no habit, but no honest key wakes up everywhere at once.

    A laptop that roams brings one new address at a time and keeps its client and models; an
    upgrade brings a new client from the known addresses. A thief brings all of them together.

    Source: one first-seen address alone costs 6 false alerts per key-month on real traffic, three
    or more within an hour 0.46 (docs/detection.md).
    Blind spot: a thief inside the owner's network who uses the owner's client and models.

    >>> from detectors.testing import window
    >>> NewOrigin().judge(window(tripped="strangers", strangers=4, new_addresses=1)).summary
    '4 calls from an address new to this key, with a model or client that is new too'
    """

    about = About(
        id="new-origin",
        title="A key is used from a new place in a new way",
        family="llmjacking",
        severity=Severity.HIGH,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1078.004", "Valid Accounts: Cloud Accounts"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "Ask the owner whether the new address and client are theirs.",
            "Look up who runs the address: a hosting or VPN provider is a bad sign.",
            "Revoke the key if nobody knows them.",
        ),
        blind_spot="a thief inside the owner's network who uses the owner's client and models",
        needs=("api_key.id", "client.address", "user_agent.original"),
    )

    channels = (
        Channel("credential/1h", "strangers", above=ODD_CALLS, mature=LEARNED_HOURS),
        Channel("credential/1h", "new_addresses", NEW_ADDRESSES, share=SHARE, mature=LEARNED_HOURS),
        Channel(
            "credential/1h",
            "new_addresses",
            RARE_ADDRESSES,
            mature=1,
            young=LEARNED_HOURS,
            aged=RESTED_HOURS,
        ),
    )

    def judge(self, window: Window) -> Verdict | None:
        totals = window.totals
        odd, addresses = totals["strangers"], totals["new_addresses"]
        evidence: dict[str, JsonValue] = {
            "new_addresses": addresses,
            "calls_with_new_model_or_client": odd,
            "new_models": totals["new_models"],
            "tokens_from_new_addresses": totals["stranger_tokens"],
            "usd_in_this_hour": usd(totals["nanousd"]),
        }
        if odd > ODD_CALLS:
            return Verdict(
                f"{odd} calls from an address new to this key, with a model or client that is"
                " new too",
                evidence,
                Severity.HIGH,
            )
        return Verdict(
            f"{addresses} addresses new to this key within an hour", evidence, Severity.MEDIUM
        )
