"""Python and Node environments of third-party programs, made once outside our own."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
INSTALL_S = 900.0


def cache() -> Path:
    """Where the environments are: `$TRIPMETER_PEERS`, else below the user's cache folder."""
    chosen = os.environ.get("TRIPMETER_PEERS")
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(chosen) if chosen else base / "tripmeter-peers"


def python_of(name: str) -> Path:
    """The interpreter of the environment that `requirements-<name>.txt` describes.

    It is made on first use, and again when the file or the version of Python changes.
    """
    lock = HERE / f"requirements-{name}.txt"
    version = "{}.{}".format(*sys.version_info)
    home = cache() / f"{name}-{version}-{_digest(lock)}"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", str(home)])
        pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        _run([*pip, "--require-hashes", "--only-binary", ":all:", "-r", str(lock)])
        (home / "complete").touch()
    return python


def node_modules() -> Path:
    """A folder with `node_modules` as `package-lock.json` describes it, and our programs."""
    lock = PROGRAMS / "package-lock.json"
    home = cache() / f"node-{_digest(lock)}"
    if not (home / "complete").exists():
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PROGRAMS / name, home)
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(home)])
        (home / "complete").touch()
    return home


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()[:12]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    assert done.returncode == 0, f"{' '.join(command[:4])} ...:\n{done.stdout}{done.stderr}"
