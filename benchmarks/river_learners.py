"""What river's online learners make of a key's closed windows: how unusual each is, in log units.

Each learner holds real river objects, judges a window before it learns it, and is shown the windows
of all keys in the order of time. `benchmarks/river_habits.py` gives each the kind of limit that our
own channels have. A learner that is `decided` says yes (above 0) or no by itself.
"""

from collections import defaultdict
from collections.abc import Callable
from math import log, sqrt
from typing import Any, NamedTuple

from river import anomaly, drift, stats, time_series

FADING = 0.05  # as in detectors/habit_loops.py
LEAST_SPREAD = 0.2  # log units, likewise
HOURS = 24
AWAY = 10.0  # from 0, by which HoltWinters divides its first day
GAP = 100  # idle hours that are shown to ADWIN at most
LIMITS = {"tokens": (0.0, 20.0), "usd": (0.0, 24.0), "calls": (0.0, 12.0), "addresses": (0.0, 6.0)}
NEWCOMER = 6  # windows below which a key is judged by its pool
POOL_RATE = 0.01  # of the pool's windows lie above the quantile whose tail is used
LEAST_POOL = 200  # windows


class Seen(NamedTuple):
    """One closed window: logarithms (log1p) of totals; dollars in nano-dollars."""

    key: int
    pool: int
    number: int
    tokens: float
    usd: float
    calls: float
    addresses: float


class Learner:
    """Judges closed windows, then learns those that are usual.

    Attributes:
        decided: it says yes or no by itself; otherwise it gives a size that has to be calibrated.
        least_tokens: in an hour; with fewer nobody is woken, as for `stolen-key-spend`.
        objects: the river objects, by key or by pool.
    """

    decided = False
    least_tokens = 200_000

    def __init__(self) -> None:
        self.objects: dict[Any, Any] = {}

    def judge(self, seen: Seen) -> float:
        """How far beyond what is usual; 0 for not at all, or not known."""
        raise NotImplementedError

    def learn(self, seen: Seen) -> None:
        """Takes a usual window in."""

    def _of(self, name: Any, make: Callable[[], Any]) -> Any:
        found = self.objects.get(name)
        if found is None:
            found = self.objects[name] = make()
        return found


class Volume(Learner):
    """No river object: the tokens themselves, as `stolen-key-spend` judges them."""

    def judge(self, seen: Seen) -> float:
        return seen.tokens


class Deviation(Learner):
    """EWMean and EWVar for each key: deviations of log tokens or log dollars above the mean."""

    def judge(self, seen: Seen) -> float:
        held = self.objects.get(seen.key)
        if held is None:
            return 0.0
        pairs = zip(held, (seen.tokens, seen.usd), strict=True)
        return max(
            (value - mean.get()) / max(sqrt(max(var.get(), 0.0)), LEAST_SPREAD)
            for (mean, var), value in pairs
        )

    def learn(self, seen: Seen) -> None:
        held = self._of(
            seen.key, lambda: [(stats.EWMean(FADING), stats.EWVar(FADING)) for _ in range(2)]
        )
        for (mean, var), value in zip(held, (seen.tokens, seen.usd), strict=True):
            mean.update(value)
            var.update(value)


class Quantile(Learner):
    """The .95 quantile (P2) of each key: log tokens above it."""

    def judge(self, seen: Seen) -> float:
        held = self.objects.get(seen.key)
        return 0.0 if held is None else seen.tokens - (held.get() or 0.0)

    def learn(self, seen: Seen) -> None:
        self._of(seen.key, lambda: stats.Quantile(0.95)).update(seen.tokens)


class Drift(Learner):
    """ADWIN for each key: its level rose. Its limit is its own delta.

    Args:
        tokens: shown are log tokens; otherwise 1 for every hour of use.
        idle: hours without calls are shown too, as zeros.
        delta: of ADWIN.
    """

    decided = True
    least_tokens = 0

    def __init__(self, tokens: bool, idle: bool, delta: float) -> None:
        super().__init__()
        self._tokens, self._idle, self._delta = tokens, idle, delta
        self._last: dict[int, int] = {}

    def judge(self, seen: Seen) -> float:
        held = self._of(seen.key, lambda: drift.ADWIN(self._delta, clock=1))
        gap = seen.number - self._last.get(seen.key, seen.number) - 1
        self._last[seen.key] = seen.number
        before = 0.0
        idle = (0.0 for _ in range(min(gap, GAP) if self._idle else 0))
        for value in (*idle, seen.tokens if self._tokens else 1.0):
            before = held.estimation
            held.update(value)
        return max(held.estimation - before, 0.0) if held.drift_detected else 0.0


