"""`tripmeter replay`: judge recorded events of any known format."""

import argparse
import gc
import json
import sys
import time
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from streams.commands.shared import (
    add_config,
    add_format,
    add_json,
    budget,
    fail,
    print_table,
    safe,
)
from streams.commands.shared_kafka import answered

SEVERITIES = ("informational", "low", "medium", "high", "critical")
TABLE_ROWS = 500  # findings shown as a table; --json prints all
PROGRESS_S = 0.5
PEPPER_FILE = "pepper"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Files, how to read them, what to print."""
    parser.add_argument("files", nargs="*", metavar="FILE", help="recorded events; - is stdin")
    parser.add_argument("--from-topic", metavar="TOPIC", help="events of a Kafka topic instead")
    parser.add_argument("--bootstrap", metavar="HOST:PORT", help="brokers of that topic")
    parser.add_argument("--since", metavar="WHEN", help="of the topic: 2h, 7d or an ISO 8601 time")
    parser.add_argument("--until", metavar="WHEN", help="of the topic: before this time")
    add_format(parser)
    parser.add_argument(
        "--alert-budget", type=budget, help="false alerts a key-month you will stand"
    )
    parser.add_argument("--detectors", help="only these, by id, with commas between")
    parser.add_argument("--close", action="store_true", help="close windows that are still open")
    parser.add_argument("--summary", type=Path, metavar="FILE", help="write counts as JSON")
    parser.add_argument("--fail-on", choices=SEVERITIES, help="exit 1 if one is as bad as this")
    parser.add_argument(
        "--quarantine",
        type=Path,
        default=Path("tripmeter-data"),
        metavar="DIR",
        help="where rejected records are kept, encrypted (default: %(default)s)",
    )
    add_config(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints findings; 0, or 1 with `--fail-on`, or 2 when a file cannot be read.

    Raises:
        BadConfig: file, line, key, what is wrong, what to do.
    """
    return answered(lambda: _replay(arguments))


def _replay(arguments: argparse.Namespace) -> int:
    from schemas.adapters import UnknownFormat
    from streams.collector import calm
    from streams.configuration import load
    from streams.replay import Replay
    from streams.wiring import JUDGED

    calm()
    if bool(arguments.files) == bool(arguments.from_topic):
        return fail("name files, or a topic with --from-topic")
    settings = load(arguments.config, JUDGED)
    keeper = _Keeper(arguments.quarantine, settings)
    try:
        core = _core(arguments, settings)
        replay = Replay(_recordings(arguments, keeper), core, arguments.close)
        code = _judge(replay, arguments)
    except BrokenPipeError:
        raise
    except (OSError, UnknownFormat) as error:
        return fail(str(error))
    finally:
        keeper.close()
    return code


def _judge(replay: Any, arguments: argparse.Namespace) -> int:
    begun = time.monotonic()
    progress = _Progress(arguments.files)
    found: list[Any] = []
    count, worst = 0, 0
    gc.freeze()
    gc.disable()  # records hold no cycles; collecting would only walk them
    for output in replay.run():
        for finding in output.findings:
            count += 1
            worst = max(worst, finding.severity.rank)
            if arguments.json:
                sys.stdout.write(finding.to_json().decode() + "\n")
            elif len(found) < TABLE_ROWS:
                found.append(finding)
        progress.show(replay)
    progress.done()
    summary = replay.summary(count, time.monotonic() - begun)
    if not arguments.json:
        _table(found, count)
        _counts(summary)
    if arguments.summary:
        arguments.summary.write_text(json.dumps(summary, indent=1) + "\n")
    if arguments.fail_on and worst > SEVERITIES.index(arguments.fail_on):
        return 1
    return 0


def _core(arguments: argparse.Namespace, loaded: Any) -> Any:
    from detectors import CATALOG
    from streams.wiring import core_settings

    settings = core_settings(loaded)
    changes: dict[str, Any] = {}
    if arguments.alert_budget is not None:
        changes["alert_budget"] = arguments.alert_budget
    if arguments.detectors:
        wanted = set(arguments.detectors.split(","))
        known = {kind.about.id for kind in CATALOG}
        if wanted - known:
            unknown = ", ".join(sorted(map(safe, wanted - known)))
            raise OSError(f"no such detector: {unknown}; `tripmeter detectors` lists them")
        changes["modes"] = {**settings.modes, **dict.fromkeys(known - wanted, "off")}
    return type(settings).model_validate({**dict(settings), **changes})


