"""Rules that peers ship for LLM usage, written anew from their published logic, and two baselines.

Each is a function from a stream's events to alerts: keys and instants (seconds). Events are a
pandas table with `key`, `ts` (seconds, ascending), `model`, `ip` (numbers), `tin`, `tout` (tokens),
`cost` (dollars) and `status`. Rules that look at all keys alike are judged by key here, which
favours them.

Sources, read in 2026: panther-analysis, AWS Bedrock Model Invocation Abnormal Token Usage; Splunk
security content, AWS Bedrock Claude excessive use of tokens; Elastic detection-rules, Potential
Abuse of Resources by High Token Count and Large Response Sizes (b1773d05) and Azure OpenAI denial
of service; budgets of gateways (a largest spend a day, reset at midnight).
"""

from collections.abc import Callable, Sequence
from math import log10
from typing import Any

import numpy as np

HOUR_S, DAY_S, TEN_MIN_S = 3600, 86_400, 600
PANTHER = {"haiku": 3000, "sonnet": 4000, "opus": 5000}
PANTHER_OTHER = 4000
PANTHER_EMPTY = 1000  # tokens of a call without output
CHARACTERS = 4  # of a token, where a rule counts bytes
FIXED_USD = 100.0  # a day
LEARN_DAYS = 1.0

Alerts = tuple[Any, Any]
Rule = Callable[[Any], Alerts]


def panther(events: Any, models: Sequence[str]) -> Alerts:
    """A call of more tokens than its model's constant, or without output and more than 1 000."""
    limits = np.array([PANTHER.get(name, PANTHER_OTHER) for name in models])
    total = events.tin.to_numpy() + events.tout.to_numpy()
    told = (total > limits[events.model.to_numpy()]) | (
        (total > PANTHER_EMPTY) & (events.tout.to_numpy() == 0)
    )
    return events.key.to_numpy()[told], events.ts.to_numpy()[told]


def panther_flat(events: Any) -> Alerts:
    """A call of more than 3 000 tokens."""
    told = (events.tin.to_numpy() + events.tout.to_numpy()) > min(PANTHER.values())
    return events.key.to_numpy()[told], events.ts.to_numpy()[told]


