"""Checks which package may import which: `schemas <- detectors <- streams -> alerts -> schemas`.

Run as a script it prints every import that breaks the order and ends with 1 if there is one.
Imports inside functions count, and so do `import_module` calls with a literal name.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

MAY_IMPORT: dict[str, frozenset[str]] = {
    "schemas": frozenset(),
    "detectors": frozenset({"schemas"}),
    "alerts": frozenset({"schemas"}),
    "streams": frozenset({"schemas", "detectors", "alerts"}),
}
NOT_PACKAGED = frozenset({"tests", "benchmarks", "compose"})  # not there once installed


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and dotted name of each import; a relative one begins with a dot."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, level=level):
                yield node.lineno, "." * level + (module or "")
            case ast.Call(
                func=ast.Name(id="import_module" | "__import__")
                | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str() as name), *_],
            ):
                yield node.lineno, name


def violations(package: str, source: str, where: str) -> list[str]:
    """What is wrong with the imports of one file of `package`, a sentence each."""
    wrong = []
    for line, name in imported(ast.parse(source)):
        top = name.split(".")[0]
        if name.startswith("."):
            wrong.append(f"{where}:{line}: relative import {name}; spell it from the package")
        elif top in NOT_PACKAGED:
            wrong.append(f"{where}:{line}: {package} imports {name}, which is not installed")
        elif top in MAY_IMPORT and top != package and top not in MAY_IMPORT[package]:
            wrong.append(f"{where}:{line}: {package} may not import {name}")
    return wrong


def check(root: Path = ROOT) -> list[str]:
    """Every violation below `root`, in the order of files."""
    return [
        message
        for package in MAY_IMPORT
        for path in sorted((root / package).rglob("*.py"))
        for message in violations(package, path.read_text(), str(path.relative_to(root)))
    ]


if __name__ == "__main__":
    found = check()
    print("\n".join(found) if found else "layers: fine")
    sys.exit(bool(found))
