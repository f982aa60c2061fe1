"""A strict check of a record against the OCSF 1.8 Detection Finding."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent / "goldens/ocsf/detection-finding-1.8.0.json.gz"
_SCHEMA: dict[str, Any] = json.loads(gzip.decompress(_FILE.read_bytes()))
_PLAIN: dict[str, Any] = {
    "string_t": str,
    "boolean_t": bool,
    "integer_t": int,
    "long_t": int,
    "float_t": (int, float),
}


def problems(record: dict[str, Any]) -> list[str]:
    """Everything the schema forbids, one sentence each; empty when the record is valid."""
    profiles = record.get("metadata", {}).get("profiles", [])
    found = list(_object(_SCHEMA["class"], record, "", profiles))
    if record.get("type_uid") != 200400 + record.get("activity_id", 0):
        found.append("type_uid does not fit activity_id")
    return found


def _object(shape: dict[str, Any], value: Any, path: str, profiles: list[str]) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is not an object"]
    attributes, found = shape["attributes"], []
    for name, inner in value.items():
        where = f"{path}.{name}".lstrip(".")
        attribute = attributes.get(name)
        if attribute is None:
            found.append(f"{where} is not in the schema")
        elif attribute.get("profile") not in (None, *profiles):
            found.append(f"{where} needs profile {attribute['profile']}")
        elif attribute.get("@deprecated"):
            found.append(f"{where} is deprecated")
        elif attribute.get("is_array"):
            if not isinstance(inner, list):
                found.append(f"{where} is not a list")
                continue
            for number, each in enumerate(inner):
                found += _value(attribute, each, f"{where}[{number}]", profiles)
        else:
            found += _value(attribute, inner, where, profiles)
    found += [
        f"{path}.{name} is missing".lstrip(".")
        for name, attribute in attributes.items()
        if attribute.get("requirement") == "required"
        and attribute.get("profile") in (None, *profiles)
        and name not in value
    ]
    for rule, names in shape.get("constraints", {}).items():
        count = sum(name in value for name in names)
        if (rule == "at_least_one" and count < 1) or (rule == "just_one" and count != 1):
            found.append(f"{path}: {rule} of {', '.join(names)}")
    return found


def _value(attribute: dict[str, Any], value: Any, path: str, profiles: list[str]) -> list[str]:
    kind = attribute.get("object_type") or attribute["type"]
    if kind in _SCHEMA["objects"]:
        if kind == "object":  # any object at all
            return [] if isinstance(value, dict) else [f"{path} is not an object"]
        return _object(_SCHEMA["objects"][kind], value, path, profiles)
    rules = _SCHEMA["types"].get(kind, {})
    plain = _PLAIN.get(rules.get("type", kind), object)
    found = []
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        return [f"{path} is not a {kind}"]
    if isinstance(value, str):
        if rules.get("regex") and not re.search(rules["regex"], value):
            found.append(f"{path} does not look like a {kind}")
        if rules.get("max_len") and len(value) > rules["max_len"]:
            found.append(f"{path} is too long for a {kind}")
    if rules.get("range") and not rules["range"][0] <= value <= rules["range"][1]:
        found.append(f"{path} is out of range for a {kind}")
    if attribute.get("enum") and str(value) not in attribute["enum"]:
        found.append(f"{path} is not one of its values")
    return found
