"""Which small errors in the method would no test see: mutants, and the share that is killed.

``python benchmarks/mutation.py [ROOM …] [--sample 80] [--out DIR]``, or ``nox -s mutation``.

The mutants are cosmic-ray's: an operator, a number, a comparison or a keyword changed. Of each room
a seeded sample is drawn, spread over its files. A mutant is run against those tests of its room
that reach its line, in a child forked from a process that has the libraries loaded already, because
starting torch takes longer than most tests. Survivors are listed with their lines.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import coverage
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Room:
    """What is mutated, and what must notice."""

    sources: str
    tests: tuple[str, ...]


ROOMS = {
    "core/models/mhvae": Room(
        "core/models/mhvae/*.py",
        (
            "tests/core/models/test_model.py",
            "tests/core/models/test_model_arithmetic.py",
            "tests/core/models/test_depthwise.py",
            "tests/core/models/test_product_of_experts.py",
            "tests/core/models/test_bundle.py",
        ),
    ),
    "core/synthesis": Room("core/synthesis/*.py", ("tests/core/synthesis",)),
    "core/image/metrics": Room("core/image/metrics.py", ("tests/core/image/test_metrics.py",)),
    "trainer/loop": Room(
        "trainer/loop/*.py",
        ("tests/trainer/loop", "tests/trainer/cohort", "tests/trainer/test_spoilt_cohort.py"),
    ),
}
SLOW = (
    "test_overfits_four_slices",
    "test_two_processes_equal_one",
    "test_a_run_of_two_keeps_one_log",
    "test_killed_three_times",
    "test_the_accelerated_back_end_agrees",
    "test_a_terminal_s_run_is_listed",
)
"""Tests left out: they take longer than all others together, or run in processes of their own."""
LIBRARIES = (
    "h5py", "hypothesis.strategies", "nibabel", "numpy", "PIL.Image", "psutil", "PySide6.QtTest",
    "PySide6.QtWidgets", "pytestqt.plugin", "safetensors.torch", "scipy.ndimage", "scipy.stats",
    "skimage.metrics", "torch", "torch.nn.utils.parametrizations", "torch.utils.flop_counter",
)  # fmt: skip
"""Loaded before a child is forked."""
OPTIONS = (
    "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", "--timeout=60",
    "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning",
)  # fmt: skip
LIMIT = 90.0
"""s; a mutant that takes longer has been noticed."""
SKIPPED = ("core/VariableReplacer", "core/VariableInserter")
"""Operators that need the names of variables."""


@dataclass(frozen=True)
class Mutant:
    """One small error.

    Attributes:
        path: file, from the root.
        operator: cosmic-ray's name of what was done.
        occurrence: at which of the operator's places in the file.
        first, last: lines of the statement it is in.
        line: its own line.
    """

    path: str
    operator: str
    occurrence: int
    line: int
    first: int
    last: int


def meaning(source: str) -> str:
    """Return what a module computes, without annotations and how arguments may be passed."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.arguments):  # a star of a signature is no arithmetic
            node.args = [*node.posonlyargs, *node.args, *node.kwonlyargs]
            node.defaults = [*node.defaults, *(d for d in node.kw_defaults if d is not None)]
            node.posonlyargs, node.kwonlyargs, node.kw_defaults = [], [], []
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
    return ast.dump(tree)


def span(statement: ast.stmt) -> tuple[int, int]:
    """Return the first and last line of a statement; of one with a body, of its head."""
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(d.lineno for d in decorators)])
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return first, max(first, last)


def mutants(path: Path) -> Iterator[Mutant]:
    """Yield every mutant of a file that means something else than the file."""
    source = path.read_text(encoding="utf-8")
    same = meaning(source)
    statements = [span(node) for node in ast.walk(ast.parse(source)) if isinstance(node, ast.stmt)]
    for name in operator_names():
        if name in SKIPPED:
            continue
        operator = get_operator(name)()
        places = [
            p for node in ast_nodes(get_ast(source)) for p in operator.mutation_positions(node)
        ]
        for occurrence, ((line, _), _) in enumerate(places):
            try:
                changed = mutate_code(source, operator, occurrence)
                if changed is None or meaning(changed) == same:
                    continue
            except (SyntaxError, AttributeError):  # cosmic-ray knows no ``except module.Error``
                continue
            around = [s for s in statements if s[0] <= line <= s[1]] or [(line, line)]
            first, last = min(around, key=lambda s: s[1] - s[0])
            yield Mutant(path.relative_to(ROOT).as_posix(), name, occurrence, line, first, last)


def sample(room: Room, count: int, seed: int) -> list[Mutant]:
    """Draw mutants of a room: evenly over its lines, so that long files have more of them."""
    by_line: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for path in sorted(ROOT.glob(room.sources)):
        for mutant in mutants(path):
            by_line[mutant.path, mutant.line].append(mutant)
    drawn = random.Random(seed)
    lines = sorted(by_line)
    drawn.shuffle(lines)
    return [drawn.choice(by_line[line]) for line in lines[:count]]


