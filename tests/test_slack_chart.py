"""The picture of a habit and of what broke it."""

import struct
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.slack_chart import LEAST_MOMENTS, Moment, draw, past_of
from schemas.finding import Finding
from schemas.records import Rollup
from streams.store import Store
from tests.alerts_fakes import KEY, NOON, finding, hostile, rich
from tests.fake_slack_pictures import pictures

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


def hours(store: Store, count: int) -> None:
    """Closed windows of the key, one an hour until noon."""
    begins = [NOON - timedelta(hours=number) for number in range(count, 0, -1)]
    usual = {"tokens": (100.0, 20_000.0)}
    store.record(
        rollups=[
            Rollup(
                entity=KEY, tenant="acme", start=start, end=start + timedelta(hours=1),
                totals={"tokens": 1000 * (1 + number % 5)}, usual=usual, cost_usd=0.1,
            )
            for number, start in enumerate(begins)
        ]
    )  # fmt: skip


def test_the_days_before_stand_above_it(tmp_path: Path) -> None:
    store = Store(tmp_path)
    hours(store, 48)
    past = past_of(store.alerts.engine)(rich())
    assert (48, 3600.0, 20_000.0) == (len(past), past[0].length_s, past[0].high)
    assert size(draw(rich(), past))[1] > size(draw(rich()))[1] + 200


def test_without_closed_windows_there_are_no_days_before(tmp_path: Path) -> None:
    assert [] == past_of(Store(tmp_path).alerts.engine)(rich())


@pytest.mark.parametrize("each", [rich(), hostile()])
@pytest.mark.parametrize("seen", [0.0, 1e300, 5.0])
def test_strange_days_can_be_drawn(each: Finding, seen: float) -> None:
    past = [Moment(3600.0 * n, 3600, seen, None, None) for n in range(LEAST_MOMENTS)]
    assert b"\x89PNG" == draw(each, past)[:4]


def test_the_pages_behind_the_pictures_of_the_documentation_can_be_made() -> None:
    made = pictures()
    assert ["slack-acknowledged.png", "slack-digest.png", "slack-modal.png", "slack-new.png",
            "slack-thread.png"] == sorted(made)  # fmt: skip
    assert all("A key spends far above its own habit" in page for page in made.values())
    assert [] == [name for name, page in made.items() if "<script" in page or 'src="http' in page]
