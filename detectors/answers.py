"""Who was given which answer, and which two of them should not have been given the same."""

from collections.abc import Iterator
from typing import NamedTuple

from detectors.memory import Memory
from detectors.settled import HOUR_MS, SETTLED_MS
from schemas.decode import Record

HORIZON_MS = 24 * HOUR_MS
MAX_ANSWERS = 200_000  # remembered per generation
MAX_GIVEN = 16  # of one answer, the first ones; later ones are compared with these alone


class Given(NamedTuple):
    """One time an answer was given. What is unknown is None."""

    time_ms: int
    id: str
    tenant: str
    prompt: str | None
    response: str | None
    cost_usd: float | None
    latency_ms: float | None


class Answers:
    """Remembers to whom each answer was given, by the answer's fingerprint."""

    def __init__(self) -> None:
        self.memory = Memory(HORIZON_MS, MAX_ANSWERS)

    def met(self, event: Record, time_ms: int) -> Iterator[tuple[Given, Given, bool]]:
        """Each earlier or later time that another tenant was given the answer of this event.

        Yields:
            The two times, in the order of event time, and whether the answer is a canned one: one
            tenant had been given it for different prompts before.
        """
        answer, tenant = event.content_output_hash, event.tenant_id
        if answer is None or tenant is None:
            return
        given = [Given(*one) for one in self.memory.get(answer) or ()]
        mine = Given(
            time_ms,
            event.event_id,
            tenant,
            event.content_input_hash,
            event.response_id,
            event.cost_usd,
            event.latency_ms,
        )
        kept = sorted([*given, mine], key=lambda one: one[:2])[:MAX_GIVEN]
        self.memory.put(answer, [list(one) for one in kept])
        for other in given:
            if other.tenant != tenant:
                early, late = sorted((other, mine), key=lambda one: one[:2])
                yield early, late, _canned(kept, late.time_ms - SETTLED_MS)


def _canned(given: list[Given], until_ms: int) -> bool:
    before = {(one.tenant, one.prompt) for one in given if one.time_ms < until_ms and one.prompt}
    return len(before) > len({tenant for tenant, _ in before})
