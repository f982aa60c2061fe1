"""Writes the configuration file of `tripmeter init` from the models, so that it cannot go stale."""

import json
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from alerts.feed.settings import OidcSettings
from streams.settings import Settings, TokenSettings

WIDTH = 96
PLACEHOLDER = "..."  # stands for what has no default
_INTRO = (
    "Tripmeter's configuration. Every line is a comment that shows a default: take away the"
    ' leading # of what you want to change; "..." stands for what has no default.'
    " `tripmeter check` says whether it can be used."
)


def template() -> str:
    """The text: every table, every key, its meaning and its default, all commented out."""
    from schemas.records import Excepted
    from streams.wiring import ELSEWHERE, core_model, detector_names

    parts = [_comment(_INTRO)]
    for name, info in Settings.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            parts.append(_table(name, kind, skip=("oidc",)))
    parts.append(_table("feed.oidc", OidcSettings))
    parts.append(_table("core", core_model(), skip=tuple(ELSEWHERE)))
    modes = "\n".join(f'#{name} = "active"' for name in detector_names())
    parts.append(
        _comment("Modes: active, monitor (delivered only where `monitor = true`) or off.")
        + "\n#[detectors]\n"
        + modes
    )
    parts.append(
        _comment("The same for one tenant only; it goes before what holds for all.")
        + '\n#[tenants.acme]\n#key-beacon = "monitor"'
    )
    parts.append(_table("exceptions", Excepted).replace("#[exceptions]", "#[[exceptions]]"))
    parts.append(
        _comment("A sender: a name of your choice, a secret in a file or in the environment.")
        + "\n#[tokens.gateway]\n"
        + _keys(TokenSettings)
    )
    parts += [
        _table(f"destinations.{name}", kind, fixed={"type": name}) for name, kind in _destinations()
    ]
    parts.append(_routes())
    return "\n\n".join(parts) + "\n"


def _destinations() -> list[tuple[str, type[BaseModel]]]:
    from alerts.destination_settings import TYPES

    return list(TYPES.items())


def _routes() -> str:
    from alerts.routes import Route

    return _table("routes", Route).replace("#[routes]", "#[[routes]]")


def _table(
    name: str,
    model: type[BaseModel],
    skip: tuple[str, ...] = (),
    fixed: dict[str, str] | None = None,
) -> str:
    about = (model.__doc__ or "").strip().split("\n\n")[0]
    return f"{_comment(' '.join(about.split()))}\n#[{name}]\n{_keys(model, skip, fixed)}"


def _keys(
    model: type[BaseModel], skip: tuple[str, ...] = (), fixed: dict[str, str] | None = None
) -> str:
    lines = [f"#{name} = {toml(value)}" for name, value in (fixed or {}).items()]
    for name, info in model.model_fields.items():
        if name in skip or name in (fixed or {}):
            continue
        if info.description:
            lines.append(_comment(info.description))
        default = PLACEHOLDER if info.is_required() else _default(info)
        lines.append(f"#{name} = {toml(PLACEHOLDER if default is None else default)}")
    return "\n".join(lines)


def _default(info: FieldInfo) -> Any:
    value = info.get_default(call_default_factory=True, validated_data={})
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def _comment(text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent="# ", subsequent_indent="# ")


def toml(value: Any) -> str:
    """A value as TOML.

    >>> toml({"a": [1, "x"], "b": True})
    '{ "a" = [1, "x"], "b" = true }'
    """
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value)
        case dict():
            inner = ", ".join(f"{json.dumps(str(k))} = {toml(v)}" for k, v in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case list() | tuple() | set() | frozenset():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return str(value)
