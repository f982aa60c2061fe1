"""Says where a call came from, and how far that can be believed."""

import ipaddress
from collections.abc import Sequence
from typing import Any

MAX_HOPS = 16


def origin(
    address: Any, forwarded: Any, trusted_proxies: Sequence[str]
) -> tuple[str | None, str | None]:
    """The client's address and its quality.

    A gateway behind a local proxy reports what the client wrote into `X-Forwarded-For`; behind a
    balancer elsewhere it reports the balancer. Only an address that a trusted proxy vouches for is
    `xff_trusted`; one that equals an unproven header is `xff_unverified`; else it is the peer's.

    Args:
        address: what the gateway calls the requester's address.
        forwarded: the `X-Forwarded-For` header, if the source has it.

    >>> origin("203.0.113.9", "203.0.113.9", ())
    ('203.0.113.9', 'xff_unverified')
    >>> origin("10.0.0.7", "198.51.100.1, 203.0.113.9", ["10.0.0.0/8"])
    ('203.0.113.9', 'xff_trusted')
    >>> origin("127.0.0.1", "127.0.0.1", ())
    ('127.0.0.1', 'peer')
    """
    if not isinstance(address, str) or not (peer := _plain(address)):
        return None, None
    named = forwarded.rsplit(",", MAX_HOPS)[-MAX_HOPS:] if isinstance(forwarded, str) else []
    hops = [_plain(hop) for hop in named]
    if trusted_proxies and _within(peer, trusted_proxies):
        for hop in reversed(hops):
            if not hop:  # what stands before it was written by we know not whom
                return peer, "xff_unverified"
            if not _within(hop, trusted_proxies):
                return hop, "xff_trusted"
    if peer in hops and not _loopback(peer):
        proven = len(hops) > 1 and trusted_proxies and _within(hops[-1], trusted_proxies)
        return peer, "xff_trusted" if proven and peer == hops[-2] else "xff_unverified"
    return peer, "peer"


def _plain(address: str) -> str:
    """The address in its usual spelling, without port or zone; "" if it is none.

    IPv4 inside IPv6, as a socket for both tells it, is IPv4.
    """
    text = address.strip()[:64]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text.partition("%")[0])  # a zone may be any text
    except ValueError:
        return ""
    inside = found.ipv4_mapped if found.version == 6 else None
    return str(inside or found)


def _loopback(address: str) -> bool:
    return ipaddress.ip_address(address).is_loopback


def _within(address: str, networks: Sequence[str]) -> bool:
    if not address:
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in ipaddress.ip_network(network, strict=False) for network in networks)
