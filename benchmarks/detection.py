"""Every figure of docs/detection.md, by one command:

    python benchmarks/detection.py --evaluator FOLDER --nab FOLDER --seeds 0 1 2 --work DIR

Streams of the evaluator (`evaluate.py`, `scenarios.py`, `scoring.py` lie in FOLDER), with attacks
and without, are judged by `tripmeter replay --json --alert-budget BUDGET` and scored by the
evaluator's own functions, and so are the rules of peers on the same streams. What is in DIR already
is not done again (unless the code that judges has changed), so a run may be stopped, or be done in
parts:

    streams       model calls, each seed under each budget, with attacks and their twins without
    tools         tool calls, with and without the registry of owners
    river         what each of river's online learners would add to the catalog
    peers         rules that peers ship, on the model calls of the same seeds
    nab           the Numenta Anomaly Benchmark, by the code of our habits
    catalog       each detector in scenes of its own, 20 seeds
    report        report.md, report.json and plots of what is there

A seed costs a minute or two for each budget, twice that with its twin, and 100 MB of disk.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks import detection_report, nab_habit, peers_rules, river_habits
from benchmarks.detection_streams import ROOT, Evaluator, Stream, Truth, code, judged, parted

PARTS = ("streams", "tools", "river", "peers", "nab", "catalog", "report")
BUDGET = 0.5  # for what is tried beside the catalog
SLOW = "river HalfSpaceTrees per key, score 0.95"


def main() -> None:
    """Does the parts that are asked for, in their order."""
    arguments = _arguments()
    arguments.work.mkdir(parents=True, exist_ok=True)
    label = arguments.label or code()
    print(f"code {label}, results in {arguments.work}", flush=True)
    evaluator = Evaluator(arguments.evaluator)
    parts = set(arguments.parts)
    twins = [True] if arguments.benign_only else [False] if arguments.no_twins else [True, False]
    for seed in arguments.seeds:
        for benign in twins:
            if parts & {"streams", "tools", "river", "peers"}:
                _seed(evaluator, arguments, label, seed, benign, parts)
    if "nab" in parts and arguments.nab:
        _keep(arguments.work / f"nab-{label}.json", lambda: nab_habit.measure(arguments.nab))
    if "catalog" in parts:
        _keep(arguments.work / f"catalog-{label}.json", lambda: _catalog(arguments.catalog_first))
    if "report" in parts:
        print(detection_report.write(arguments.work, label, arguments.fresh))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--evaluator", type=Path, required=True, help="its folder, or evaluate.py")
    parser.add_argument("--nab", type=Path, help="folder of nab.parquet and scorer.py")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--split", default="dev")
    parser.add_argument("--budgets", type=float, nargs="+", default=[0.5])
    parser.add_argument("--keys", type=int, help="fewer keys a stream: a quicker, coarser run")
    parser.add_argument("--benign-only", action="store_true", help="only streams without attacks")
    parser.add_argument("--no-twins", action="store_true", help="only streams with attacks")
    parser.add_argument("--fresh", type=int, nargs="*", default=[], help="seeds never looked at")
    parser.add_argument("--slow-seeds", type=int, nargs="*", default=[0], help="seeds for river")
    parser.add_argument("--catalog-first", type=int, default=4000, help="first seed of the scenes")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--label", help="a name for the code instead of its fingerprint")
    parser.add_argument("--work", type=Path, required=True, help="what is done once is kept here")
    return parser.parse_args()


def _seed(
    evaluator: Evaluator,
    arguments: argparse.Namespace,
    label: str,
    seed: int,
    benign: bool,
    parts: set[str],
) -> None:
    stream = evaluator.stream(arguments.work, arguments.split, seed, benign, arguments.keys)
    if stream is None:
        return
    truth: list[Truth] = []

    def labels() -> Truth:
        if not truth:
            truth.append(Truth(evaluator, stream))
        return truth[0]

    scores = arguments.work / "scores" / label
    for budget in arguments.budgets if "streams" in parts else ():
        file = judged(stream, "llm", budget, arguments.work, label)
        target = scores / f"{stream.name}-llm-{budget:g}.json"
        _keep(target, lambda file=file: _scored(evaluator, labels(), file))  # type: ignore[misc]
    if "streams" in parts and not benign:
        _keep(arguments.work / "past" / f"{stream.name}.json", lambda: labels().past)
        _chances(evaluator, arguments, label, stream, labels)
    for part in ("tools", "unregistered") if "tools" in parts and not benign else ():
        file = judged(stream, part, arguments.budgets[0], arguments.work, label)
        target = scores / f"{stream.name}-{part}.json"
        _keep(target, lambda file=file: _tools(evaluator, labels(), file))  # type: ignore[misc]
    if "river" in parts:
        file, budget = judged(stream, "llm", BUDGET, arguments.work, label), BUDGET
        river = arguments.work / "river" / label
        twin = river / f"{stream.name}-benign.json"
        of = (evaluator, stream, labels(), file, budget, twin)
        _keep(river / f"{stream.name}.json", lambda: river_habits.measure(*of))
    if "peers" in parts:
        peers = arguments.work / "peers"
        for name, rule in peers_rules.rules(evaluator.evaluate.scenarios.MODELS).items():
            if name == SLOW and seed not in arguments.slow_seeds:
                continue
            target = peers / f"{stream.name}-{_slug(name)}.json"
            _keep(target, lambda n=name, r=rule: _peer(evaluator, stream, labels(), n, r))  # type: ignore[misc]


def _chances(
    evaluator: Evaluator, arguments: argparse.Namespace, label: str, stream: Stream, labels: Any
) -> None:
    """What the alerts of the twin without attacks would have hit: luck, not skill."""
    for budget in arguments.budgets:
        found = arguments.work / "found" / label
        twin = found / f"{stream.name}-benign-llm-{budget:g}.ndjson"
        target = arguments.work / "scores" / label / f"{stream.name}-luck-{budget:g}.json"
        if twin.exists():
            lines = twin.read_text().splitlines()
            _keep(target, lambda n=lines: labels().score(evaluator.findings(n)))  # type: ignore[misc]


def _scored(evaluator: Evaluator, truth: Truth, file: Path) -> dict[str, Any]:
    findings = evaluator.findings(file.read_text().splitlines())
    score = truth.score(findings) | {"months": truth.months(), "events": truth.count}
    elsewhere = [f for f in findings if f["entity"].get("id") not in truth.thief_first]
    score["false_but_thief_first"] = truth.score(elsewhere)["false"]
    score["detectors"] = parted(truth, findings, "detector")
    if len(truth.attacks):
        score["channels"] = parted(truth, findings, "channel")
    return score


def _tools(evaluator: Evaluator, truth: Truth, file: Path) -> dict[str, Any]:
    findings = evaluator.findings(file.read_text().splitlines())
    names = sorted({finding["detector"] for finding in findings})
    alone = {n: truth.tool_score([f for f in findings if f["detector"] == n]) for n in names}
    return truth.tool_score(findings) | {"detectors": alone}


def _peer(
    evaluator: Evaluator, stream: Stream, truth: Truth, name: str, rule: peers_rules.Rule
) -> dict[str, Any]:
    events = evaluator.evaluate.load(str(stream.folder))[0].sort_values("ts", kind="stable")
    begun = time.monotonic()
    keys, times = rule(events)
    seconds = time.monotonic() - begun
    epoch, name_of = evaluator.evaluate.EPOCH, evaluator.evaluate.key_id
    found = [
        {"detector": name, "entity": {"id": name_of(int(key))}, "time": float(at) + epoch}
        for key, at in zip(keys, times, strict=True)
    ]
    score = truth.score(found)
    return score | {"rule": name, "months": truth.months(), "alerts": len(found), "s": seconds}


def _catalog(first: int) -> list[dict[str, Any]]:
    words = [sys.executable, str(ROOT / "benchmarks" / "catalog.py"), "--json"]
    words += ["--first", str(first)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=True)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _keep(target: Path, make: Any) -> None:
    """Makes a result unless it is there."""
    if target.exists():
        return
    begun = time.monotonic()
    result = make()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, default=float))
    print(f"{target.name}: {time.monotonic() - begun:.0f} s", flush=True)


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name.lower())[:40]


if __name__ == "__main__":
    main()
