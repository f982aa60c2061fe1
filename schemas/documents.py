"""Writes what the models say into `docs/`: the JSON Schemas and the list of an event's fields.

Run `python -m schemas.documents` after a change to a model; a test fails until it is done.
"""

import json
from pathlib import Path
from typing import Any

from schemas.event import Event
from schemas.finding import Finding

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- fields: begin -->\n", "<!-- fields: end -->\n"


def documents(events_md: str) -> dict[str, str]:
    """File name -> content, as it should be.

    Args:
        events_md: the page about events as it is; only its list of fields is replaced.
    Raises:
        ValueError: the page has lost the marks around the list.
    """
    before, _, rest = events_md.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"docs/events.md needs the lines {BEGIN.strip()} and {END.strip()}")
    return {
        "event.schema.json": _schema(Event.model_json_schema(by_alias=True)),
        "finding.schema.json": _schema(Finding.model_json_schema(by_alias=True)),
        "events.md": before + BEGIN + _fields() + END + after,
    }


def _schema(schema: dict[str, Any]) -> str:
    draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(draft | schema, indent=2, ensure_ascii=False) + "\n"


def _fields() -> str:
    properties = Event.model_json_schema(by_alias=True)["properties"]
    rows = ["| field | values | meaning |", "|---|---|---|"]
    for name, schema in properties.items():
        meaning = schema.get("description", "")
        rows.append(f"| `{name}` | {_values(schema)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _values(schema: dict[str, Any]) -> str:
    """What a field may hold, in a few words."""
    kinds = [part for part in schema.get("anyOf", [schema]) if part.get("type") != "null"]
    schema = kinds[0]
    if words := schema.get("enum"):
        return ", ".join(f"`{word}`" for word in words)
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("format") == "date-time":
        return "instant (RFC 3339, with zone)"
    match schema.get("type"):
        case "string":
            return f"text, at most {schema.get('maxLength')} characters"
        case "array":
            return f"list of at most {schema.get('maxItems')} texts"
        case "integer" | "number" as kind:
            word = "whole number" if kind == "integer" else "number"
            return f"{word}, {schema.get('minimum', 0):g} to {schema.get('maximum', 0):g}"
    return "true or false"


def write(folder: Path = DOCS) -> None:
    """Brings the documents of `folder` up to date."""
    for name, text in documents((folder / "events.md").read_text()).items():
        (folder / name).write_text(text)


if __name__ == "__main__":
    write()
