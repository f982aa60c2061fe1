"""What a history is too short for, in words."""

from collections.abc import Iterator, Sequence

from detectors import CATALOG
from streams.backtest_census import SPANS_MS, Census

LEAST_ALERTS = 3.0  # expected of a budget before its rate says anything
LEAST_KEYS = 20  # below it a share of false alerts is extrapolated (docs/detection.md)
LEAST_DAYS = 4.0  # of learning before alerts are counted in docs/detection.md
WEEKS_DAYS = 14.0  # two of each weekday
MINUTE_MS = 60_000


def too_short(census: Census, budgets: Sequence[float]) -> list[str]:
    """Sentences; none when the history is long enough for everything that is said about it."""
    if not census.keys:
        return ["There is no model call of a known key in it, so no habit was learned at all."]
    return [*_learning(census), *_time(census), *_rates(census, budgets)]


def _learning(census: Census) -> Iterator[str]:
    keys = len(census.keys)
    for window, width_ms in SPANS_MS.items():
        wanted = [
            (channel.mature, kind.about.id)
            for kind in CATALOG
            for channel in kind.channels
            if channel.window == window and channel.mature
        ]
        if not wanted:
            continue
        least = max(mature for mature, _ in wanted)
        young = census.young(window, least)
        if young:
            names = ", ".join(sorted({name for _, name in wanted}))
            yield (
                f"{young:,} of {keys:,} keys were active in fewer than {least} windows of"
                f" {_width(width_ms)}: for them {names} had no habit of their own to compare with."
            )


def _width(ms: int) -> str:
    hours, minutes = divmod(ms // MINUTE_MS, 60)
    return f"{hours} hours" if hours > 1 else "an hour" if hours else f"{minutes} minutes"


def _time(census: Census) -> Iterator[str]:
    if census.days < LEAST_DAYS:
        yield (
            f"It covers {census.days:.1f} days, and the first {LEAST_DAYS:g} mostly teach:"
            " expect other counts, usually lower ones, once habits are known."
        )
    elif round(census.days) < WEEKS_DAYS:
        yield (
            f"It covers {census.days:.1f} days, so it does not hold two of each weekday: what"
            " goes by the week (usage-gap, Monday's jobs) was hardly tried."
        )


def _rates(census: Census, budgets: Sequence[float]) -> Iterator[str]:
    months = census.key_months()
    for budget in budgets:
        if budget * months < LEAST_ALERTS:
            yield (
                f"At a budget of {budget:g} its {months:.2f} key-months leave room for"
                f" {budget * months:.1f} false alerts: too few to tell whether the budget holds;"
                " read the interval, not the rate."
            )
    if len(census.keys) < LEAST_KEYS:
        yield (
            f"It holds {len(census.keys)} keys; how often something is seen among fewer than"
            f" {LEAST_KEYS} keys says little about the next one."
        )
    if census.beyond:
        yield f"{census.beyond:,} calls of keys beyond the first {len(census.keys):,} not counted."
