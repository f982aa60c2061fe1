"""When to try again: exponential backoff with full jitter, and what a destination asks for."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Retry:
    """How patiently one destination is tried. All in seconds.

    Attributes:
        first_s: the longest first pause; it doubles with every failure.
        cap_s: the longest pause of our own choice.
        asked_cap_s: the longest pause a destination may ask for.
        hold_s: the pause while only an operator can mend it.
        patience_s: an outage of this length is told to the operator too.
    """

    first_s: float = 1.0
    cap_s: float = 60.0
    asked_cap_s: float = 900.0
    hold_s: float = 60.0
    patience_s: float = 600.0

    def pause(self, failures: int, asked_s: float | None, jitter: Callable[[], float]) -> float:
        """Seconds until the next try after this many failures in a row (1 or more).

        What was asked for is never undercut (up to its cap), and spread by up to a tenth so that
        many senders do not come back at once. "At once" is not taken literally.
        """
        own = min(self.cap_s, self.first_s * 2.0 ** min(failures - 1, 30)) * jitter()
        if asked_s is None or not math.isfinite(asked_s) or asked_s < 0:
            return own
        if asked_s < self.first_s:
            return max(asked_s, own)
        return min(asked_s, self.asked_cap_s) * (1 + jitter() / 10)
