"""A snapshot is bytes of our own schema; what cannot be trusted is refused."""

from random import Random

import msgspec
import numpy as np
import pytest
import zstandard

from streams.pipeline import CoreSettings, Pipeline
from streams.snapshot import STATE_VERSION, BadSnapshot, pack, unpack
from tests.random_streams import lower_limits, random_stream

CORE = CoreSettings(alert_budget=1000.0)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Pipeline:
    lower_limits(monkeypatch.setattr)
    pipeline = Pipeline(CORE)
    pipeline.process(b"\n".join(random_stream(Random(4), 60)))
    return pipeline


def with_(state: bytes, **changes: object) -> bytes:
    """The same snapshot with other values at its top."""
    plain = msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(state))
    return zstandard.ZstdCompressor().compress(msgspec.msgpack.encode({**plain, **changes}))


def test_a_restored_pipeline_writes_the_same_snapshot(judged: Pipeline) -> None:
    data = judged.snapshot()
    again = Pipeline.restore(data, CORE)

    assert data == again.snapshot()
    assert (judged.position, judged.clock) == (again.position, again.clock)
    assert judged.stats == again.stats


def test_a_snapshot_does_not_depend_on_how_the_stream_was_cut(judged: Pipeline) -> None:
    lines = random_stream(Random(4), 60)
    cut = Pipeline(CORE)
    for start in range(0, len(lines), 7):
        cut.process(b"\n".join(lines[start : start + 7]))
    whole, parts = unpack(judged.snapshot()), unpack(cut.snapshot())
    for lane in whole["lanes"]:
        for one, other in zip(
            whole["lanes"][lane]["windows"], parts["lanes"][lane]["windows"], strict=True
        ):
            assert pack(one["alarms"]) == pack(other["alarms"])
            assert one["told"].keys() == other["told"].keys()
    assert whole["position"] == parts["position"]


def test_a_snapshot_of_another_version_is_refused(judged: Pipeline) -> None:
    data = with_(judged.snapshot(), version="0")

    with pytest.raises(BadSnapshot, match=f"version {STATE_VERSION}"):
        Pipeline.restore(data, CORE)


@pytest.mark.parametrize(
    "other",
    [
        {"alert_budget": 0.5},
        {"lateness_s": 61},
        {"support": frozenset({"bob"})},
        {"modes": {"key-probe": "off"}},
        {"tenants": {"acme": {"key-probe": "off"}}},
        {"max_keys": 100},
    ],
)
def test_a_snapshot_made_under_other_settings_is_refused(
    judged: Pipeline, other: dict[str, object]
) -> None:
    settings = CoreSettings.model_validate(CORE.model_dump() | other)

    Pipeline.restore(judged.snapshot(), CORE.model_copy(update={"prices": "2027-01-01"}))
    with pytest.raises(BadSnapshot, match="settings"):
        Pipeline.restore(judged.snapshot(), settings)


@pytest.mark.parametrize("data", [b"", b"x", b"\x28\xb5\x2f\xfd", b"\0" * 100])
def test_bytes_that_are_no_snapshot_are_refused(data: bytes) -> None:
    with pytest.raises(BadSnapshot):
        Pipeline.restore(data, CORE)


def test_a_torn_snapshot_is_refused(judged: Pipeline) -> None:
    data = judged.snapshot()

    for length in range(0, len(data), max(1, len(data) // 40)):
        with pytest.raises(BadSnapshot):
            Pipeline.restore(data[:length], CORE)


def test_values_come_back_as_they_were() -> None:
    state = {
        "array": np.arange(6, dtype=np.int32).reshape(2, 3),
        "empty": np.zeros((0, 4), np.float32),
        "number": np.int64(7),
        "nested": [{"a": None, "b": [1.5, "x"]}],
    }
    back = unpack(pack(state))

    assert state["array"].tolist() == back["array"].tolist()
    assert (np.int32, np.float32) == (back["array"].dtype, back["empty"].dtype)
    assert (0, 4) == back["empty"].shape
    assert (7, [{"a": None, "b": [1.5, "x"]}]) == (back["number"], back["nested"])
