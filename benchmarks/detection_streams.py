"""Labelled streams for `benchmarks/detection.py`, made and scored by the evaluator's own code.

The evaluator is a folder with `evaluate.py`, `scenarios.py` and `scoring.py`; nothing of it is
copied. What was made or judged once is kept in the work folder, under a name that changes with
the code that judges.
"""

import hashlib
import importlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zstandard

ROOT = Path(__file__).resolve().parent.parent
DAY_S = 86_400
SCORED_DAYS = 11
AFTER_S = 90_000  # of an attack: neither hit nor false
COMMAND = (sys.executable, "-m", "streams.cli", "replay", "--json")
PARTS = {"llm": "llm.ndjson.zst", "tools": "tools.ndjson", "unregistered": "unregistered.ndjson"}


@dataclass(frozen=True, slots=True)
class Stream:
    """One seed's stream."""

    folder: Path
    seed: int
    benign: bool

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.name


class Evaluator:
    """The judge's own code, loaded from where it lies."""

    def __init__(self, path: Path) -> None:
        path = path.resolve()
        self.folder = path.parent if path.is_file() else path
        sys.path.insert(0, str(self.folder))
        self.evaluate: Any = importlib.import_module("evaluate")
        self.scoring: Any = importlib.import_module("scoring")

    def stream(
        self, work: Path, split: str, seed: int, benign: bool, keys: int | None = None
    ) -> Stream | None:
        """The stream of a seed, made if need be; None when its generator fails."""
        suffix = f"-{keys}" * (keys is not None) + "-benign" * benign
        folder = work / "streams" / f"{split}-{seed}{suffix}"
        if not (folder / "manifest.json").exists():
            words = ["--seed", str(seed), "--split", split, "--out", str(folder)]
            words += ["--keys", str(keys)] * (keys is not None) + ["--benign-only"] * benign
            program = [sys.executable, str(self.folder / "scenarios.py"), *words]
            made = subprocess.run(program, capture_output=True, text=True)
            if made.returncode:
                print(f"{folder.name}: its generator fails: {made.stderr.strip()[-200:]}")
                return None
        stream = Stream(folder, seed, benign)
        self._convert(stream)
        return stream

    def _convert(self, stream: Stream) -> None:
        wanted = [stream.folder / name for name in PARTS.values()]
        if all(file.exists() for file in wanted):
            return
        events, _, _, tools, _, seed = self.evaluate.load(str(stream.folder))
        if not wanted[0].exists():
            self._compressed(events, wanted[0], seed)
        self.evaluate.convert_tools(tools, str(wanted[1]), seed, True)
        self.evaluate.convert_tools(tools, str(wanted[2]), seed, False)

    def _compressed(self, events: Any, target: Path, seed: int) -> None:
        """Two gigabytes of NDJSON through a pipe into a hundred megabytes."""
        pipe, part = target.with_suffix(".pipe"), target.with_suffix(".part")
        pipe.unlink(missing_ok=True)
        os.mkfifo(pipe)

        def press() -> None:
            with pipe.open("rb") as source, part.open("wb") as sink:
                zstandard.ZstdCompressor(level=1).copy_stream(source, sink)

        pressing = threading.Thread(target=press)
        pressing.start()
        self.evaluate.convert_llm(events, str(pipe), seed)
        pressing.join()
        pipe.unlink()
        part.rename(target)

    def findings(self, lines: Iterable[str]) -> list[dict[str, Any]]:
        """What is judged: first revisions, no health."""
        return list(self.evaluate.read_findings(lines))


def code() -> str:
    """A name for the code that judges: the same as long as it is the same."""
    importlib.import_module("streams.replay")
    importlib.import_module("streams.commands.replay")
    files = sorted(
        file
        for name, module in sys.modules.items()
        if name.split(".")[0] in ("schemas", "detectors", "streams")
        and (file := getattr(module, "__file__", None))
    )
    digest = hashlib.blake2b(digest_size=5)
    for file in files:
        digest.update(Path(file).read_bytes())
    return digest.hexdigest()


