"""The scanner takes what the decoder takes, with the same values, and leaves it all else."""

import json
import os
import subprocess
import sys
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decode import InvalidEvent, decode_line, instant
from schemas.event import MAX_COUNT, Event
from schemas.fingerprint import bytes_of, fingerprint, fingerprint_of
from schemas.reader import Reader, numbers
from schemas.samples import two_weeks
from schemas.shape import FIELDS
from schemas.testing import event
from tests.test_event_parity import BASE, events, values

LINE = event(model="m", input_tokens=7, output_tokens=0, cost_usd=0.0125).to_json()


def expected(line: bytes) -> list[int] | None:
    """What the decoder makes of a line, as numbers."""
    try:
        record, time_ms = decode_line(line)
    except InvalidEvent:
        return None
    return numbers(record, time_ms)


def found(lines: list[bytes]) -> tuple[list[list[int] | None], int]:
    """The same by the reader, and how many lines it left to the decoder."""
    reader = Reader()
    block = reader.read(b"\n".join(lines))
    assert len(lines) == block.lines
    result: list[list[int] | None] = [None] * len(lines)
    for place, column in zip(block.places.tolist(), block.values.T.tolist(), strict=True):
        result[place] = column
    assert {place for place, *_ in block.broken} == {
        place for place, one in enumerate(result) if one is None
    }
    return result, sum(one is not None for one in block.records._known)


CUT = """
import sys
from schemas.reader import Reader
for line in sys.stdin.buffer.read().split(b"\\n"):
    for end in range(len(line) + 1):
        assert 0 <= Reader().read(line[:end]).lines <= 1
"""


def test_no_line_is_read_beyond_its_block_wherever_it_is_cut() -> None:
    lines = [
        b'{"timestamp":"2026-10-01T00:00:00.123456Z","cost.usd":7.65e-05,"call.ids":["a","b"]',
        b'{"cost.usd":1e', b'{"cost.usd":1e-', b'{"timestamp":"',
        b'{"timestamp":"2026-10-01T00:00:00', b'{"gen_ai.usage.input_tokens":123456}',
        b'{"status":"ok","tool.side_effect":true,"http.response.status_code":200,"tenant.id":null}',
    ]  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-c", CUT],
        input=b"\n".join(lines),
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},  # compiled loops do not look where they read
        capture_output=True,
    )
    assert 0 == ended.returncode, ended.stderr.decode()


def cut_out(lines: list[bytes], name: str, width: int) -> list[tuple[str, str | None]]:
    """A text attribute of each event as it is cut out of its line, and as it is decoded."""
    records = Reader().read(b"\n".join(lines)).records
    rows = records.cut(name, np.arange(len(records)), width)
    cut = [row.tobytes().rstrip(b"\0").decode() for row in rows]
    return list(zip(cut, (getattr(record, name) for record in records), strict=True))


def alike(lines: list[bytes]) -> int:
    for name in ("event_id", "request_model", "tenant_id"):
        assert all(cut in ("", text) for cut, text in cut_out(lines, name, 24))
    result, left = found(lines)
    for line, one in zip(lines, result, strict=True):
        assert expected(line) == one, line
    return left


@given(st.lists(events.map(lambda fields: json.dumps(BASE | fields).encode()), min_size=1))
@settings(max_examples=80, deadline=None)
def test_a_block_of_odd_events_reads_as_each_line_does(lines: list[bytes]) -> None:
    alike(lines)


@pytest.mark.parametrize("name", Event.model_fields)
def test_every_field_reads_as_the_decoder_reads_it(name: str) -> None:
    wire = Event.model_fields[name].alias or name
    odd: list[Any] = [None, True, False, 0, 1, -1, 999, 1000, 1.0, 0.1, 1e-5, 1e5, 1e5 + 1, 1e22]
    odd += [MAX_COUNT, MAX_COUNT + 1, 10**15, 10**16, "", "x", "x" * 256, "x" * 257, "x" * 1025]
    odd += ["ok", "peer", "auth", "hmac:00000000000000ff", "hmac:0000000000000000", "hmac:00"]
    odd += [[], ["a"], ["a", "b"], [""], ["x" * 257], [1], ["a"] * 64, ["a"] * 65, {}, "é", 'a"b']
    odd += ["2026-10-01T00:00:00Z", "2026-02-29T00:00:00Z", "2024-02-29T23:59:59.999999Z"]

    assert alike([json.dumps(BASE | {wire: value}).encode() for value in odd]) < len(odd)


COSTS = """0 0.0 1 1.5 0.000001 7.65e-05 1E-05 1e5 1e+2 01 1. .5 -1 1e-400 0.1e-10 12345678.9 1e
0e-01 1e-1 99999.999999999 100000 100000.1 0.30000000000000004 123456789012345 1e-05x"""


