"""Tables and plots of what `benchmarks/detection.py` has measured so far."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import river_habits
from benchmarks.detection_rates import GROUPS, chance, false_rate, net, recall, wilson
from streams.limits import allowed

Score = dict[str, Any]
TOOL_GROUPS: dict[str, Any] = {
    "xt_single, another tenant had used it": lambda r: r["kind"] == "xt_single" and r["met"],
    "xt_single, nobody else had": lambda r: r["kind"] == "xt_single" and not r["met"],
    "inject_exfil, names where to send": lambda r: r["kind"] == "inject_exfil" and r["sends"],
}


def write(work: Path, label: str, fresh: Sequence[int] = ()) -> str:
    """Writes `report.md`, `report.json` and plots beside the results; gives the text.

    Args:
        fresh: seeds that nobody looked at before; they are told of by themselves, too.
    """
    measured = collect(work, label)
    text = "\n".join(lines(measured)) + "\n"
    if fresh:
        text += "\n# Seeds not looked at before\n"
        text += "\n".join(found(only(measured, fresh), parts=False)) + "\n"
    (work / "report.md").write_text(text)
    (work / "report.json").write_text(json.dumps(measured["summary"], indent=1, default=float))
    if measured["streams"]:
        from benchmarks.detection_plots import plots

        plots(measured, work)
    return text


def collect(work: Path, label: str) -> dict[str, Any]:
    """All scores: streams and twins by budget, luck, tools, peers, NAB, catalog; and a summary."""
    scores = work / "scores" / label
    streams: dict[float, list[Score]] = {}
    twins: dict[float, list[Score]] = {}
    luck: dict[float, list[Score]] = {}
    tools: dict[str, list[Score]] = {"tools": [], "unregistered": []}
    for file in sorted(scores.glob("*.json")):
        score, (stream, _, tail) = json.loads(file.read_text()), file.stem.partition("-llm-")
        past = _one(work / "past" / f"{stream}.json") or []
        for row, hours in zip(score["rows"], past, strict=False):
            row["past_hours"] = hours
        if tail:
            (twins if stream.endswith("-benign") else streams).setdefault(float(tail), []).append(
                score | {"stream": stream}
            )
        elif "-luck-" in file.stem:
            stream, _, tail = file.stem.partition("-luck-")
            luck.setdefault(float(tail), []).append(score | {"stream": stream})
        else:
            tools[file.stem.rpartition("-")[2]].append(score)
    peers: dict[str, dict[bool, list[Score]]] = {}
    for file in sorted((work / "peers").glob("*.json")):
        score = json.loads(file.read_text())
        benign = "-benign-" in file.stem
        peers.setdefault(score["rule"], {False: [], True: []})[benign].append(score)
    measured: dict[str, Any] = {
        "streams": streams,
        "twins": twins,
        "luck": luck,
        "tools": tools,
        "peers": peers,
        "river": {benign: _river(work / "river" / label, benign) for benign in (False, True)},
        "nab": _one(work / f"nab-{label}.json"),
        "catalog": _one(work / f"catalog-{label}.json") or [],
    }
    measured["summary"] = summary(measured)
    return measured


def _river(folder: Path, benign: bool) -> list[Any]:
    files = sorted(folder.glob("*.json"))
    return [_one(file) for file in files if file.stem.endswith("-benign") is benign]


def _one(file: Path) -> Any:
    return json.loads(file.read_text()) if file.exists() else None


def summary(measured: dict[str, Any]) -> dict[str, Any]:
    """The figures by budget, as plain values."""
    told: dict[str, Any] = {}
    for budget, scores in sorted(measured["streams"].items()):
        rows = _rows(scores)
        told[f"{budget:g}"] = {
            "streams": [one["stream"] for one in scores],
            "false": false_rate(scores),
            "false_twins": false_rate(twins) if (twins := measured["twins"].get(budget)) else None,
            "groups": {name: recall([r for r in rows if of(r)]) for name, of in GROUPS.items()},
            "kinds": {
                kind: recall([r for r in rows if r["kind"] == kind])
                for kind in sorted({row["kind"] for row in rows})
            },
        }
    for budget, scores in sorted(measured["twins"].items()):
        entry = told.setdefault(f"{budget:g}", {})
        entry["false_twins"] = false_rate(scores)
        entry["twins"] = [one["stream"] for one in scores]
    if measured["nab"]:
        told["nab"] = measured["nab"]
    return told


def lines(measured: dict[str, Any]) -> Iterator[str]:
    """The report."""
    yield from found(measured)
    yield from _tools(measured["tools"])
    yield from river_habits.lines(measured.get("river", {}))
    yield from _peers(measured["peers"])
    if measured["nab"]:
        yield from _nab(measured["nab"])
    yield from _catalog(measured["catalog"])


def found(measured: dict[str, Any], parts: bool = True) -> Iterator[str]:
    """What is found on model calls, and how often it is wrong."""
    yield from _budgets(measured)
    for budget, scores in sorted(measured["streams"].items()):
        yield from _groups(budget, scores, measured["luck"].get(budget, []))
        if parts:
            yield from _parts(budget, scores, measured["twins"].get(budget, []))


def only(measured: dict[str, Any], seeds: Sequence[int]) -> dict[str, Any]:
    """The streams of these seeds."""

    def chosen(scores: Sequence[Score]) -> list[Score]:
        return [one for one in scores if int(one["stream"].split("-")[1]) in seeds]

    kinds = ("streams", "twins", "luck")
    return {
        kind: {b: mine for b, scores in measured[kind].items() if (mine := chosen(scores))}
        for kind in kinds
    }


def _budgets(measured: dict[str, Any]) -> Iterator[str]:
    scores = measured["streams"]
    yield "\n## Budget asked, false alerts measured (a key-month)\n"
    for budget, mine in sorted(scores.items()):
        if all("false_but_thief_first" in one for one in mine):
            rate = mean(one["false_but_thief_first"] for one in mine)
            yield f"- {budget:g}: {rate:.2f} without keys that their thief was the first to use"
    yield ""
    yield "| asked | with attacks | ratio | streams | without attacks | ratio | streams |"
    yield "|---|---|---|---|---|---|---|"
    for budget in sorted({*measured["streams"], *measured["twins"]}):
        cells = [f"{budget:g}"]
        for scores in (measured["streams"].get(budget), measured["twins"].get(budget)):
            if not scores:
                cells += ["", "", ""]
                continue
            rate = false_rate(scores)
            band = f"{rate['low']:.2f} to {rate['high']:.2f}"
            cells += [f"{rate['rate']:.2f} ({band})", f"{rate['rate'] / budget:.2f}"]
            cells += [f"{len(scores)}: {rate['months']:.0f} key-months"]
        yield "| " + " | ".join(cells) + " |"


def _groups(budget: float, scores: Sequence[Score], luck: Sequence[Score]) -> Iterator[str]:
    rows, rate = _rows(scores), false_rate(scores)["rate"]
    lucky = _rows(luck)
    measured = f"{rate:.2f} false a key-month, {len(scores)} streams"
    yield f"\n## What is found at {budget:g} ({measured})\n"
    yield (
        "| attack | n | found (95 %) | by chance | in the twin | beyond chance | delay p50 / p90"
        " | events p50 | dollars spent by then |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    kinds = _kinds(rows)
    by_kind = {kind: (lambda row, kind=kind: row["kind"] == kind) for kind in kinds}
    for name, of in {**by_kind, **GROUPS}.items():
        mine = [row for row in rows if of(row)]
        if not mine:
            continue
        one, guess = recall(mine), chance(mine, rate)
        twin = [row["hit"] for row in lucky if of(row)]
        cells = [
            name,
            str(one["count"]),
            f"{one['recall']:.3f} ({one['low']:.2f} to {one['high']:.2f})",
            f"{guess:.2f}",
            f"{sum(twin) / len(twin):.2f}" if twin else "",
            f"{net(one['recall'], guess):.2f}",
            f"{_seconds(one['p50_s'])} / {_seconds(one['p90_s'])}",
            "-" if math.isnan(one["events"]) else f"{one['events']:.0f}",
            f"{one['lost']:.1%}",
        ]
        yield "| " + " | ".join(cells) + " |"


def _parts(budget: float, scores: Sequence[Score], twins: Sequence[Score]) -> Iterator[str]:
    """Each detector and channel alone, and everything but it."""
    for what in ("detectors", "channels"):
        names = sorted({name for score in scores for name in score.get(what, {})})
        yield f"\n## {what.title()} at {budget:g}: alone, and what is lost without\n"
        asked = allowed(budget) if what == "channels" else {}
        yield (
            "| | loud, alone | stealth, alone | false, alone | false without attacks, alone |"
            " loud, lost without | false, saved without |" + " may spend |" * bool(asked)
        )
        yield "|---" * (7 + bool(asked)) + "|"
        whole, false = _recall(scores, "loud"), false_rate(scores)["rate"]
        for name in names:
            alone = [_part(score, what, name, "alone") for score in scores]
            without = [_part(score, what, name, "without") for score in scores]
            benign = [_part(score, what, name, "alone") for score in twins if what in score]
            cells = [
                f"`{name}`",
                f"{_recall(alone, 'loud'):.3f}",
                f"{_recall(alone, 'stealth, not mimicking'):.3f}",
                f"{false_rate(alone)['rate']:.3f}",
                f"{false_rate(benign)['rate']:.3f}" if benign else "",
                f"{whole - _recall(without, 'loud'):.3f}",
                f"{false - false_rate(without)['rate']:.3f}",
            ]
            if asked:
                cells.append(f"{asked[name]:.3f}" if name in asked else "a fixed limit")
            yield "| " + " | ".join(cells) + " |"


def _part(score: Score, what: str, name: str, how: str) -> Score:
    """A part's score; where it never spoke, nothing alone and everything without it."""
    part = score[what].get(name)
    if part is not None:
        return {**part[how], "months": score["months"]}
    if how == "without":
        return score
    rows = [{**row, "hit": 0, "usd": row["usd_total"]} for row in score["rows"]]
    return {"false": 0.0, "rows": rows, "months": score["months"]}