def _recordings(arguments: argparse.Namespace, keeper: "_Keeper") -> list[Any]:
    from streams.replay import Recording

    if arguments.from_topic:
        return _of_topic(arguments, keeper)
    for name in arguments.files:
        if name != "-" and not Path(name).is_file():
            raise OSError(f"{name}: no such file")
    return [
        Recording(name, keeper.context, arguments.format, quarantine=keeper.keep)
        for name in arguments.files
    ]


def _of_topic(arguments: argparse.Namespace, keeper: "_Keeper") -> list[Any]:
    from datetime import UTC, datetime

    from streams.commands.shared_kafka import configured
    from streams.kafka.replay_topic import recordings
    from streams.store import parse_since

    now = datetime.now(UTC)
    try:
        since, until = (
            parse_since(text, now) if text else None for text in (arguments.since, arguments.until)
        )
    except ValueError as error:
        raise OSError(f"--since and --until: {error}; write 2h, 7d or an ISO 8601 time") from None
    settings = configured(arguments)
    return recordings(
        settings.kafka,
        settings.base,
        arguments.from_topic,
        keeper.context,
        keeper.keep,
        format=arguments.format,
        since=since,
        until=until,
    )


class _Keeper:
    """Opens the quarantine when the first record is refused, and says where it is."""

    def __init__(self, folder: Path, settings: Any) -> None:
        self._folder = folder
        self._settings = settings
        self._quarantine: Any = None
        self._waiting: list[Any] = []
        self._told = 0

    @cache  # noqa: B019  (one keeper a run)
    def context(self) -> Any:
        """What adapters need: the installation's pepper, made now if there is none."""
        from schemas.identity import Pepper
        from streams.wiring import context

        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pepper = Pepper.load(self._folder / PEPPER_FILE).secret
        return replace(context(self._settings, pepper), controls=True)

    def keep(self, refused: Any) -> None:
        """Keeps one refused record."""
        if self._told < 5:
            print(
                f"{safe(refused.place)}: {safe(refused.field)}: {safe(refused.reason)}",
                file=sys.stderr,
            )
        elif self._told == 5:
            print("further rejected records are not shown here", file=sys.stderr)
        self._told += 1
        self._waiting.append(refused)
        if len(self._waiting) >= 200:
            self._flush()

    def _flush(self) -> None:
        from streams.quarantine import Quarantine

        if self._quarantine is None and self._waiting:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._quarantine = Quarantine(self._folder)
        if self._waiting:
            self._quarantine.add_all(self._waiting)
            self._waiting = []

    def close(self) -> None:
        """Writes what waits."""
        self._flush()
        if self._quarantine is not None:
            self._quarantine.close()
            print(
                f"{self._told:,} rejected records are kept, encrypted, in {self._folder}: "
                f"tripmeter dlq list --data {self._folder}",
                file=sys.stderr,
            )


class _Progress:
    """A line on standard error with rate and time left, if it is a terminal."""

    def __init__(self, files: list[str]) -> None:
        from streams.replay import file_bytes

        self._on = sys.stderr.isatty()
        self._total = file_bytes(files) if files else None
        self._begun = self._last = time.monotonic()

    def show(self, replay: Any) -> None:
        now = time.monotonic()
        if not self._on or now - self._last < PROGRESS_S:
            return
        self._last = now
        took, events = now - self._begun, replay.pipeline.position
        text = f"\r{events:,} events, {events / took:,.0f}/s"
        if self._total and replay.read_bytes:
            share = replay.read_bytes / self._total
            text += f", {share:.0%}, {took / share - took:,.0f} s left"
        print(text.ljust(70), end="", file=sys.stderr, flush=True)

    def done(self) -> None:
        if self._on:
            print("\r".ljust(72), end="\r", file=sys.stderr, flush=True)


def _table(found: list[Any], count: int) -> None:
    shown = [one for one in found if one.revision == 1]
    print_table(
        "Findings",
        ("time", "severity", "detector", "entity", "tenant", "what happened", "USD"),
        [
            (
                one.time.strftime("%m-%d %H:%M:%S"),
                one.severity.value,
                one.detector,
                one.entity.id,
                one.tenant or "",
                one.summary,
                "" if one.cost_usd is None else f"{one.cost_usd:,.2f}",
            )
            for one in shown
        ],
    )
    if count > len(found):
        print(f"{count - len(found):,} more; --json prints all")


def _counts(summary: dict[str, Any]) -> None:
    kinds = ("events", "ignored", "rejected", "duplicates", "late", "open_windows", "findings")
    print(", ".join(f"{summary[kind]:,} {kind.replace('_', ' ')}" for kind in kinds))
    print(f"{summary['seconds']:,.1f} s, {summary['events_per_second']:,} events/s")
