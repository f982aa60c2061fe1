"""What went wrong on the way to a destination, and how long it asked us to wait."""

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from alerts.base import RetryLater


def unreachable(error: BaseException) -> RetryLater:
    """The outcome for an exception of a network library, whatever it is wrapped in.

    A name that does not resolve and a certificate that does not verify need a person; a refused
    connection or a timeout passes.
    """
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RetryLater(f"TLS: {cause.verify_message}", operator=True)
        if isinstance(cause, ssl.SSLError):
            return RetryLater(f"TLS: {cause.reason or type(cause).__name__}", operator=True)
        if isinstance(cause, socket.gaierror):
            return RetryLater("the host name does not resolve", operator=True)
        if isinstance(cause, TimeoutError):
            return RetryLater("no answer in time")
        if isinstance(cause, OSError) and cause.strerror:
            return RetryLater(cause.strerror)
    name = type(error).__name__
    return RetryLater("no answer in time" if "Timeout" in name else f"connection lost ({name})")


def asked_to_wait(retry_after: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header (a number or an HTTP date); None when it says nothing.

    >>> asked_to_wait("Sat, 21 Nov 2026 10:00:30 GMT", datetime(2026, 11, 21, 10, tzinfo=UTC))
    30.0
    """
    if retry_after is None:
        return None
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):  # such as a year of twenty digits
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(0.0, (until - now).total_seconds())


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        reason = getattr(error, "reason", None)  # urllib wraps it there
        inner = reason if isinstance(reason, BaseException) else None
        error = inner or error.__cause__ or error.__context__
