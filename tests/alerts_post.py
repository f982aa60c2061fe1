"""One destination behind an outbox, for tests in which no time passes by itself."""

from collections.abc import Callable, Sequence
from pathlib import Path

from alerts.base import Delivery, Rejected
from alerts.courier import Courier
from alerts.outbox import Outbox
from alerts.retry import Retry
from tests.alerts_fakes import Clock, FakeSink, finding, new_database, queue, sql

Behave = Callable[[Sequence[Delivery]], None]


class Post:
    """An outbox, a courier, and what it told the operator."""

    def __init__(self, folder: Path, *, max_dead: int = 100, jitter: float = 1.0) -> None:
        self.engine = new_database(folder)[1]
        self.outbox = Outbox(self.engine)
        self.sink = FakeSink()
        self.clock = Clock()
        self.told: list[str] = []
        self._max_dead = max_dead
        self._jitter = jitter
        self.courier = self.new_courier()

    def new_courier(self) -> Courier:
        """As after a restart."""
        return Courier(
            self.sink,
            retry=Retry(first_s=1, cap_s=60, asked_cap_s=900, hold_s=60, patience_s=600),
            on_fault=lambda name, reason: self.told.append(f"{name}: {reason}"),
            on_recovered=lambda name: self.told.append(f"{name} works"),
            max_dead=self._max_dead,
            wall=self.clock,
            clock=self.clock,
            jitter=lambda: self._jitter,
            pause=lambda seconds: True,
        )

    def queue(self, *ids: str, revision: int = 1) -> None:
        queue(self.engine, *(finding(id, revision) for id in ids))

    def step(self) -> float | None:
        return self.courier.step(self.outbox)

    def states(self) -> dict[str, str]:
        return dict(sql(self.engine, "SELECT key, state FROM outbox ORDER BY number"))


def failing(error: Exception) -> Behave:
    def behave(deliveries: Sequence[Delivery]) -> None:
        raise error

    return behave


def refusing(*bad: str) -> Behave:
    def behave(deliveries: Sequence[Delivery]) -> None:
        if any(each.finding.id in bad for each in deliveries):
            raise Rejected("HTTP 400: odd")

    return behave
