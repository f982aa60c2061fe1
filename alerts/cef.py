"""A finding in the Common Event Format, as every parser reads it.

Escapes are where parsers differ: some keep the backslash of `\\=`, some stumble over `\\|`, some
read on to the next `"`, over the fields in between. So what needs an escape is never written: `|`
and `\\` become `/`, `=` becomes `:`, `"` becomes `'`. Ids of ours have none of them.
"""

from alerts.base import Delivery
from alerts.evidence import values
from alerts.ocsf import PRODUCT_VERSION, body_of, is_ip
from alerts.text import plain
from schemas.finding import Severity

SEVERITIES = {  # of 0 to 10
    Severity.INFO: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}

SIZES = ((255, 1000), (48, 200), (16, 60))  # of values and message: the longest that fits

_UNSAFE = str.maketrans({"|": "/", "\\": "/", "=": ":", '"': "'"})


def to_cef(delivery: Delivery, product_version: str = PRODUCT_VERSION, limit: int = 8000) -> str:
    """One line of at most `limit` bytes of UTF-8 (2048 or more)."""
    line = ""
    for longest, message in SIZES:
        line = _line(delivery, product_version, longest, message)
        if len(line.encode()) <= limit:
            break
    return line


def clean(text: str, longest: int) -> str:
    """A value without anything that would need an escape.

    >>> clean("a|b\\\\c=d ", 20)
    'a/b/c:d'
    """
    return plain(text, longest).translate(_UNSAFE).strip()


def _line(delivery: Delivery, product_version: str, longest: int, message: int) -> str:
    finding, body = delivery.finding, body_of(delivery)
    header = (
        "CEF:0",
        "Tripmeter",
        "Tripmeter",
        clean(product_version, longest),
        clean(finding.detector, longest),
        clean(finding.title, longest),
        str(SEVERITIES[finding.severity]),
    )
    addresses = [each for each in values(finding, "client_address") if is_ip(each)]
    v4 = next((each for each in addresses if ":" not in each), None)
    v6 = next((each for each in addresses if ":" in each), None)
    techniques = " ".join(technique.id for technique in finding.techniques)
    fields: list[tuple[str, object]] = [
        ("rt", body["time"]),
        ("start", body["start_time"]),
        ("end", body["end_time"]),
        ("externalId", finding.id),
        ("act", delivery.activity),
        ("cat", finding.family),
        ("cnt", body.get("count")),
        ("src", v4),
        *_labelled("c6a2", "Source IPv6 Address", v6),
        ("requestClientApplication", next(iter(values(finding, "user_agent")), None)),
        *_labelled("cs1", "tenant", finding.tenant),
        *_labelled("cs2", finding.entity.lane, finding.entity.id),
        *_labelled("cs3", "recordKey", delivery.key),
        *_labelled("cs4", "status", body["status"]),
        *_labelled("cs5", "techniques", techniques),
        *_labelled("cs6", "models", " ".join(values(finding, "request_model"))),
        *_labelled("cn1", "revision", finding.revision),
        *_labelled("cfp1", "costUsd", finding.cost_usd),
        *_labelled("cfp2", "probability", finding.probability),
    ]
    cleaned = ((name, clean(str(value), longest)) for name, value in fields if value is not None)
    told = [f"{name}={value}" for name, value in cleaned if value]
    told.append(f"msg={clean(finding.summary, message)}")
    return "|".join((*header, " ".join(told)))


def _labelled(name: str, label: str, value: object) -> list[tuple[str, object]]:
    return [] if value in (None, "") else [(f"{name}Label", label), (name, value)]