def judged(stream: Stream, part: str, budget: float, work: Path, label: str) -> Path:
    """The findings of one stream under one budget, judged if need be; a file of JSON lines.

    Raises:
        RuntimeError: the command failed.
    """
    target = work / "found" / label / f"{stream.name}-{part}-{budget:g}.ndjson"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    file = stream.folder / PARTS[part]
    words = ["--alert-budget", f"{budget:g}", "--quarantine", str(work / "quarantine"), str(file)]
    partial = target.with_suffix(".part")
    with partial.open("wb") as out:
        done = subprocess.run([*COMMAND, *words], stdout=out, cwd=ROOT)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"judging {stream.name} ended with {done.returncode}")
    partial.rename(target)
    return target


class Truth:
    """A stream's labels, loaded once for many scorings.

    Attributes:
        past: of each attack, in how many hours before it the owner had used the key.
        thief_first: keys whose owner had not.
    """

    def __init__(self, evaluator: Evaluator, stream: Stream) -> None:
        self._judge = evaluator.evaluate
        events, self.attacks, self.keys, self.tools, self.tool_attacks, self.seed = (
            evaluator.evaluate.load(str(stream.folder))
        )
        self.events = events[events.label > 0]
        self.count = len(events)
        own = events[events.label == 0].ts.groupby(events.key)
        at = list(zip(self.attacks.key, self.attacks.start, strict=True))
        used = {key: np.unique(times.to_numpy() // 3600) for key, times in own}
        none = np.zeros(0)
        self.past = [int((used.get(key, none) < start // 3600).sum()) for key, start in at]
        late = [key for (key, _), hours in zip(at, self.past, strict=True) if not hours]
        self.thief_first = {evaluator.evaluate.key_id(key) for key in late}
        self._look_at_tools()

    def months(self) -> float:
        """Key-months that are scored and hold no attack, as the evaluator counts them."""
        until = np.minimum(14 * DAY_S, self.attacks.end.astype(float) + AFTER_S)
        attacked = (until - self.attacks.start.astype(float)).sum()
        return float(len(self.keys) * SCORED_DAYS * DAY_S - attacked) / DAY_S / 30

    def score(self, findings: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """False alerts a key-month, and a row per attack, as plain values."""
        rate, rows, _ = self._judge.score_llm(self.events, self.attacks, self.keys, findings)
        return {"false": rate, "rows": json.loads(rows.to_json(orient="records"))}

    def tool_score(self, findings: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """False sessions per 1 000, and a row per attack."""
        rate, rows = self._judge.score_tools(self.tools, self.tool_attacks, findings, self.seed)
        rows["met"] = [self._met[attack] for attack in self.tool_attacks.attack]
        rows["sends"] = [self._sends[attack] for attack in self.tool_attacks.attack]
        return {"false": rate, "rows": json.loads(rows.to_json(orient="records"))}

    def _look_at_tools(self) -> None:
        """Of each attack: had another tenant met its resource, and does it name where to send."""
        self._met: dict[int, bool] = dict.fromkeys(self.tool_attacks.attack, False)
        self._sends: dict[int, bool] = dict.fromkeys(self.tool_attacks.attack, False)
        met: dict[str, set[str]] = {}
        for call in self.tools.sort_values("ts", kind="stable").itertuples():
            found = self._judge.RESOURCE.search(call.args)
            if found:
                others = met.setdefault(found.group(2), set())
                if call.label > 0 and others - {call.tenant}:
                    self._met[call.label] = True
                others.add(call.tenant)
            if call.label > 0 and self._judge.DESTINATION.search(call.args):
                self._sends[call.label] = True


def channel(finding: dict[str, Any]) -> str:
    """What of a detector spoke: the window and the feature that passed its limit, or itself."""
    evidence = finding.get("evidence") or {}
    if "tripped" not in evidence:
        return str(finding["detector"])
    return f"{finding['detector']} {evidence['window']['spec']} {evidence['tripped']}"


def parted(
    truth: Truth, findings: Sequence[dict[str, Any]], by: str
) -> dict[str, dict[str, dict[str, Any]]]:
    """Each detector or channel alone, and everything without it.

    Detectors judge on their own, so leaving one out of the findings is leaving it out of the
    run; of a channel this holds but for windows in which another of the same detector would have
    spoken later.
    """
    name = channel if by == "channel" else (lambda finding: str(finding["detector"]))
    known = sorted({name(finding) for finding in findings})
    return {
        one: {
            "alone": truth.score([f for f in findings if name(f) == one]),
            "without": truth.score([f for f in findings if name(f) != one]),
        }
        for one in known
    }
