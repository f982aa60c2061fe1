"""Formats are recognised, and files of any length are cut into whole records."""

import io
import json
from collections.abc import Iterator
from random import Random

import pytest

from schemas.adapters import Context, UnknownFormat, adapt, chunks, detect
from schemas.adapters.canonical import is_clean, may_hold_secret
from schemas.adapters.cut import BLOCK_BYTES
from tests.test_adapters_bad_input import call, canonical, export, span
from tests.test_adapters_goldens import SAMPLES, format_of

CONTEXT = Context(pepper=bytes(32))


def cut(data: bytes, format: str = "canonical") -> list[bytes]:
    return list(chunks(io.BytesIO(data), format))


@pytest.mark.parametrize(
    ("data", "remedy"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\x1f\x8b\x08", "unpack"),
        (b"(\xb5/\xfd\x00", "unpack"),
        (b'{"a": 1}', "name the format"),
        (b"time,tenant\n", "name the format"),
        (b"\x80\x81\x82", "name the format"),
    ],
)
def test_what_is_not_recognised_says_what_to_do(data: bytes, remedy: str) -> None:
    with pytest.raises(UnknownFormat, match=remedy):
        detect(data)


def test_a_broken_first_line_does_not_hide_the_format() -> None:
    assert "canonical" == detect(b'{"event.id": tru\n' + canonical())
    assert "litellm" == detect(b"rubbish\n" + json.dumps(call()).encode())


def test_the_outermost_sign_decides() -> None:
    assert "otlp-traces" == detect(json.dumps(export(span(note='"event.id":'))).encode())


