"""The project's tasks: ``nox -s demo`` runs the main job, ``nox -s tests`` checks everything.

``nox -s mutation`` asks which small errors in the method no test would see; ``nox -s fuzz`` reads
damaged files of every kind.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests"]

DEMO = Path("assets/demo")
COVERAGE = () if os.environ.get("MHVAE_COVERAGE", "1") == "0" else ("--cov", "--cov-report=term")
"""Lines the tests reach, against the floor in pyproject.toml; off by ``MHVAE_COVERAGE=0``."""


@nox.session
def demo(session: nox.Session) -> None:
    """Synthesise the demo case's ultrasound from its T2, and its T2 from its ultrasound."""
    session.install("-c", "constraints.txt", ".")
    t2, ius = DEMO / "Demo-T2.nii.gz", DEMO / "Demo-iUS.nii.gz"
    session.run(
        "mhvae-studio", "synthesize", "--input", f"T2={t2}", "--truth", f"iUS={ius}",
        "--out", "out/demo/iUS-from-T2",
    )  # fmt: skip
    session.run(
        "mhvae-studio", "synthesize", "--input", f"iUS={ius}", "--truth", f"T2={t2}",
        "--out", "out/demo/T2-from-iUS",
    )  # fmt: skip
    session.log("Look at out/demo/iUS-from-T2/overview.png and out/demo/T2-from-iUS/overview.png")


@nox.session
def window(session: nox.Session) -> None:
    """Open the window from source."""
    session.install("-c", "constraints.txt", ".")
    session.run("mhvae-studio", *session.posargs)


@nox.session
def package(session: nox.Session) -> None:
    """Build ``dist/mhvae-studio``, make the downloads, test them; ``MHVAE_TORCH=cuda`` for CUDA."""
    torch = os.environ.get("MHVAE_TORCH", "cpu")
    session.install("-c", "constraints.txt", ".[package,test]")
    session.run(
        "pyinstaller", "--noconfirm", "--log-level", "WARN", "pyinstaller.spec",
        env={"MHVAE_TORCH": torch},
    )  # fmt: skip
    folder = Path("dist/mhvae-studio")
    program = folder / ("mhvae-studio.exe" if os.name == "nt" else "mhvae-studio")
    session.run("python", "packaging/package_report.py", str(folder))
    deb = ""
    if sys.platform.startswith("linux"):
        session.run("python", "packaging/linux.py", str(folder))
        deb = str(next(iter(Path("dist").glob(f"*-{torch}.deb")), ""))
    session.run(
        "pytest", "tests/test_frozen.py", *session.posargs,
        env={
            "MHVAE_FROZEN": str(program.absolute()), "MHVAE_FROZEN_DEB": deb,
            "MHVAE_TORCH": torch, "QT_QPA_PLATFORM": "offscreen",
        },
    )  # fmt: skip


@nox.session
def tests(session: nox.Session) -> None:
    """Lint, type-check, hold the floors apart, and run every test."""
    session.install("-c", "constraints.txt", ".[test,fast,onnx]", "nox")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    session.run("mypy")
    session.run(
        "pytest", "-n", os.environ.get("MHVAE_TEST_WORKERS", "2"), *COVERAGE, *session.posargs,
        env={"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def fuzz(session: nox.Session) -> None:
    """Read 20,000 damaged files of every kind; ``-- --count N --seed S KIND …`` for others."""
    session.install("-c", "constraints.txt", ".[test,fast]")
    session.run(
        "python", "benchmarks/fuzz.py", *session.posargs,
        env={"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session
def mutation(session: nox.Session) -> None:
    """Put small errors into the method and say which no test sees; ``-- ROOM`` for one room."""
    session.install("-c", "constraints.txt", ".[test,fast,mutation]")
    session.run(
        "python", "benchmarks/mutation.py", *(session.posargs or ["--floor", "0.85"]),
        env={"QT_QPA_PLATFORM": "offscreen", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
