"""Somebody else at work with a key, beside its owner."""

from detectors.base import Channel, Detector, Verdict, Window, atlas, attack, owasp, usd
from detectors.records import Most
from schemas.finding import About, Severity

KNOWN_DAYS = 2  # closed days before a key's record means anything
LEAST_HOURS = 4  # in a day; below this nobody is a second user
LEAST_NANOUSD = 1_000_000_000
HOURS = 0.42  # parts of what facts leave of the alert budget; few honest keys find new hours
PLACES = 0.34
SPEND = 0.09
SAID = {
    "active_hours": "the key was at work in {seen} different hours of a day",
    "address_hours": "addresses were at work for {seen} hours of a day together",
    "nanousd": "an estimated ${seen:,.2f} in a day",
}


class SecondUser(Detector):
    """Compares a key's day with the fullest day it ever had.

    A patient thief stays below every rate: some calls an hour, for days. But a second user fills
    hours in which the owner rests, and works from an address of their own while the owner's stay
    at work. Hours and places have narrow records even where calls and dollars burst twentyfold.

    Source: of n + 1 like days each holds the record with probability 1 / (n + 1) (Rényi 1962); a
    tail over logarithms says how far beyond (`detectors.records`).
    Blind spot: a thief who works only in the owner's hours and from the owner's address.

    >>> from detectors.testing import window
    >>> SecondUser().judge(window(active_hours=23, address_hours=23)).summary
    'the key was at work in 23 different hours of a day'
    """

    about = About(
        id="second-user",
        title="Somebody else works with a key beside its owner",
        family="llmjacking",
        severity=Severity.MEDIUM,
        techniques=(
            atlas("AML.T0012", "Valid Accounts"),
            attack("T1496.004", "Resource Hijacking: Cloud Service Hijacking"),
            owasp("LLM10", "Unbounded Consumption"),
        ),
        runbook=(
            "List the addresses of the day: which of them does the owner not know?",
            "Look at the hours in which the key never worked before: whose calls are these?",
            "Give the owner a new key, and see who goes on with the old one.",
            "If the owner has a new job or office, mark the level as expected.",
        ),
        blind_spot="a thief who works only in the owner's hours and from the owner's address",
        needs=("api_key.id",),
        helps=("client.address", "cost.usd"),
    )

    channels = (
        Channel("credential/1d", "active_hours", LEAST_HOURS, share=HOURS, mature=KNOWN_DAYS),
        Channel("credential/1d", "address_hours", LEAST_HOURS, share=PLACES, mature=KNOWN_DAYS),
        Channel("credential/1d", "nanousd", LEAST_NANOUSD, share=SPEND, mature=KNOWN_DAYS),
    )

    def judge(self, window: Window) -> Verdict | None:
        feature = window.tripped
        total = window.totals[feature]
        seen = usd(total) if feature == "nanousd" else total
        said = SAID[feature].format(seen=seen)
        record = window.usual.get(feature)
        if not isinstance(record, Most):
            return Verdict(said)
        most = usd(record.typical) if feature == "nanousd" else round(record.typical)
        rate = record.per_month(total)
        return Verdict(
            f"{said}; {most:,} was the most of {record.windows} days",
            {
                "feature": feature,
                "seen": total,
                "usual_total": round(record.typical),
                "limit": round(record.limit),
                "per_key_month": rate,
            },
            probability=min(1.0, rate),
        )