def test_lines_pass_in_large_untouched_blocks() -> None:
    line = canonical() + b"\n"
    data = line * (3 * BLOCK_BYTES // len(line)) + canonical()
    blocks = cut(data)
    assert data == b"".join(blocks)
    assert len(blocks) <= 5 and all(block.endswith(b"\n") for block in blocks[:-1])
    assert max(map(len, blocks)) <= BLOCK_BYTES + len(line)


@pytest.mark.parametrize("indent", [None, 1, "\t"])
@pytest.mark.parametrize("form", ["array", "concatenated", "lines"])
def test_every_layout_gives_the_same_events(indent: int | str | None, form: str) -> None:
    events = [json.loads(canonical(event__id=f"e-{n}", user__id='x"}{[\\"')) for n in range(500)]
    if form == "array":
        data = json.dumps(events, indent=indent).encode()
    else:
        joint = "\n" if form == "lines" else ""
        data = joint.join(json.dumps(event, indent=indent) for event in events).encode()
    blocks = cut(data)
    found = [json.loads(line)["event.id"] for block in blocks for line in block.splitlines()]
    assert [event["event.id"] for event in events] == found


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_cut_and_adapted_is_the_sample_adapted(path: object) -> None:
    assert path in SAMPLES
    sample = next(p for p in SAMPLES if p == path)
    body, format = sample.read_bytes(), format_of(sample)
    whole = adapt(body, format, CONTEXT).events
    assert whole == [e for part in cut(body, format) for e in adapt(part, format, CONTEXT).events]


class Endless(io.RawIOBase):
    """A stream that never ends a line, and remembers how much was asked of it."""

    def __init__(self, size: int, piece: bytes) -> None:
        self.left, self.piece = size, piece

    def read(self, size: int = -1) -> bytes:
        taken = min(self.left, size)
        self.left -= taken
        return (self.piece * (taken // len(self.piece) + 1))[:taken]


@pytest.mark.parametrize("piece", [b"x", b'{"a":1,'])
def test_a_record_without_end_never_takes_more_than_one_body(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 2 * BLOCK_BYTES
    monkeypatch.setattr("schemas.adapters.cut.MAX_BODY_BYTES", most)

    def sizes() -> Iterator[int]:
        for part in chunks(Endless(2 * most, piece), "canonical"):  # type: ignore[arg-type]
            yield len(part)

    assert max(sizes()) <= most + BLOCK_BYTES


def test_a_block_with_a_raw_key_is_not_clean() -> None:
    good = canonical(api_key__id="hmac:0123456789abcdef")
    assert is_clean(good + b"\n" + canonical())
    assert not is_clean(good + b"\n" + canonical(api_key__id="sk-1"))
    assert not is_clean(canonical(api_key__id="hmac:sk-1"))


PIECES = [
    "sk-", "pk_", "rk-", "task-1", "AKIA", "ASIA", "0123456789AB", "AIza", "gho_", "ghx_",
    "github_pat_", "glpat-", "xoxb-", "hf_", "eyJ", "eyJhbGciOi", ".abcd", "-----BEGIN ", "://",
    "a:b@", "bearer ", "Basic\t", "abcdefghijklmnopqrst", "api_key", "API key", "apikey",
    "password", "=", ":", " = ", "a@b.co", "\\u005f", '"api_key.id"', '"idempotency_key.id":',
    '"tool.args.hash":"', '"content.input.hash" : ', '"content.output.hash":"hmac:',
    '"api_key.id":"hmac:0123456789abcdef"', '"', ",", "\n", '"tool.destination.ids":["',
    '"call.ids":["c-1"]', "null", '"user.id":"', '":"', "{", "}", "]", " ",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_what_passes_as_it_is_holds_nothing_that_a_closer_look_would_find(seed: int) -> None:
    rng = Random(seed)
    passed = found = 0
    for _ in range(500):
        block = ("{" + "".join(rng.choices(PIECES, k=rng.randint(1, 6)))).encode()
        block += b' ,"input":1}'
        odd = any(map(may_hold_secret, block.split(b"\n")))
        listed = b'"tool.destination.ids"' in block  # looked at closely, whatever they hold
        if is_clean(block):
            passed += 1
            assert not odd or listed, block
        found += odd
    assert passed > 20
    assert found > 20


@pytest.mark.parametrize(
    "line",
    [
        b'{"api_key.id":"hmac:sk-proj-RAWRAWRAW"}',
        b'{"api_key.id":"hmac:0123456789abcdefg"}',
        b'{"api_key\\u002eid":"sk-abcdefgh"}',
        b'{"\\u0061pi_key.id":"raw key"}',
        b'{"api_key.id" : "raw"}',
        b'{"user.id":"eve@example.com"}',
        b'{"user_agent.original":"Bearer sk-live-abcdefgh"}',
        b'{"url":"https://joe:secret@host/"}',
        b'{"tool.destination.ids":["mail to joe"]}',
        b'{"tool.destination.ids":["hmac:0123456789abcdef","raw"]}',
    ],
)
def test_a_block_with_a_secret_anywhere_is_not_clean(line: bytes) -> None:
    good = canonical(api_key__id="hmac:0123456789abcdef", tool__destination__ids=[])
    assert not is_clean(line)
    assert not is_clean(good + b"\n" + line + b"\n" + good)


def test_a_block_of_fingerprints_is_clean() -> None:
    ids = ["hmac:0123456789abcdef", "hmac:fedcba9876543210"]
    event = {
        "api_key.id": ids[0], "idempotency_key.id": None, "tool.destination.ids": ids,
        "call.ids": ["call-1", "b2"], "user_agent.original": "a (+https://a.example/bot) task-1",
        "content.input.hash": ids[1], "timestamp": "2026-10-01T00:00:00Z",
    }  # fmt: skip
    line = json.dumps(event, separators=(",", ":")).encode()
    assert is_clean(line + b"\n" + line + b"\n")


def test_canonical_events_without_a_source_get_the_senders_name() -> None:
    context = Context(pepper=bytes(32), source="agents")
    named = canonical(event__id="e-2", ingest__source="own")
    lines = adapt(canonical() + b"\n" + named, "canonical", context).events
    assert ["agents", "own"] == [json.loads(line)["ingest.source"] for line in lines]
