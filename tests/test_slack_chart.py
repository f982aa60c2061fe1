"""The picture of a habit and of what broke it."""

import struct

import pytest

from alerts.slack_chart import draw
from tests.alerts_fakes import finding, hostile, rich

pytestmark = pytest.mark.slow  # matplotlib takes seconds to load


def size(picture: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", picture[16:24])
    return width, height


def test_it_is_a_png_of_a_modest_size() -> None:
    width, height = size(draw(rich()))
    assert 800 <= width <= 1200 and 200 <= height <= 700


def test_the_nastiest_finding_can_be_drawn() -> None:
    assert b"\x89PNG" == draw(hostile())[:4]


def test_a_finding_without_a_habit_has_no_picture() -> None:
    with pytest.raises(ValueError, match="nothing to compare"):
        draw(finding())
