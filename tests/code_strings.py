"""The strings that code works with or shows, for tests of words that stand once or nowhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def code_strings(*rooms: str) -> Iterator[tuple[str, int, str]]:
    """Yield file, line and value of every string of some folders that is no documentation."""
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            documentation = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
            constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant)]
            for node in constants:
                if isinstance(node.value, str) and id(node) not in documentation:
                    yield path.relative_to(ROOT).as_posix(), node.lineno, node.value
