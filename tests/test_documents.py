"""The documents made from the models are current, and say what the models do."""

import json

import pytest
from pydantic import TypeAdapter

from schemas.documents import DOCS, documents
from schemas.event import Event


def test_the_documents_are_current() -> None:
    for name, text in documents((DOCS / "events.md").read_text()).items():
        assert text == (DOCS / name).read_text(), f"{name}: run python -m schemas.documents"


def test_the_schema_of_an_event_names_every_wire_field() -> None:
    schema = json.loads((DOCS / "event.schema.json").read_text())
    assert {info.alias or name for name, info in Event.model_fields.items()} == set(
        schema["properties"]
    )
    assert {"event.schema_version", "event.id", "event.name", "timestamp"} == set(
        schema["required"]
    )
    assert TypeAdapter(dict[str, object]).validate_python(schema["properties"])


def test_a_page_without_its_marks_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="fields: begin"):
        documents("a page of its own")