class Trees(Learner):
    """HalfSpaceTrees for each key, on four log features with fixed limits: rarity of the place."""

    def judge(self, seen: Seen) -> float:
        held = self.objects.get(seen.key)
        return 0.0 if held is None else -log(1.0001 - held.score_one(_features(seen)))

    def learn(self, seen: Seen) -> None:
        self._of(seen.key, self._grown).learn_one(_features(seen))

    @staticmethod
    def _grown() -> Any:
        return anomaly.HalfSpaceTrees(10, 6, 64, limits=LIMITS, seed=7)


def _features(seen: Seen) -> dict[str, float]:
    return {name: getattr(seen, name) for name in LIMITS}


class Level(Learner):
    """EWMean for each key: log tokens above it. What the two daily shapes have to beat."""

    def judge(self, seen: Seen) -> float:
        held = self.objects.get(seen.key)
        return 0.0 if held is None else seen.tokens - held.get()

    def learn(self, seen: Seen) -> None:
        self._of(seen.key, lambda: stats.EWMean(FADING)).update(seen.tokens)


class Shape(Level):
    """`Level`, and what each hour of the day adds to it: an EWMean for each hour of a pool."""

    def judge(self, seen: Seen) -> float:
        hour = self.objects.get((seen.pool, seen.number % HOURS))
        return super().judge(seen) - (hour.get() if hour else 0.0)

    def learn(self, seen: Seen) -> None:
        if seen.key in self.objects:
            hour = self._of((seen.pool, seen.number % HOURS), lambda: stats.EWMean(FADING))
            hour.update(Level.judge(self, seen))
        super().learn(seen)


class Forecast(Level):
    """`Level`, and how far a HoltWinters forecast of the pool's hour lies above the pool's mean."""

    def __init__(self) -> None:
        super().__init__()
        self._sums: dict[int, list[float]] = {}
        self._forecast: dict[int, float] = {}

    def judge(self, seen: Seen) -> float:
        pooled = self._sums.get(seen.pool)
        if pooled is None or pooled[0] != seen.number:
            self._next(seen.pool, seen.number)
        return super().judge(seen) - self._forecast[seen.pool]

    def learn(self, seen: Seen) -> None:
        if seen.key in self.objects:
            pooled = self._sums[seen.pool]
            pooled[1] += Level.judge(self, seen)
            pooled[2] += 1
        super().learn(seen)

    def _next(self, pool: int, number: int) -> None:
        """Teaches the hours that are over; an hour that nobody used is as its forecast."""
        model = self._of((pool, "model"), lambda: time_series.HoltWinters(0.1, 0.01, 0.3, HOURS))
        last, total, count = self._sums.get(pool, [float(number), 0.0, 0.0])
        for _ in range(min(number - int(last), GAP)):
            model.learn_one(AWAY + (total / count if count else self._forecast.get(pool, 0.0)))
            self._forecast[pool] = model.forecast(1)[0] - AWAY if model.level else 0.0
            total = count = 0.0
        self._forecast.setdefault(pool, 0.0)
        self._sums[pool] = [float(number), 0.0, 0.0]


class Newcomer(Learner):
    """Keys without a past, by the tail of their pool: a Quantile (P2) and the mean excess over it.

    Args:
        often: times a key-month that a newcomer may reach its limit.
        windows_a_month: of one key.
    """

    decided = True

    def __init__(self, often: float, windows_a_month: float) -> None:
        super().__init__()
        self._share = often / windows_a_month
        self._known: dict[int, int] = defaultdict(int)

    def judge(self, seen: Seen) -> float:
        held = self.objects.get(seen.pool)
        if held is None or self._known[seen.key] >= NEWCOMER or held[2].n < LEAST_POOL:
            return 0.0
        tail = max(held[1].get(), LEAST_SPREAD)
        return float(seen.tokens - held[0].get() - tail * log(POOL_RATE / self._share))

    def learn(self, seen: Seen) -> None:
        self._known[seen.key] += 1
        high, excess, count = self._of(
            seen.pool, lambda: (stats.Quantile(1 - POOL_RATE), stats.Mean(), stats.Count())
        )
        if count.n >= LEAST_POOL / 4 and seen.tokens > high.get():
            excess.update(seen.tokens - high.get())
        high.update(seen.tokens)
        count.update(seen.tokens)
