"""Reads the configuration file, and says file, line, key and remedy when it is wrong."""

import difflib
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from streams.settings import Settings

DEFAULT_FILE = Path("tripmeter.toml")
MAX_CONFIG_BYTES = 2**20

Loc = tuple[str | int, ...]
Extra = Callable[[Settings], Iterable["Problem"]]

_HEADER = re.compile(r"^\s*\[\[?\s*(?P<key>[^\]]+?)\s*\]\]?\s*(#.*)?$")
_ASSIGN = re.compile(r"^\s*(?P<key>(?:[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'|\s*\.\s*)+?)\s*=")
_PART = re.compile(r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: where in the tables, what, and what to do about it."""

    loc: Loc
    reason: str
    remedy: str = ""


class BadConfig(Exception):
    """The configuration cannot be used; the text has one line per problem."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("\n".join(lines))


def load(
    path: Path | None = None,
    extras: Sequence[Extra] = (),
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Settings:
    """The settings of a file, or the defaults when there is none.

    Args:
        path: the file; None means `tripmeter.toml` in this folder, if it is there.
        extras: further checks, such as the settings of destinations.
        overrides: values of the command line, by table and key.
    Raises:
        BadConfig: file, line, key, what is wrong, what to do.
    """
    if path is None:
        if not DEFAULT_FILE.is_file():
            return _checked("", _over({}, overrides), Path(), extras, "options")
        path = DEFAULT_FILE
    try:
        raw = path.read_bytes()
        if len(raw) > MAX_CONFIG_BYTES:
            raise BadConfig([f"{path}: over {MAX_CONFIG_BYTES} bytes; is it the right file?"])
        text = raw.decode()
    except OSError as error:
        hint = "`tripmeter init` writes one"
        raise BadConfig([f"{path}: {error.strerror or 'cannot be read'}; {hint}"]) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise BadConfig([f"{path}:{line}: not UTF-8 text; save the file as UTF-8"]) from None
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line (\d+)", str(error))
        number = int(where[1]) if where else text.count("\n") + 1
        raise BadConfig([f"{path}:{number}: not TOML: {error}; correct that line"]) from None
    return _checked(text, _over(data, overrides), path.parent, extras, str(path))


def _over(
    data: dict[str, Any], overrides: Mapping[str, Mapping[str, Any]] | None
) -> dict[str, Any]:
    for table, values in (overrides or {}).items():
        if isinstance(data.get(table, {}), dict):
            data[table] = {**data.get(table, {}), **values}
    return data


def _checked(
    text: str, data: dict[str, Any], base: Path, extras: Sequence[Extra], name: str
) -> Settings:
    try:
        settings = Settings.model_validate({**data, "base": base})
    except ValidationError as error:
        problems = problems_of(error, Settings)
    else:
        problems = [problem for extra in extras for problem in extra(settings)]
        if not problems:
            return settings
    raise BadConfig([_line(problem, text, name) for problem in problems])


def problems_of(error: ValidationError, model: type[BaseModel], at: Loc = ()) -> list[Problem]:
    """What pydantic found, in our words; values are never repeated (they may be secrets)."""
    problems = []
    for found in error.errors(include_input=False, include_url=False):
        loc = (*at, *found["loc"])
        if found["type"] == "extra_forbidden":
            problems.append(_unknown(loc, _names(model, found["loc"][:-1])))
        else:
            reason = found["msg"].removeprefix("Value error, ")
            problems.append(Problem(loc, reason, "correct the value"))
    return problems


def unknown_name(loc: Loc, known: Iterable[str]) -> Problem:
    """The problem of a name that is not among the known ones, with the nearest of them."""
    return _unknown(loc, sorted(known))


def _unknown(loc: Loc, known: list[str]) -> Problem:
    near = difflib.get_close_matches(str(loc[-1]), known, 1)
    remedy = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
    return Problem(loc, "unknown key", remedy)


def _names(model: type[BaseModel], loc: Loc) -> list[str]:
    kind: Any = model
    for part in loc:
        field = kind.model_fields.get(str(part)) if hasattr(kind, "model_fields") else None
        if field is not None:
            kind = field.annotation
        args = getattr(kind, "__args__", ())
        if args:
            kind = next((a for a in reversed(args) if hasattr(a, "model_fields")), args[-1])
    return sorted(getattr(kind, "model_fields", {}))


def _line(problem: Problem, text: str, name: str) -> str:
    number = line_of(text, problem.loc)
    where = f"{name}:{number}" if number else name
    key = ".".join(str(part) for part in problem.loc)
    remedy = f"; {problem.remedy}" if problem.remedy else ""
    return f"{where}: {key}: {problem.reason}{remedy}"


def line_of(text: str, loc: Loc) -> int:
    """The line (from 1) that sets a key, or the nearest one around it; 0 when nothing does.

    >>> line_of("[a]\\nb = 1\\n[a.c]\\nd.e = 2\\n", ("a", "c", "d", "e"))
    4
    >>> line_of("[[a]]\\nb = 1\\n[[a]]\\nb = 2\\n", ("a", 1, "b"))
    4
    """
    wanted = [str(part) for part in loc]
    best, number = 0, 0
    table: list[str] = []
    seen: Counter[str] = Counter()
    for at, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            here = table = _parts(header["key"])
            if line.lstrip().startswith("[["):  # one of several, counted from 0
                here = table = [*table, str(seen[header["key"]])]
                seen[header["key"]] += 1
        elif assign := _ASSIGN.match(line):
            here = table + _parts(assign["key"])
        else:
            continue
        same = len(here) if here == wanted[: len(here)] else 0
        if same > best:
            best, number = same, at
    return number


def _parts(key: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(key)]
