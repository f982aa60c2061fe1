"""Take the decisive comparison out of a detector: its own tests must notice.

A detector's file is copied with one comparison replaced, and its own test file alone is run.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "detectors", "streams", "alerts", "tests")

MUTANTS = [
    ("canary_key", "if event.api_key_id not in self._canaries:", "if True:"),
    ("revoked_key", "time_ms < since + GRACE_MS", "time_ms < since"),
    ("revoked_key", "since is None or time_ms < since + GRACE_MS", "since is None"),
    ("revoked_key", "or code in (401, 403) or", "or"),
    ("revoked_key", "(code or 0) >= 400", "False"),
    ("logging_tamper", "if not off and action not in WEAKENED:", "if False:"),
    ("logging_tamper", "(event.user_id, event.api_key_id)):", "()):"),
    ("logging_tamper", 'done = event.status not in ("error", "blocked")', "done = True"),
    ("shared_key", "first[0] == tenant and time_ms >= first[1]", "time_ms >= first[1]"),
    ("shared_key", "if first is None or first[0] == tenant:", "if first is None:"),
    ("shared_key", ", each_ms=DAY_MS", ""),
    ("shared_key", "(tenant, event.user_id, key)):", "()):"),
    ("one_origin_many_keys", "len(tenants) < STRANGERS", "not tenants"),
    ("one_origin_many_keys", "if frozenset.intersection(", "if False and frozenset.intersection("),
    ("one_origin_many_keys", "if not old or here.name in old:", "if not old:"),
    (
        "one_origin_many_keys",
        "for home in homes if home.low <= today - HOME_DAYS",
        "for home in homes",
    ),
    ("one_origin_many_keys", "past=HOME_DAYS, recent=HOME_DAYS", "past=HOME_DAYS, recent=0"),
    ("key_beacon", "max(gaps) <= JITTER * min(gaps)", "True"),
    ("key_beacon", "min(gaps) >= LEAST_PERIOD_MS and", ""),
    ("longer_hours", "if rose and first is not None:", "if first is not None:"),
    ("longer_hours", "if len(past) < KNOWN_HOURS:", "if False:"),
    ("longer_hours", "DELTA * (budget / AT_BUDGET) ** STEEP", "DELTA"),
    ("key_beacon", "if not tiny or began < oldest + PLACES.gap:", "if not tiny:"),
    ("key_beacon", "if not beat or worked <= beat[-1][0]:", "if not beat:"),
    ("key_beacon", "gap=PAST_MS - SETTLED_MS", "gap=10 * PAST_MS"),
    ("unmetered_usage", "one[1] == two[0] and", ""),
    ("unmetered_usage", "_short(one, seen_one) and", ""),
    ("unmetered_usage", 'newest - HORIZON_MS, state["since"]', "newest - HORIZON_MS"),
    ("unmetered_usage", 'newest - HORIZON_MS, state["since"]', 'state["since"]'),
    ("unmetered_usage", "max(LEAST_TOKENS, LEAST_SHARE * bill[2])", "LEAST_TOKENS"),
    ("unmetered_usage", "known <= bill[0] and bill[1] <= until", "bill[1] <= until"),
    ("unmetered_usage", "key=lambda bill: bill[2]", "key=lambda bill: -bill[2]"),
    ("new_origin", "            aged=RESTED_HOURS,\n", ""),
    ("second_user", 'Channel("credential/1d", "active_hours"', 'Channel("credential/1d", "calls"'),
    ("cache_collapse", "and now <= before - DROP", "and now < before"),
    ("cache_collapse", " >= IN_A_ROW - 1:", " >= 0:"),
    ("fallback_drift", "and share >= STRANGE", "and share > 0"),
    ("fallback_drift", "known.get(one, 0.0) < RARE", "known.get(one, 0.0) < 1"),
    ("fallback_drift", "by = family(answered)", "by = answered"),
    ("model_rotation", "if calls < NEARLY_ALL * batch", "if calls < 0 * batch"),
    ("model_rotation", "batches_before >= LEARNED and", ""),
    ("model_rotation", "and family(now) == family(before)", ""),
    ("slow_first_token", "shift[0] >= SLOWER", "shift[0] > 0"),
    ("slow_first_token", "shift[0] >= SLOWER", "abs(shift[0]) >= SLOWER"),
    ("slow_first_token", " >= IN_A_ROW - 1:", " >= 0:"),
    ("vendor_drift", "abs(shift[0]) >= OTHER_LENGTH", "shift[0] >= OTHER_LENGTH"),
    ("vendor_drift", "abs(shift[0]) >= OTHER_LENGTH", "abs(shift[0]) > 0"),
    ("vendor_drift", "or tokens < LEAST_TOKENS", ""),
    ("tool_truncation", "max(MOSTLY, before + MORE)", "before + MORE"),
    ("tool_truncation", "max(MOSTLY, before + MORE)", "MOSTLY"),
    ("tool_truncation", "and sessions >= SESSIONS", ""),
    ("tool_drift", "now >= before + FAILING", "now > before"),
    ("tool_drift", "abs(now - before) >= OTHER_SIZE", "now != before"),
    ("tool_drift", "now >= before + FAILING and sessions >= SESSIONS", "now >= before + FAILING"),
    ("first_touch_burn", "and read < BREAK_EVEN * written", ""),
    ("first_touch_burn", "written >= LEAST_TOKENS * batch", "written >= 0 * batch"),
    ("first_touch_burn", "if row >= IN_A_ROW:", "if row:"),
    ("usage_gap", 'missing < max(EXPECTED, LONGER * flow["worst"])', "missing < EXPECTED"),
    ("usage_gap", 'missing < max(EXPECTED, LONGER * flow["worst"])', 'missing < 3 * flow["worst"]'),
    ("usage_gap", 'if flow["told"] != flow["last"][0]:', "if True:"),
]


def passes(copy: Path, name: str) -> bool:
    """Whether the detector's own tests pass over the copied sources."""
    words = ["-m", "pytest", "-qx", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, *words, f"tests/test_detector_{name}.py"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.returncode == 0


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mutants")
    for room in ROOMS:
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("goldens"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@pytest.mark.parametrize(("name", "old", "new"), MUTANTS)
def test_every_comparison_stands_where_we_think(name: str, old: str, new: str) -> None:
    assert 1 == (ROOT / "detectors" / f"{name}.py").read_text().count(old)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({name for name, *_ in MUTANTS}))
def test_the_detectors_as_they_are_pass(copy: Path, name: str) -> None:
    assert passes(copy, name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "old", "new"), MUTANTS)
def test_a_comparison_that_is_gone_is_missed(copy: Path, name: str, old: str, new: str) -> None:
    file = copy / "detectors" / f"{name}.py"
    text = file.read_text()
    file.write_text(text.replace(old, new))
    try:
        assert not passes(copy, name), "nobody noticed"
    finally:
        file.write_text(text)
