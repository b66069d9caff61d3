"""No circle of modules or rooms, only exports are used outside, nobody is handed the window."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = ("core", "trainer", "app")

Graph = dict[str, set[str]]


@dataclass(frozen=True)
class ImportGraph:
    """Every module by its dotted name.

    Attributes:
        trees: name → parsed source.
        rooms: the names that are folders.
    """

    trees: Mapping[str, ast.Module]
    rooms: frozenset[str]

    @classmethod
    def under(cls, root: Path, floors: Iterable[str] = FLOORS) -> ImportGraph:
        """Parse what lies under a folder."""
        trees, rooms = {}, set()
        for floor in floors:
            for path in sorted((root / floor).rglob("*.py")):
                parts = path.relative_to(root).with_suffix("").parts
                if parts[-1] == "__init__":
                    parts = parts[:-1]
                    rooms.add(".".join(parts))
                trees[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"))
        return cls(trees, frozenset(rooms))

    def room(self, module: str) -> str:
        """Return the folder a module lies in; a folder's ``__init__`` lies in the folder."""
        return module if module in self.rooms else module.rpartition(".")[0]

    def imports(self, module: str) -> Iterator[tuple[str, str]]:
        """Yield (module, name) of every import, wherever it stands; no name for ``import a.b``."""
        for node in ast.walk(self.trees[module]):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{module} imports relatively"
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    if whole in self.trees:
                        yield whole, ""
                    elif node.module and node.module in self.trees:
                        yield node.module, alias.name
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name in self.trees:
                        yield alias.name, ""

    def modules(self) -> Graph:
        """Return who imports whom."""
        return {m: {x for x, _ in self.imports(m) if x != m} for m in self.trees}

    def folders(self) -> Graph:
        """Return which room imports from which."""
        graph: Graph = {room: set() for room in self.rooms}
        for module, imported in self.modules().items():
            here = self.room(module)
            graph[here] |= {self.room(x) for x in imported} - {here}
        return graph

    def exports(self) -> dict[str, set[str]]:
        """Return what each room's ``__init__`` names in ``__all__``."""
        named = {}
        for room in self.rooms:
            named[room] = {
                str(element.value)
                for node in self.trees[room].body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
                for element in ast.walk(node.value)
                if isinstance(element, ast.Constant)
            }
        return named


def circles(graph: Graph) -> list[list[str]]:
    """Return the groups of nodes that reach each other (Kosaraju's algorithm)."""
    order: list[str] = []
    seen: set[str] = set()

    def follow(start: str, edges: Graph, out: list[str]) -> None:
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(sorted(edges[start])))]
        seen.add(start)
        while stack:
            rest = stack[-1][1]
            onward = next((x for x in rest if x not in seen), None)
            if onward is None:
                out.append(stack.pop()[0])
            else:
                seen.add(onward)
                stack.append((onward, iter(sorted(edges[onward]))))

    for node in sorted(graph):
        if node not in seen:
            follow(node, graph, order)
    back: Graph = {node: set() for node in graph}
    for node, others in graph.items():
        for other in others:
            back[other].add(node)
    seen.clear()
    found = []
    for node in reversed(order):
        if node not in seen:
            group: list[str] = []
            follow(node, back, group)
            if len(group) > 1:
                found.append(sorted(group))
    return found


@pytest.fixture(scope="module")
def graph() -> ImportGraph:
    return ImportGraph.under(ROOT)


def test_no_module_imports_itself_through_others(graph: ImportGraph) -> None:
    """Imports for types and inside functions count too."""
    assert circles(graph.modules()) == []


def test_no_room_imports_itself_through_others(graph: ImportGraph) -> None:
    assert circles(graph.folders()) == []


def test_only_what_a_room_exports_is_used_outside(graph: ImportGraph) -> None:
    """Outside a room only what its ``__init__`` names is used."""
    exports = graph.exports()
    broken = []
    for module in graph.trees:
        for imported, name in graph.imports(module):
            path = imported.split(".") + ([name] if name and imported in graph.rooms else [])
            for n in range(1, len(path)):
                room = ".".join(path[:n])
                inside = module == room or module.startswith(room + ".")
                if room in exports and not inside and path[n] not in exports[room]:
                    broken.append(f"{module} takes {path[n]} out of {room}")
    assert broken == []


def test_exports_are_there(graph: ImportGraph) -> None:
    for room, names in graph.exports().items():
        bound = {
            alias.asname or alias.name
            for node in ast.walk(graph.trees[room])  # a lazy room imports for types alone
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        bound |= {n.name for n in graph.trees[room].body if isinstance(n, ast.FunctionDef)}
        missing = [n for n in names if f"{room}.{n}" not in graph.trees and n not in bound]
        assert missing == [], room


def test_a_lazy_room_gives_what_it_exports() -> None:
    room = importlib.import_module("core.io")
    for name in room.__all__:
        found = getattr(room, name, None) or importlib.import_module(f"core.io.{name}")
        assert found is not None
    assert callable(room.label_names)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = room.nonsense


def test_nobody_but_the_shell_knows_the_window(graph: ImportGraph) -> None:
    for module, tree in graph.trees.items():
        if module != "app.shell.window":
            names = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
            texts = {
                n.value
                for n in ast.walk(tree)
                if isinstance(n, ast.Constant) and n.value is not ...
            }
            assert "MainWindow" not in names | texts, module


def made_up(folder: Path, files: Mapping[str, str]) -> ImportGraph:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for parent in path.relative_to(folder).parents[:-1]:
            (folder / parent / "__init__.py").touch()
        path.write_text(text)
    return ImportGraph.under(folder, ["core"])


@pytest.mark.parametrize(
    "back",
    [
        "from core.b import two",
        "def f():\n    from core.b import two",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import core.b",
        "from core import b",
    ],
)
def test_a_circle_is_found_wherever_the_import_stands(tmp_path: Path, back: str) -> None:
    graph = made_up(tmp_path, {"core/a.py": back, "core/b.py": "from core.c import x",
                               "core/c.py": "from core.a import f"})  # fmt: skip
    assert circles(graph.modules()) == [["core.a", "core.b", "core.c"]]


def test_a_circle_of_rooms_is_found_without_one_of_modules(tmp_path: Path) -> None:
    graph = made_up(tmp_path, {
        "core/x/a.py": "from core.y.b import n", "core/y/b.py": "",
        "core/y/c.py": "import core.x.d", "core/x/d.py": "",
    })  # fmt: skip
    assert circles(graph.modules()) == []
    assert circles(graph.folders()) == [["core.x", "core.y"]]


def test_docs_name_files_that_are_there() -> None:
    """A path under one of the floors, in backticks in a page, is a file or a folder."""
    word = re.compile(r"`((?:core|trainer|app|tests|benchmarks|packaging|docs|assets)/[\w./-]+)`")
    gone = [
        f"{page.name}: {path}"
        for page in [*ROOT.glob("docs/*.md"), ROOT / "README.md"]
        for path in word.findall(page.read_text(encoding="utf-8"))
        if not (ROOT / path.rstrip("/")).exists()
    ]
    assert gone == []
