"""`tripmeter doctor`: look for what is wrong around Kafka, and say what to do."""

import argparse
import json

from streams.commands.shared import add_data, add_json, print_table
from streams.commands.shared_kafka import add_kafka, answered, configured

EXIT_WRONG = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`--bootstrap HOST:PORT [--data DIR] [--json]`."""
    add_kafka(parser)
    add_data(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """0 when nothing is wrong, 1 when something is."""
    settings = configured(arguments)

    def work() -> int:
        from streams.kafka.doctor import examine

        checks = list(examine(settings.kafka, settings.base, arguments.data))
        if arguments.json:
            for check in checks:
                print(json.dumps(check.shown()))
        else:
            rows = [(check.state, check.name, check.what, check.remedy) for check in checks]
            print_table("Doctor", ("", "about", "what", "what to do"), rows)
        return EXIT_WRONG if any(check.state == "wrong" for check in checks) else 0

    return answered(work)
