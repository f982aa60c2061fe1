"""The order of the packages holds, and the check that guards it sees each way to break it."""

import pytest

from tests.layers import MAY_IMPORT, check, violations


def test_no_package_imports_one_above_it() -> None:
    assert [] == check()


@pytest.mark.parametrize(
    ("package", "line"),
    [
        ("schemas", "import streams.pipeline"),
        ("detectors", "from alerts.base import Sink"),
        ("alerts", "from detectors import CATALOG"),
        ("alerts", "def send():\n    import streams"),
        ("detectors", "from importlib import import_module\nimport_module('streams.cli')"),
        ("schemas", "from .event import Event"),
        ("streams", "from tests import layers"),
    ],
)
def test_an_import_against_the_order_is_named_with_its_line(package: str, line: str) -> None:
    last = 1 + line.count("\n")

    [message] = violations(package, line, "a.py")

    assert message.startswith(f"a.py:{last}: ")


def test_streams_may_import_every_other_package() -> None:
    source = "\n".join(f"import {package}" for package in MAY_IMPORT)

    assert [] == violations("streams", source, "a.py")
