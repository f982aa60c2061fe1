"""Break one rule of the core at a time: the property tests must notice.

The sources are copied, one line is replaced, and streams are compared with the oracle, cut and
restored, and the rules tried one by one. A mutation whose line is gone fails: then the rule must
be found again by hand.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "detectors", "streams", "alerts")
SEEDS = 30
PROGRAM = f"""
import subprocess, sys, streams.pipeline, tests.test_pipeline_properties as properties
from pathlib import Path
assert Path(streams.pipeline.__file__).is_relative_to(Path.cwd()), "the wrong sources"
properties.lower_limits(setattr)
for seed in range({SEEDS}):
    properties.check(seed)
    properties.check_order(seed)
rules = ["tests/test_pipeline_rules.py", "tests/test_clock.py", "tests/test_redelivery.py"]
sys.exit(subprocess.call([sys.executable, "-m", "pytest", "-qx", "-m", "not slow", *rules]))
"""

MUTANTS = {
    "late against the end of the block": (
        "before = np.concatenate([[self.now_ms], after[:-1]])",
        "before = after[-1:]",
    ),
    "late against the start of the block": (
        "before = np.concatenate([[self.now_ms], after[:-1]])",
        "before = np.full(1, self.now_ms)",
    ),
    "late one millisecond early": (
        "times >= before - lateness_ms",
        "times > before - lateness_ms",
    ),
    "blocks are not cut where time moves": (
        'stop = int(np.searchsorted(clock, clock[start] + self._span_ms, "right"))',
        "stop = len(kept)",
    ),
    "the habit of the window before is used": (
        "before = version[key, 0] > windows[at] - 2",
        "before = version[key, 0] > windows[at] - 1",
    ),
    "what was called an attack is learned": (
        "usual[unusual] = False",
        "pass",
    ),
    "windows are not shifted": (
        "self.keys.seed[keys].astype(np.int64) % STEPS * self.step_ms",
        "self.keys.seed[keys].astype(np.int64) * 0",
    ),
    "the deciding event of a close is the last of the part": (
        "at = np.searchsorted(clock, ends + self.lateness_ms)",
        "at = np.full(len(ends), len(clock) - 1)",
    ),
    "a final revision carries the time of whatever came last": (
        "decided = ends + self.lateness_ms",
        "decided = np.full(len(ends), clock[-1])",
    ),
    "windows close too early": (
        "tick = (clock_ms - self.lateness_ms) // self.step_ms",
        "tick = clock_ms // self.step_ms",
    ),
    "closes of more than one round are one batch": (
        "size = int(np.searchsorted(ends, ends[0] + self.spec.width_ms))",
        "size = len(ready)",
    ),
    "a quiet verdict is not asked for again": (
        "total + max(1, total // 4)",
        "2**61",
    ),
    "a quiet verdict is asked for again at once": (
        "total + max(1, total // 4)",
        "total",
    ),
    "a told alarm does not raise the limit": (
        "if level and (told := level.get(channel.feature, 0)):",
        "if False and (told := level.get(channel.feature, 0)):",
    ),
    "alarms of the window before are known": (
        "if told <= window - 2:",
        "if told <= window - 1:",
    ),
    "a level is never accepted": (
        'window - alarm["start"] > self.accept',
        "False",
    ),
    "an alarm never ends": (
        "return totals if window - told <= self.quiet else None",
        "return totals",
    ),
    "a value is new in its first window only": (
        "new[at] = first[slot] >= window - 1",
        "new[at] = first[slot] >= window",
    ),
    "a value met again is fresh again": (
        'columns.fill(f"fresh_{item}", part.rows[known], new[here] & fresh[here])',
        'columns.fill(f"fresh_{item}", part.rows[known], new[here])',
    ),
    "the record of the window before is known": (
        "records[at, place] = old[2][key, place] if before else most[key, place]",
        "records[at, place] = most[key, place]",
    ),
    "a record has no law": (
        "reach = (1 + beyond) * record - slack[channel]",
        "reach = record - slack[channel]",
    ),
    "every event begins an hour": (
        "begins = part.rows[windows.opening]",
        "begins = part.rows",
    ),
    "only a new address begins an hour": (
        'columns.fill("address_begins_hour", part.rows[known], fresh[here])',
        'columns.fill("address_begins_hour", part.rows[known], new[here] & fresh[here])',
    ),
    "a redelivery is judged": (
        "if signature in before:",
        "if False:",
    ),
    "an id with another content is a duplicate": (
        "for name in CONTENT:",
        "for name in ():",
    ),
    "an id alone makes an event disappear": (
        "if signature in before:",
        "if before:",
    ),
    "a merged signal is forgotten": (
        "if near and record.ingest_source not in signals[1]:",
        "if near:",
    ),
    "the first lesson counts for a twentieth": (
        "start = taught[key] == 0",
        "start = False",
    ),
    "high windows that follow each other are many peaks": (
        "if window - last_peak[row, place] <= gap:",
        "if False:",
    ),
    "a finding about one event is told every time": (
        "if told.get(name) is None:",
        "if True:",
    ),
    "the snapshot forgets the clock": (
        'pipeline._clock.now_ms, pipeline._clock.copies = state["clock"]',
        'pipeline._clock.copies = state["clock"][1]',
    ),
    "the snapshot forgets what was told": (
        'self._told[detector.about.id].load(state["told"][detector.about.id])',
        "pass",
    ),
    "a jump needs no witness": (
        "if time > now + JUMP_MS and not _stamped(record, time):",
        "if False:",
    ),
}


def mutate(copy: Path, old: str, new: str) -> None:
    """Replaces a text that stands in exactly one place of the core."""
    places = [
        path
        for room in ("streams", "detectors")
        for path in sorted((copy / room).rglob("*.py"))
        if old in path.read_text()
    ]
    assert [old] * len(places) == [old], f"the rule must stand in one file: {old!r} in {places}"
    text = places[0].read_text()
    assert 1 == text.count(old), f"the rule must stand once in {places[0]}: {old!r}"
    places[0].write_text(text.replace(old, new))


def judge(copy: Path) -> subprocess.CompletedProcess[str]:
    """Runs the properties over the copied sources."""
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=copy, capture_output=True, text=True, timeout=600
    )


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for room in (*ROOMS, "tests"):
        ignored = shutil.ignore_patterns("__pycache__", "golden*", "samples_*")
        shutil.copytree(ROOT / room, tmp_path / room, ignore=ignored)
    return tmp_path


@pytest.mark.parametrize(("old", "new"), MUTANTS.values(), ids=MUTANTS.keys())
def test_every_mutation_finds_its_line(old: str, new: str, tmp_path: Path) -> None:
    for room in ("streams", "detectors"):
        shutil.copytree(ROOT / room, tmp_path / room)

    mutate(tmp_path, old, new)

    assert any(new in path.read_text() for path in tmp_path.rglob("*.py"))


@pytest.mark.slow
def test_the_sources_as_they_are_pass(copy: Path) -> None:
    done = judge(copy)

    assert 0 == done.returncode, done.stderr[-2000:]


@pytest.mark.slow
@pytest.mark.parametrize(("old", "new"), MUTANTS.values(), ids=MUTANTS.keys())
def test_a_broken_rule_is_noticed(copy: Path, old: str, new: str) -> None:
    mutate(copy, old, new)

    done = judge(copy)

    assert 1 == done.returncode, "nobody noticed"
    assert "the wrong sources" not in done.stderr
