"""Writes event lines with any fields, one call a line: for samples that few others need."""

from typing import Any

import msgspec
import numpy as np

from schemas.decode import WIRE
from schemas.samples.lines import Line, Times, event_ids


def lines_of(name: tuple[object, ...], ms: Times, **columns: Any) -> list[Line]:
    """Events at these times; a column is one value for all or a list or array with one for each.

    Args:
        name: what the ids are made from; two calls with one name give the same ids.
        columns: attributes of `schemas.event.Event`; None leaves a field out.

    >>> [line] = lines_of(("x",), np.array([0]), request_model="m", input_tokens=3)
    >>> b'"gen_ai.request.model":"m","gen_ai.usage.input_tokens":3' in line.data
    True
    """
    count = len(ms)
    fixed: dict[str, Any] = {"event_name": "llm.request", "ingest_source": "canonical"}
    varied: dict[str, list[Any]] = {}
    for attribute, value in columns.items():
        if isinstance(value, np.ndarray):
            varied[attribute] = value.tolist()
        elif isinstance(value, list):
            varied[attribute] = value
        elif value is not None:
            fixed[attribute] = value
    stamps = np.datetime_as_string(ms.astype("datetime64[ms]"), unit="us").tolist()
    lines = []
    for at, (id, time, stamp) in enumerate(
        zip(event_ids(name, count), ms.tolist(), stamps, strict=True)
    ):
        event: dict[str, Any] = {
            "event.schema_version": "1.0",
            "event.id": id,
            "timestamp": stamp + "Z",
        }
        event |= {WIRE[attribute]: value for attribute, value in fixed.items()}
        for attribute, values in varied.items():
            if values[at] is not None:
                event[WIRE[attribute]] = values[at]
        lines.append(Line(time, id, 0.0, msgspec.json.encode(event)))
    return lines
