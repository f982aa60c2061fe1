"""Every detector has a page for the person who is woken by it, and the page fits the detector."""

from pathlib import Path

import pytest

from detectors import CATALOG
from schemas.finding import About

PAGES = Path(__file__).parent.parent / "docs" / "runbooks"
PARTS = ("What was seen.", "What it means.", "First five minutes", "It is honest when")
ABOUTS = [kind.about for kind in CATALOG]
EACH = pytest.mark.parametrize("about", ABOUTS, ids=[about.id for about in ABOUTS])


def page(about: About) -> str:
    return " ".join((PAGES / f"{about.id}.md").read_text().split())


@EACH
def test_a_page_says_what_was_seen_and_what_to_do(about: About) -> None:
    text = page(about)

    assert text.startswith(f"# {about.id}: ")
    assert [] == [part for part in (*PARTS, "Not seen.") if f"**{part}**" not in text]


@EACH
def test_a_page_names_the_fields_and_the_techniques_of_the_detector(about: About) -> None:
    text = page(about)

    assert [] == [name for name in (*about.needs, *about.kinds) if f"`{name}`" not in text]
    assert [] == [one.id for one in about.techniques if one.id not in text]
    assert [] == [one.version for one in about.techniques if f"({one.version})" not in text]


def test_every_page_is_about_a_detector() -> None:
    known = {kind.about.id for kind in CATALOG}

    assert set() == {path.stem for path in PAGES.glob("*.md")} - known