def run_tests(arguments: Sequence[str], limit: float, mutant: tuple[str, str] | None = None) -> int:
    """Run pytest in a forked child, with one file's source replaced; -1 when it took too long."""
    child = os.fork()
    if child == 0:
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        if mutant is not None:
            replace_source(*mutant)
        code = 3
        try:
            code = int(pytest.main(list(arguments)))
        finally:
            os._exit(code)
    end = time.monotonic() + limit
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def replace_source(path: str, source: str) -> None:
    """Let this process import another text than the file holds."""
    found = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, fullname: str) -> Any:
        if Path(self.path) == ROOT / path:
            return compile(source, self.path, "exec", dont_inherit=True)
        return found(self, fullname)

    setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010 (a method, says mypy)


def reached(room: Room, folder: Path) -> Mapping[str, Mapping[int, set[str]]]:
    """Return file → line → tests that run it; raises if the tests fail as they are."""
    data = folder / "reach"
    rc = folder / "rc"
    rc.write_text(f"[run]\ndata_file = {data}\nsource = {ROOT / 'core'},{ROOT / 'trainer'}\n")
    code = run_tests(
        [*OPTIONS, *tests_of(room), f"--cov-config={rc}", "--cov", "--cov-context=test",
         "--cov-report="],
        3600,
    )  # fmt: skip
    if code != 0:
        raise SystemExit(f"The tests do not pass as they are (pytest says {code}).")
    found = coverage.CoverageData(str(data))
    found.read()
    lines: dict[str, dict[int, set[str]]] = {}
    for path in found.measured_files():
        lines[Path(path).relative_to(ROOT).as_posix()] = {
            line: {c.partition("|")[0] for c in contexts}
            for line, contexts in found.contexts_by_lineno(path).items()
        }
    return lines


def tests_of(room: Room) -> list[str]:
    """Return pytest's arguments for a room's quick tests."""
    there = [t for t in room.tests if (ROOT / t).exists()]
    return [*there, *without_slow()]


def without_slow() -> list[str]:
    """Return pytest's arguments that leave the slow tests out."""
    return ["-k", " and ".join(f"not {name}" for name in SLOW)]


def judge(mutant: Mutant, room: Room, lines: Mapping[str, Mapping[int, set[str]]]) -> str:
    """Return ``"killed"``, ``"survived"``, ``"timeout"`` or ``"not reached"``."""
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    operator = get_operator(mutant.operator)()
    changed = mutate_code(source, operator, mutant.occurrence)
    assert changed is not None
    here = lines.get(mutant.path, {})
    tests = set().union(*(here.get(n, set()) for n in range(mutant.first, mutant.last + 1)))
    if not tests:
        return "not reached"
    chosen = sorted(tests) if "" not in tests else tests_of(room)  # "": when it is imported
    code = run_tests([*OPTIONS, *chosen], LIMIT, (mutant.path, changed))
    if code == 0 and "" not in tests:
        # A fixture that tests share is counted to the first of them alone: ask their neighbours.
        files = sorted({test.partition("::")[0] for test in tests})
        code = run_tests([*OPTIONS, *files, *without_slow()], LIMIT, (mutant.path, changed))
    return {0: "survived", -1: "timeout"}.get(code, "killed")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(ROOMS))
    parser.add_argument("--sample", type=int, default=80, metavar="N", help="mutants per room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/mutation"), metavar="DIR")
    parser.add_argument("--floor", type=float, default=0.0, help="least share killed, 0 to 1")
    args = parser.parse_args(argv)
    os.chdir(ROOT)
    args.out.mkdir(parents=True, exist_ok=True)
    for library in LIBRARIES:
        importlib.import_module(library)
    least = 1.0
    for name in args.rooms or ROOMS:
        room = ROOMS[name]
        with tempfile.TemporaryDirectory() as folder:
            lines = reached(room, Path(folder))
        found: list[dict[str, Any]] = []
        drawn = sample(room, args.sample, args.seed)
        for mutant in drawn:
            verdict = judge(mutant, room, lines)
            found.append({**asdict(mutant), "verdict": verdict})
            if verdict in ("survived", "not reached"):
                print(f"{verdict}: {mutant.path}:{mutant.line} {shown(mutant)}", flush=True)
            # It takes hours: what is known is kept should it be stopped.
            (args.out / f"{name.replace('/', '-')}.json").write_text(json.dumps(found, indent=1))
            print(f"{name}: {len(found)} of {len(drawn)}", file=sys.stderr, flush=True)
        killed = sum(m["verdict"] in ("killed", "timeout") for m in found)
        share = killed / max(1, len(found))
        least = min(least, share)
        print(f"{name}: {killed} of {len(found)} killed, {share:.0%}", flush=True)
    return int(least < args.floor)


def shown(mutant: Mutant) -> str:
    """Return the mutated line."""
    source = (ROOT / mutant.path).read_text(encoding="utf-8")
    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence) or ""
    text = changed.splitlines()
    return f"{mutant.operator.removeprefix('core/')}: {text[mutant.line - 1].strip()}"


if __name__ == "__main__":
    sys.exit(main())
