"""The promises of the project itself: names, locks, extras and a quick first answer."""

import doctest
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from detectors import CATALOG

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ["schemas", "detectors", "streams", "alerts"]
LOCKS = ["requirements.lock", "requirements-all.lock"]
MAX_LINES = 350


def _pins(lock: str) -> set[str]:
    return set(re.findall(r"^[a-z0-9][^ \\]*==[^ \\]+", (ROOT / lock).read_text(), re.M))


def test_our_distribution_alone_owns_its_import_names() -> None:
    owners = packages_distributions()
    others = {
        name: [owner for owner in owners.get(name, []) if owner != "tripmeter"] for name in PACKAGES
    }

    assert {name: [] for name in PACKAGES} == others
    assert PACKAGES == PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_import_name_is_this_checkout(package: str) -> None:
    module = __import__(package)

    assert [str(ROOT / package)] == list(module.__path__)


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_version_has_hashes_and_no_address(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    assert [] == [entry for entry in entries if "--hash=sha256:" not in entry]
    assert not re.search(r"https?:|file:|--(extra-)?index|--find-links", text)


def test_the_embedded_default_needs_no_kafka_library() -> None:
    text = (ROOT / "requirements.lock").read_text()

    assert not re.search(r"^(faust|aiokafka|kafka-python|pandas|pyarrow)", text, re.M)


def test_both_locks_hold_the_same_versions_so_all_extras_share_one_environment() -> None:
    assert set() == _pins("requirements.lock") - _pins("requirements-all.lock")


def test_every_declared_dependency_is_locked() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    declared = [*PROJECT["project"]["dependencies"], *(d for e in extras.values() for d in e)]
    names = {re.split(r"[\[<>=]", requirement)[0] for requirement in declared}

    assert set() == names - {pin.split("==")[0] for pin in _pins("requirements-all.lock")}


def test_files_stay_short_enough_to_read() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
    }

    assert {} == {path: lines for path, lines in lengths.items() if lines > MAX_LINES}


def test_the_command_line_explains_itself_without_loading_the_heavy_libraries() -> None:
    heavy = ["river", "pandas", "slack_sdk", "starlette", "uvicorn", "rich", "faust", "scipy"]
    program = (
        "import sys\nfrom streams.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print('LOADED', *sorted(set({heavy}) & set(sys.modules)))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )

    assert "LOADED" == done.stdout.splitlines()[-1].strip()


def test_every_link_between_our_pages_leads_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    links = [
        (page.relative_to(ROOT), target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
    ]

    assert [] == [
        (page, target) for page, target in links if not (ROOT / page.parent / target).exists()
    ]


def test_every_test_the_reliability_page_names_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/reliability.md").read_text()))
    written = "".join(file.read_text() for file in (ROOT / "tests").glob("test_*.py"))

    assert set() == named - set(re.findall(r"^(?:async )?def (test_\w+)", written, re.M))


def _code(document: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text(), re.S)


def test_the_detector_that_contributing_shows_does_what_its_test_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector, test = _code("CONTRIBUTING.md")
    shown: dict[str, Any] = {"__name__": "detectors.refused_burst"}
    exec(detector, shown)  # noqa: S102  (our own page)
    monkeypatch.setattr("streams.pipeline.CATALOG", (*CATALOG, shown["RefusedBurst"]))

    tests: dict[str, Any] = {"__name__": "test_refused_burst"}
    exec(test, tests)  # noqa: S102
    ran = [name for name, run in tests.items() if name.startswith("test_") and run() is None]

    assert 2 == len(ran)
    assert 0 == _failures(shown["RefusedBurst"], shown)


def _failures(thing: Any, names: dict[str, Any]) -> int:
    """How many examples of a docstring do not give what they say."""
    runner = doctest.DocTestRunner(verbose=False)
    [examples] = doctest.DocTestFinder(recurse=False).find(thing, "shown", globs=names)
    return runner.run(examples).failed