def _tools(tools: dict[str, list[Score]]) -> Iterator[str]:
    for part, scores in tools.items():
        if not scores:
            continue
        rows, false = _rows(scores), sum(one["false"] for one in scores) / len(scores)
        title = "with the registry of owners" if part == "tools" else "without the registry"
        yield f"\n## Tool calls, {title}: {false:.2f} false sessions per 1 000\n"
        yield "| attack | n | found (95 %) | p50 |"
        yield "|---|---|---|---|"
        groups = {kind: (lambda row, k=kind: row["kind"] == k) for kind in _kinds(rows)}
        for kind, of in {**groups, **TOOL_GROUPS}.items():
            hits = [row for row in rows if of(row)]
            found = [row["seconds"] for row in hits if row["hit"]]
            low, high = wilson(len(found), len(hits))
            share = f"{len(found) / len(hits):.3f} ({low:.2f} to {high:.2f})"
            middle = sorted(found)[len(found) // 2] if found else math.nan
            yield f"| {kind} | {len(hits)} | {share} | {_seconds(middle)} |"
        yield "\n| detector alone | false per 1 000 | found |"
        yield "|---|---|---|"
        for name in sorted({name for score in scores for name in score["detectors"]}):
            mine = [one["detectors"].get(name, {"false": 0.0, "rows": []}) for one in scores]
            rate = sum(one["false"] for one in mine) / len(scores)
            hit = [row["kind"] for row in _rows(mine) if row["hit"]]
            kinds = ", ".join(f"{kind} {hit.count(kind)}" for kind in sorted(set(hit)))
            yield f"| `{name}` | {rate:.2f} | {kinds} |"


def _peers(peers: dict[str, dict[bool, list[Score]]]) -> Iterator[str]:
    if not peers:
        return
    yield "\n## Peers' rules on the same streams\n"
    yield (
        "| rule | false a key-month, with attacks | without | loud | burst, resale, sweep |"
        " stealth, not mimicking (chance) | delay, loud, p50 | dollars spent by then | streams |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, by in peers.items():
        scores, twins = by[False], by[True]
        if not scores:
            continue
        rows, rate = _rows(scores), false_rate(scores)["rate"]
        stealth = [row for row in rows if GROUPS["stealth, not mimicking"](row)]
        loud = recall([row for row in rows if GROUPS["loud"](row)])
        jacking = recall([row for row in rows if GROUPS["burst, resale, sweep"](row)])
        cells = [
            name,
            f"{rate:.2f}",
            f"{false_rate(twins)['rate']:.2f}" if twins else "",
            f"{loud['recall']:.2f}",
            f"{jacking['recall']:.2f}",
            f"{recall(stealth)['recall']:.2f} ({chance(stealth, rate):.2f})",
            _seconds(loud["p50_s"]),
            f"{recall(rows)['lost']:.1%}",
            str(len(scores)),
        ]
        yield "| " + " | ".join(cells) + " |"


def _nab(nab: dict[str, Any]) -> Iterator[str]:
    yield "\n## NAB\n"
    for name, value in nab.items():
        yield f"- {name}: {value}"


def _catalog(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    if not results:
        return
    yield "\n## Each detector in scenes of its own\n"
    yield "| detector | attacks found (95 % from) | look-alikes raised (95 % up to) |"
    yield "|---|---|---|"
    for one in results:
        false = sum(one["raised"].values())
        least = wilson(one["found"], one["attacks"])[0]
        most = wilson(false, one["lookalikes"])[1]
        which = ", ".join(f"{name} {count}" for name, count in one["raised"].items() if count)
        yield (
            f"| `{one['detector']}` | {one['found']} of {one['attacks']} ({least:.2f})"
            f" | {false} of {one['lookalikes']} ({most:.2f}){': ' + which if which else ''} |"
        )


def _recall(scores: Sequence[Score], group: str) -> float:
    rows = [row for row in _rows(scores) if GROUPS[group](row)]
    return sum(row["hit"] for row in rows) / len(rows) if rows else math.nan


def _kinds(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted({row["kind"] for row in rows})


def _rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    return [row for score in scores for row in score["rows"]]


def _seconds(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{max(value, 0):.0f} s" if value < 7200 else f"{value / 3600:.1f} h"
