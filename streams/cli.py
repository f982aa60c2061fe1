"""The command line. Every command is a module, loaded only when it is asked for."""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_CONFIG = 78
# Errors that say themselves what to do; named, not imported, so that --help stays fast.
BAD_INSTALLATION = ("BadConfig", "UnsafePepper", "QuarantineLocked")
EXIT_INTERRUPTED = 130

COMMANDS = {
    "demo": "two weeks of generated traffic with attacks, in a minute",
    "serve": "take events in, judge them, tell people: one process, one folder",
    "feed": "the page for analysts, and the feed for machines",
    "replay": "judge recorded events of any known format",
    "backtest": "how many alerts each budget would have raised on your own history",
    "findings": "list what was found",
    "incidents": "what is going on, and the whole story of one",
    "ack": "somebody looks at an incident",
    "snooze": "put an incident off for a while",
    "resolve": "close an incident: it is over, or was a false positive",
    "expected": "close an incident and hide the like of it for a while",
    "silence": "hide findings: who, why, until when, and what it would have hidden",
    "explain": "one finding in full, and derived again from its events",
    "detectors": "what can be detected, and what a source covers",
    "topics": "Kafka: create the topics, or say what differs from what is needed",
    "ingest": "Kafka: take events in and put them on their topic",
    "worker": "Kafka: judge what is on the events topic, together with other workers",
    "deliver": "Kafka: carry findings from their topic to whoever is to be told",
    "lag": "Kafka: how many records workers have yet to judge",
    "outbox": "who waits for what; refused records: list, retry, discard",
    "alert": "send a test message to a destination",
    "dlq": "rejected originals: list, show their structure, retry",
    "route": "who would be told of a finding, and why",
    "init": "write a configuration file with every default explained",
    "doctor": "Kafka: look for what is wrong, and say what to do",
    "fingerprint": "what a key is called in events, for lists in the configuration",
    "check": "say what is wrong with a configuration file",
    "version": "print the version",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit code (see `EXIT_*`)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    top = _top()
    if not words or words[0] not in COMMANDS:
        top.parse_args(words)  # --help, --version, or an error that names the commands
        top.print_help()
        return EXIT_USAGE
    name, rest = words[0], words[1:]
    module = importlib.import_module(f"streams.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"tripmeter {name}", description=COMMANDS[name])
    module.add_arguments(parser)
    parsed = parser.parse_args(rest)
    try:
        code: int = module.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        if type(error).__name__ not in BAD_INSTALLATION:
            raise
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    return code


def _top() -> argparse.ArgumentParser:
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="tripmeter",
        description="A tripwire on the token meter: finds stolen keys, leaking tenants and"
        " retry storms in LLM traffic.",
        epilog=f"commands:\n{listing}\n\n`tripmeter COMMAND --help` tells more. Exit codes: 0 fine,"
        " 1 findings (--fail-on),\n2 usage, 78 bad configuration.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tripmeter {_version()}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    return parser


def _version() -> str:
    from streams.commands.version import version

    return version()


if __name__ == "__main__":
    sys.exit(main())
