"""Findings in the Common Event Format."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.base import Delivery
from alerts.cef import clean, to_cef
from schemas.finding import LANES, Severity
from tests.alerts_fakes import deliveries, finding, golden, hostile, rich


def parsed(line: str) -> tuple[list[str], dict[str, str]]:
    """Header and extension, as a reader sees them who knows no escapes at all."""
    *header, extension = line.split("|")
    keys = list(re.finditer(r"(?:^| )(\w+)=", extension))
    ends = [*(key.start() for key in keys[1:]), len(extension)]
    return header, {key[1]: extension[key.end() : end] for key, end in zip(keys, ends, strict=True)}


def line_of(each: Delivery) -> str:
    return to_cef(each, "0")


def test_the_line_is_what_the_golden_file_says() -> None:
    line = line_of(deliveries(rich())[0])
    assert golden("cef.json", {"line": line}) == {"line": line}


def test_header_and_fields_are_in_their_places() -> None:
    header, fields = parsed(line_of(deliveries(rich())[0]))
    assert ["CEF:0", "Tripmeter", "Tripmeter", "0", "stolen-key-spend"] == header[:5]
    assert ["A key spends far above its own habit", "10"] == header[5:]
    assert ("f-1", "create", "llmjacking", "203.0.113.0", "412", "acme", "42.0") == tuple(
        fields[name] for name in ("externalId", "act", "cat", "src", "cnt", "cs1", "cfp1")
    )


def test_an_address_of_version_six_has_its_own_field() -> None:
    seen = {"events": [{"client_address": "2001:db8::1"}]}
    _, fields = parsed(line_of(deliveries(rich(evidence=seen))[0]))
    assert ("2001:db8::1", None) == (fields["c6a2"], fields.get("src"))
    seen = {"events": [{"client_address": "::ffff:192.0.2.1"}]}
    _, fields = parsed(line_of(deliveries(rich(evidence=seen))[0]))
    assert ("::ffff:192.0.2.1", None) == (fields["c6a2"], fields.get("src"))


@pytest.mark.parametrize(
    ("severity", "number"), [("informational", "1"), ("high", "8"), ("critical", "10")]
)
def test_severities_go_from_nought_to_ten(severity: str, number: str) -> None:
    header, _ = parsed(line_of(deliveries(finding(severity=Severity(severity)))[0]))
    assert number == header[6]


@pytest.mark.parametrize("lane", LANES)
def test_the_largest_and_nastiest_finding_is_one_short_line(lane: str) -> None:
    line = to_cef(deliveries(hostile(lane))[0])  # type: ignore[arg-type]
    header, _ = parsed(line)
    assert (1, True, 7) == (len(line.splitlines()), len(line.encode()) <= 8000, len(header))


def test_a_line_is_shortened_until_it_fits() -> None:
    wide = hostile().model_copy(update={"tenant": "漢" * 256, "title": "🔑" * 256})
    sizes = {
        limit: len(to_cef(deliveries(wide)[0], limit=limit).encode()) for limit in (8000, 2048)
    }
    assert [] == [limit for limit, size in sizes.items() if size > limit]


def test_a_quote_does_not_swallow_the_fields_behind_it() -> None:
    line = line_of(deliveries(finding(tenant='say "a', summary='"'))[0])
    assert ("say 'a", "'", False) == (parsed(line)[1]["cs1"], parsed(line)[1]["msg"], '"' in line)


@given(st.text(max_size=300))
@settings(max_examples=50, deadline=None)
def test_no_text_of_an_attacker_makes_a_field_of_its_own(text: str) -> None:
    plain = parsed(line_of(deliveries(finding(tenant="t", summary="s", title="x"))[0]))
    header, fields = parsed(line_of(deliveries(finding(tenant=text, summary=text, title=text))[0]))
    assert set(plain[1]) - {"cs1", "cs1Label"} <= set(fields) <= set(plain[1])
    assert (len(plain[0]), clean(text, 255)) == (len(header), header[5])
    assert clean(text, 255) == fields.get("cs1", "")
