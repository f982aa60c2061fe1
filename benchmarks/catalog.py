"""Plays every detector's scenes for many seeds: attacks found, look-alikes raised.

    python benchmarks/catalog.py [--seeds 20] [--first 2000] [--only ID ...] [--json]

Scenes are functions of a seed in `schemas/samples`, listed in `schemas.samples.all_trials`; seeds
below 2000 may have been looked at while a detector was written. A scene counts as found when the
detector raises at least one finding. Delay is event time from the attack's first event that the
finding names to the decision.
"""

import argparse
import json
import statistics
from typing import Any

from detectors import CATALOG
from schemas.samples.all_trials import TRIALS
from schemas.samples.trials import Scene, Trial, settings
from streams.pipeline import CoreSettings, Pipeline

BLOCK_LINES = 2000


def play(name: str, lines: list[bytes]) -> list[Any]:
    """The findings of one detector about one scene."""
    [kind] = [kind for kind in CATALOG if kind.about.id == name]
    lanes = {channel.window.split("/")[0] for channel in kind.channels}
    pipeline = Pipeline(CoreSettings.model_validate(settings()), only={name, *lanes})
    found = []
    for start in range(0, len(lines), BLOCK_LINES):
        found += pipeline.process(b"\n".join(lines[start : start + BLOCK_LINES])).findings
    return [finding for finding in found if finding.detector == name and finding.revision == 1]


def try_out(name: str, trial: Trial, seeds: range) -> dict[str, Any]:
    """One row: what was played, what was found, what was raised falsely."""
    found, delays, raised = 0, [], {}

    def findings(scene: Scene, seed: int) -> list[Any]:
        lines = scene(seed, trial.thinned) if trial.thinned > 1 else scene(seed)
        return play(name, lines)

    for scene in trial.attacks:
        for seed in seeds:
            if told := findings(scene, seed):
                found += 1
                delays.append((told[0].time - told[0].since).total_seconds())
    for scene in trial.quiet:
        raised[scene.__name__] = sum(bool(findings(scene, seed)) for seed in seeds)
    return {
        "detector": name,
        "attacks": len(trial.attacks) * len(seeds),
        "found": found,
        "delay_s": statistics.median(delays) if delays else None,
        "lookalikes": len(trial.quiet) * len(seeds),
        "raised": raised,
    }


def row(result: dict[str, Any]) -> str:
    """A row of the table in docs/detection.md."""
    false = sum(result["raised"].values())
    which = ", ".join(f"{name} {count}" for name, count in result["raised"].items() if count)
    return (
        f"| `{result['detector']}` | {result['found']} of {result['attacks']} "
        f"| {false} of {result['lookalikes']}{f' ({which})' if which else ''} |"
    )


def main() -> None:
    """Prints one row per detector as it is done."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=2000)
    parser.add_argument("--only", nargs="*", default=list(TRIALS), choices=list(TRIALS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    if not arguments.json:
        print("| detector | attacks found | look-alikes raised |\n|---|---|---|")
    for name in arguments.only:
        result = try_out(name, TRIALS[name], seeds)
        print(json.dumps(result) if arguments.json else row(result), flush=True)


if __name__ == "__main__":
    main()
