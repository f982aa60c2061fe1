"""Which detectors a source gives enough for, by fields and by kinds of events."""

import pytest

from detectors import CATALOG
from streams.coverage import UnknownSource, kinds, missing, sources

ABOUT = {kind.about.id: kind.about for kind in CATALOG}


def test_our_own_form_covers_every_detector() -> None:
    assert {} == {
        name: gaps for name, about in ABOUT.items() if (gaps := missing(about, "canonical"))
    }


def test_a_source_of_calls_knows_nothing_of_control_planes_and_bills() -> None:
    assert ["llm.control_plane events"] == missing(ABOUT["logging-tamper"], "litellm")
    assert ["llm.usage_bucket events"] == missing(ABOUT["unmetered-usage"], "litellm")


def test_fields_that_are_missing_are_named() -> None:
    assert ["gen_ai.response.model"] == missing(ABOUT["model-rotation"], "litellm")
    assert [] == missing(ABOUT["usage-gap"], "litellm")


@pytest.mark.parametrize("source", ["litellm", "otlp"])
def test_resources_that_arguments_name_are_enough_for_those_who_watch_resources(
    source: str,
) -> None:
    assert [] == missing(ABOUT["foreign-resource"], source)
    assert [] == missing(ABOUT["resource-enumeration"], source)
    assert "tool.result.sampled_ids" in missing(ABOUT["leaked-canary"], source)


def test_every_source_makes_calls() -> None:
    assert all("llm.request" in kinds(source) for source in sources())


def test_an_unknown_source_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(UnknownSource, match="litellm"):
        missing(ABOUT["key-probe"], "nope")
