"""What the demo found, kept in a folder, and shown in the feed."""

import os
import sys
import webbrowser
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alerts.store_engine import close_store
from schemas.finding import Finding
from schemas.records import Heartbeat, Rollup
from streams.feed import CLOCK_FILE
from streams.store import STORE_FILE, Store

OURS = (STORE_FILE, f"{STORE_FILE}-wal", f"{STORE_FILE}-shm", CLOCK_FILE)


class DemoFolder:
    """A store with the demo's own clock; what an earlier demo left there goes.

    Args:
        folder: None is `tripmeter/demo` in the user's cache.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder or cache() / "tripmeter/demo"
        self._end_s = 0.0
        self._told = ""
        self._rollups: list[Rollup] = []
        self._heartbeats: list[Heartbeat] = []
        self._store: Store | None = None
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            there = {path.name for path in self._folder.iterdir()}
            if there and CLOCK_FILE not in there:
                self._told = f"{self._folder} holds something else; choose another --data"
                return
            for name in OURS:
                (self._folder / name).unlink(missing_ok=True)
            (self._folder / CLOCK_FILE).write_text(datetime.now(UTC).isoformat())
            self._store = Store(self._folder, wall=lambda: self._end_s)
        except OSError as error:
            self._told = f"{self._folder}: {error.strerror}"

    def keep(self, output: Any, end_s: float) -> None:
        """Keeps what a block brought; stored with the next findings, for a disk is slow."""
        self._end_s = end_s
        self._rollups += output.rollups
        self._heartbeats = output.heartbeats or self._heartbeats
        if output.findings:
            self._write(output.findings)

    def _write(self, findings: Sequence[Finding] = ()) -> None:
        if self._store is not None:
            self._store.record(findings, self._rollups, self._heartbeats)
        self._rollups, self._heartbeats = [], []

    def show(self) -> int:
        """Opens the feed where somebody can see it; else says how. Always 0."""
        from streams.commands.feed import lacking

        if self._store is None:
            print(f"\nNo feed: {self._told}")
            return 0
        self._write()
        close_store(self._store.engine)
        began = datetime.fromtimestamp(self._end_s, UTC)
        (self._folder / CLOCK_FILE).write_text(began.isoformat())
        print()
        if missing := lacking():
            print(f"The same in a browser: {missing}, then: {self._command()}")
            return 0
        if not (sys.stdout.isatty() and sys.stdin.isatty() and has_browser()):
            print(f"The same in a browser:  {self._command()}")
            return 0
        return self._open()

    def _command(self) -> str:
        program = os.path.relpath(sys.argv[0]) if sys.argv[0].endswith("tripmeter") else "tripmeter"
        return f"{program} feed --link admin --data {self._folder}"

    def _open(self) -> int:
        from streams.commands.feed import serve
        from streams.settings import Settings

        print("Opening the feed with it; Ctrl-C ends it.")
        settings = Settings.model_validate({"feed": {"listen": "127.0.0.1:0"}})
        return serve(self._folder, settings, open_it=True)


def cache() -> Path:
    """Where caches are kept."""
    told = os.environ.get("XDG_CACHE_HOME", "")
    return Path(told) if told.startswith("/") else Path.home() / ".cache"


def has_browser() -> bool:
    """Whether a browser with windows can be opened from here."""
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True