@pytest.mark.parametrize("cost", COSTS.split())
def test_amounts_are_rounded_as_the_decoder_rounds_them(cost: str) -> None:
    line = LINE.replace(b"0.0125", cost.encode())
    alike([line])


def test_amounts_of_any_length_are_rounded_as_the_decoder_rounds_them() -> None:
    rng = Random(5)
    costs = [rng.random() * 10.0 ** rng.randint(-9, 5) for _ in range(2000)]
    texts = [repr(round(cost, rng.randint(0, 12))) for cost in costs]
    alike([LINE.replace(b"0.0125", text.encode()) for text in texts])


@pytest.mark.parametrize(
    "line",
    [
        b"  " + LINE,
        LINE + b" \t\r",
        LINE.replace(b":", b" : ").replace(b",", b" , "),
        LINE.replace(b",", b",\t"),
        LINE + b"x",
        LINE + b"{}",
        LINE[:-1],
        LINE[:-1] + b",}",
        b"{}",
        b"{",
        b"[]",
        b'"' * 5,
        LINE.replace(b'"m"', b'"\\u006d"'),
        LINE.replace(b'"m"', b'"m\x00"'),
        LINE.replace(b'"m"', b'"m\xff"'),
        LINE.replace(b'"m"', "\N{FOX FACE}".join('""').encode()),
        LINE.replace(b'"m"', b"nul"),
        LINE.replace(b'"m"', b"null"),
        LINE.replace(b'"m"', b'"m","gen_ai.request.model":"n"'),
        LINE.replace(b'"m"', b'"m","surprise":[{"a":1}]'),
        LINE.replace(b'"timestamp"', b'"timestamq"'),
        b'{"control":"mode"}',
    ],
)
def test_a_line_of_any_shape_reads_as_the_decoder_reads_it(line: bytes) -> None:
    alike([line])
    alike([LINE, line, LINE])


def test_cut_and_damaged_lines_read_as_the_decoder_reads_them() -> None:
    rng = Random(3)
    lines = [LINE[:at] for at in range(1, len(LINE))]
    for _ in range(3000):
        line = bytearray(LINE)
        for _ in range(rng.randint(1, 3)):
            line[rng.randrange(len(line))] = rng.choice(b'"\\{}[],:0123456789.eE-+ntfZT \x01\x80')
        lines.append(bytes(line))
    alike([line for line in lines if line.strip() and b"\n" not in line])


def test_no_ordinary_event_is_left_to_the_decoder() -> None:
    lines = [line for staged in two_weeks(0).staged for line in staged.lines[:40]]
    assert 0 == alike([line.data for line in lines])
    assert all(cut == text for cut, text in cut_out([line.data for line in lines], "event_id", 64))


def test_a_text_is_cut_out_whole_or_not_at_all() -> None:
    lines = [LINE.replace(b'"m"', b'"' + b"m" * length + b'"') for length in (1, 7, 8, 9)]

    assert ["m", "m" * 7, "m" * 8, ""] == [cut for cut, _ in cut_out(lines, "request_model", 8)]
    assert ["", ""] == [cut for cut, _ in cut_out([LINE, LINE], "tool_name", 8)]
    twice = LINE.replace(b'"m"', b'"m","gen_ai.request.model":"n"')
    assert [("", "n")] == cut_out([twice], "request_model", 8)


@given(values)
@settings(max_examples=50, deadline=None)
def test_a_line_that_is_no_event_is_kept_with_its_fault(value: Any) -> None:
    line = json.dumps(value).encode()
    block = Reader().read(line)
    assert [(0, line)] == [(place, raw) for place, raw, _ in block.broken]


def test_an_event_is_decoded_when_it_is_asked_for() -> None:
    block = Reader().read(LINE + b"\n\n" + LINE.replace(b'"m"', b'"n"'))

    assert ["m", "n"] == [record.request_model for record in block.records]
    assert "n" == block.records[1].request_model == block.records[-1:][0].request_model
    assert instant("2026-10-01T00:00:00Z") == instant(block.records[0].timestamp)
    assert [7, 7] == block.values[FIELDS["input_tokens"]].tolist()


def test_fingerprints_of_different_texts_differ_and_of_one_text_agree() -> None:
    rng = Random(0)
    texts = {"".join(rng.choices("abc01", k=rng.randint(0, 20))) for _ in range(50_000)}
    assert len(texts) == len({fingerprint_of(text) for text in texts})
    for text in ("", "a", "abcdefgh", "abcdefghi", "x" * 1000):
        inside = bytes_of("--" + text + "--")
        assert fingerprint_of(text) == int(fingerprint(inside, 2, 2 + len(text)))