def splunk(events: Any, sigmas: float = 2.0) -> Alerts:
    """Each hour: a key whose largest answer is above the mean of the hour plus two sigma."""
    groups = events.assign(hour=events.ts // HOUR_S).groupby(["key", "hour"]).tout
    told = groups.agg(["max", "mean", "std", "count"]).reset_index()
    told = told[(told["max"] > told["mean"] + sigmas * told["std"]) & (told["count"] > 1)]
    return told.key.to_numpy(), (told.hour.to_numpy() + 1) * float(HOUR_S)


def elastic(events: Any) -> Alerts:
    """Every ten minutes over the last hour: a large prompt, more than ten calls, large answers."""
    bins = events.assign(bin=(events.ts // TEN_MIN_S).astype(int)).groupby(["key", "bin"])
    table = bins.agg(most=("tin", "max"), calls=("tin", "size"), out=("tout", "sum"))
    keys, whens = [], []
    for key, mine in table.reset_index().groupby("key"):
        first, last = int(mine.bin.min()), int(mine.bin.max()) + 6
        size = last - first + 1
        columns = {name: np.zeros(size) for name in ("most", "calls", "out")}
        for name, column in columns.items():
            column[mine.bin.to_numpy() - first] = mine[name].to_numpy()
        hours = {name: _last_hour(column, name == "most") for name, column in columns.items()}
        calls = np.maximum(hours["calls"], 1)
        answer = hours["out"] / calls
        told = (hours["most"] > 5000) & (hours["calls"] > 10) & (answer > 500)
        told &= (hours["most"] / 1000) * calls * (answer / 500) > 10
        at = np.flatnonzero(told)
        keys.append(np.full(len(at), key))
        whens.append((first + at + 1) * float(TEN_MIN_S))
    return np.concatenate(keys).astype(int), np.concatenate(whens)


def _last_hour(column: Any, most: bool) -> Any:
    shifted = np.stack([np.r_[np.zeros(back), column[: len(column) - back]] for back in range(6)])
    return shifted.max(axis=0) if most else shifted.sum(axis=0)


def elastic_azure(events: Any) -> Alerts:
    """A minute with ten calls or more whose prompts are 5 000 bytes or more on average."""
    groups = events.assign(minute=events.ts // 60).groupby(["key", "minute"]).tin
    told = groups.agg(["mean", "count"]).reset_index()
    told = told[(told["count"] >= 10) & (told["mean"] * CHARACTERS >= 5000)]
    return told.key.to_numpy(), (told.minute.to_numpy() + 1) * 60.0


def fixed_budget(events: Any, dollars: float = FIXED_USD) -> Alerts:
    """The call with which a key has spent as much today as anybody may."""
    spent, days = _spent(events)
    return _crossed(events, days, spent >= dollars)


def own_budget(events: Any, times: float) -> Alerts:
    """The call with which a key has spent so many times its own mean day (at least ten cents)."""
    spent, days = _spent(events)
    daily = events.assign(day=days).groupby(["key", "day"]).cost.sum()
    wide = daily.unstack(fill_value=0.0)
    wide = wide.reindex(columns=range(int(wide.columns.max()) + 1), fill_value=0.0)
    before = wide.cumsum(axis=1).shift(1, axis=1)
    usual = (before / np.maximum(np.arange(wide.shape[1]), 1)).to_numpy()
    usual = np.maximum(usual, 0.10)
    usual[:, 0] = np.inf
    rows = wide.index.get_indexer(events.key.to_numpy())
    return _crossed(events, days, spent >= times * usual[rows, days])


def three_sigma(events: Any, sigmas: float = 3.0) -> Alerts:
    """An hour that costs three sigma more than the mean of the 168 hours before it."""
    hours = (events.ts.to_numpy() // HOUR_S).astype(int)
    keys = events.key.to_numpy()
    grid = np.zeros((keys.max() + 1, hours.max() + 1))
    np.add.at(grid, (keys, hours), events.cost.to_numpy())
    found, whens = [], []
    for hour in range(24, grid.shape[1]):
        past = grid[:, max(0, hour - 168) : hour]
        limit = past.mean(axis=1) + sigmas * np.maximum(past.std(axis=1), 1e-3)
        at = np.flatnonzero(grid[:, hour] > limit)
        found.append(at)
        whens.append(np.full(len(at), (hour + 1) * float(HOUR_S)))
    return np.concatenate(found), np.concatenate(whens)


def first_seen(events: Any, column: str, least: int, within_s: float) -> Alerts:
    """As many values that the key never had before, within a time; its first day only teaches."""
    first = events.drop_duplicates(["key", column])
    first = first[first.ts > LEARN_DAYS * DAY_S]
    since = first.ts - first.groupby("key").ts.shift(least - 1)
    told = first[since.fillna(within_s + 1) <= within_s] if least > 1 else first
    return told.key.to_numpy(), told.ts.to_numpy()


def half_space_trees(events: Any, threshold: float = 0.95) -> Alerts:
    """river's HalfSpaceTrees for each key, event by event, on four logarithmic features."""
    from river import anomaly

    found, whens = [], []
    columns = ("ts", "tin", "tout", "cost")
    for key, mine in events.groupby("key"):
        trees = anomaly.HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=1)
        before = float(mine.ts.iloc[0])
        for ts, tin, tout, cost in zip(*(mine[name].tolist() for name in columns), strict=True):
            seen = {
                "cost": min(1.0, max(0.0, (log10(cost + 1e-7) + 7) / 8)),
                "input": min(1.0, log10(tin + 1) / 5.2),
                "output": min(1.0, log10(tout + 1) / 5.2),
                "gap": min(1.0, log10(ts - before + 1e-3) / 8 + 0.4),
            }
            before = ts
            if trees.score_one(seen) >= threshold:
                found.append(key)
                whens.append(ts)
            trees.learn_one(seen)
    return np.array(found, int), np.array(whens, float)


def _spent(events: Any) -> tuple[Any, Any]:
    """What each key has spent today, up to and with each call; and the day's number."""
    days = (events.ts.to_numpy() // DAY_S).astype(int)
    return events.assign(day=days).groupby(["key", "day"]).cost.cumsum().to_numpy(), days


def _crossed(events: Any, days: Any, over: Any) -> Alerts:
    """The first call of each key and day that is over."""
    told = events.assign(day=days)[over].drop_duplicates(["key", "day"])
    return told.key.to_numpy(), told.ts.to_numpy()


def rules(models: Sequence[str]) -> dict[str, Rule]:
    """Every rule by name; the slow one last."""
    return {
        "Panther: tokens of one call above the model's constant": lambda e: panther(e, models),
        "Panther, 3 000 tokens flat": panther_flat,
        "Splunk: largest answer above mean + 2 sigma, hourly": splunk,
        "Elastic: high token count and large responses": elastic,
        "Elastic: Azure OpenAI denial of service": elastic_azure,
        "gateway: $100 a day for every key": fixed_budget,
        "gateway: twice a key's own mean day": lambda e: own_budget(e, 2.0),
        "gateway: five times a key's own mean day": lambda e: own_budget(e, 5.0),
        "three sigma on hourly spend": three_sigma,
        "an address the key never used": lambda e: first_seen(e, "ip", 1, HOUR_S),
        "three new addresses within an hour": lambda e: first_seen(e, "ip", 3, HOUR_S),
        "a model the key never used": lambda e: first_seen(e, "model", 1, HOUR_S / 2),
        "two new models within half an hour": lambda e: first_seen(e, "model", 2, HOUR_S / 2),
        "river HalfSpaceTrees per key, score 0.95": half_space_trees,
    }
