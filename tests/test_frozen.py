"""The packaged program as its users have it: no Python to be found, a bare environment, any folder.

Skipped unless ``MHVAE_FROZEN`` names the program; ``nox -s package`` builds it and runs this.
"""

from __future__ import annotations

import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import nibabel as nib
import numpy as np
import psutil
import pytest
import torch
from dicom_factory import write_series
from trainer_cohort import tiny_plan, write_cohort
from virtual_screen import start_watching, virtual_screen
from volume_files import minc1, minc2

from app.cli import COMMANDS
from app.shell.guide_pages import read_pages
from core import assets
from core.grid import Grid
from core.io import read, write
from core.models import bundle as bundles
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.registration.transforms import read_transform
from core.version import __version__
from core.volume import Volume

PROGRAM = Path(os.environ.get("MHVAE_FROZEN", "")).absolute()
DEB = os.environ.get("MHVAE_FROZEN_DEB", "")
LARGEST = 750e6
"""Bytes of the unpacked program with the CPU build of torch, on Linux."""
CONFIG = MHVAEConfig(tile=(32, 32), base_features=4, max_features=8, pools=3, final_blocks=1)

pytestmark = [
    pytest.mark.skipif("MHVAE_FROZEN" not in os.environ, reason="MHVAE_FROZEN names no program"),
    pytest.mark.timeout(1800),
]


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment without Python, without the checkout, with an empty home."""
    home, nothing = tmp_path / "home", tmp_path / "nothing"
    home.mkdir()
    nothing.mkdir()
    kept = {n: os.environ[n] for n in ("SYSTEMROOT", "TEMP") if n in os.environ}
    threads = {"OMP_NUM_THREADS": "1", "LANG": "C.UTF-8"}
    return {**kept, **threads, "HOME": str(home), "USERPROFILE": str(home), "PATH": str(nothing)}


def run(bare: dict[str, str], folder: Path, *arguments: object) -> str:
    """Run the packaged program in a folder; returns what it printed on stdout."""
    done = subprocess.run(
        [PROGRAM, *map(str, arguments)], cwd=folder, env=bare, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    """Options that choose the coarsest built-in model, or a small untrained one without any."""
    if built_in := bundles.available():
        return ["--model", max(built_in, key=lambda b: b.preprocessing.spacing).name]
    torch.manual_seed(0)
    path = tmp_path / "small.safetensors"
    weights.save(Bundle(CONFIG, Preprocessing((2, 2, 2)), "small"), MHVAE(CONFIG), path)
    return ["--model", str(path)]


def test_it_says_what_it_is_and_every_command_starts(bare: dict[str, str], tmp_path: Path) -> None:
    assert run(bare, tmp_path, "--version").split() == ["mhvae-studio", __version__]
    assert "commands:" in run(bare, tmp_path, "--help")
    for name in COMMANDS:
        assert f"usage: mhvae-studio {name}" in run(bare, tmp_path, name, "--help")
    answer = json.loads(run(bare, tmp_path, "info", "--json"))
    assert answer["version"] == __version__
    assert answer["torch"] == torch.__version__
    assert answer["torch_build"].startswith("CPU" if torch.version.cuda is None else "CUDA")
    assert len(answer["models"]) == len(list(assets.MODELS.glob("*.safetensors")))


@pytest.mark.skipif(sys.platform != "linux", reason="measured on Linux only")
@pytest.mark.skipif(torch.version.cuda is not None, reason="the CUDA build is larger")
def test_it_is_small() -> None:
    files = [p for p in PROGRAM.parent.rglob("*") if p.is_file() and not p.is_symlink()]
    assert sum(p.stat().st_size for p in files) <= LARGEST


def test_the_guide_and_the_licences_are_in_it() -> None:
    inside = PROGRAM.parent / "_internal"
    pages = {page.path.name for page in read_pages(assets.GUIDE)}
    assert {p.name for p in (inside / "assets/guide").glob("*.md")} == pages
    for page in read_pages(inside / "assets/guide"):
        for picture in re.findall(r"\]\((images/[^)]+)\)", page.text):
            assert (page.path.parent / picture).is_file(), picture
    listed = (inside / "licences/LIST.md").read_text(encoding="utf-8")
    for part in ("torch", "SimpleITK", "PySide6", "numpy", "Python"):
        assert part.lower() in listed.lower()


def test_self_test_passes(bare: dict[str, str], tmp_path: Path, model: list[str]) -> None:
    answer = json.loads(run(bare, tmp_path, "self-test", *model, "--device", "cpu", "--json"))
    assert answer["self_test"] == "passed"


def test_synthesis_equals_that_from_source(
    bare: dict[str, str], tmp_path: Path, model: list[str]
) -> None:
    t2 = assets.DEMO_CASE / "Demo-T2.nii.gz"
    common = ["synthesize", "--input", f"T2={t2}", "--device", "cpu", "--json", *model]
    frozen = json.loads(run(bare, tmp_path, *common, "--out", tmp_path / "frozen"))
    source = subprocess.run(
        [sys.executable, "-m", "app", *common, "--out", str(tmp_path / "source")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=assets.ROOT.parent, check=True,
        capture_output=True,
    )  # fmt: skip
    made = read(frozen["outputs"]["synthetic iUS"])
    expected = read(json.loads(source.stdout)["outputs"]["synthetic iUS"])
    assert made.synthetic
    assert made.grid.same_as(expected.grid)
    assert np.ptp(made.voxels) > 0
    np.testing.assert_array_equal(made.voxels, expected.voxels)


def test_simulation_in_two_processes(bare: dict[str, str], tmp_path: Path) -> None:
    options = ("--cases", 2, "--spacing", 4, "--workers", 2, "--json", "--out", tmp_path / "cohort")
    assert json.loads(run(bare, tmp_path, "simulate", *options))["cases"] == 2


def test_formats_of_the_packed_library_are_read_and_registered(
    bare: dict[str, str], tmp_path: Path
) -> None:
    ball = np.zeros((40, 36, 32), np.float32)
    i, j, k = np.indices(ball.shape)
    ball += 200 * ((i - 20) ** 2 + (j - 18) ** 2 / 2 + (k - 15) ** 2 < 90)
    ball += 90 * ((i - 26) ** 2 + (j - 12) ** 2 + (k - 18) ** 2 < 20) + i
    affine = np.diag((2.0, 2.0, 2.0, 1.0))
    write(Volume(ball, Grid(ball.shape, affine), modality="T2"), tmp_path / "fixed.nrrd")
    affine[0, 3] = 3.0
    write(Volume(ball, Grid(ball.shape, affine), modality="iUS"), tmp_path / "moving.mha")
    told = json.loads(run(bare, tmp_path, "info", "fixed.nrrd", "--json"))
    assert told["volumes"][0]["shape"] == [40, 36, 32]
    options = ("--fixed", "T2=fixed.nrrd", "--moving", "iUS=moving.mha", "--out", "out", "--json")
    answer = json.loads(run(bare, tmp_path, "register", *options))
    assert answer
    transform = next((tmp_path / "out").rglob("*.tfm"))
    found = read_transform(transform).matrix
    assert abs(found[0, 3] + 3.0) < 2.0, found


def test_dicom_minc_and_analyze_are_read(
    bare: dict[str, str], tmp_path: Path, model: list[str]
) -> None:
    write_series(tmp_path / "series", count=16, shape=(24, 24), spacing=(2.0, 2.0))
    minc1(tmp_path / "one.mnc")
    minc2(tmp_path / "two.mnc")
    nib.save(nib.Spm99AnalyzeImage(np.ones((5, 4, 3), np.int16), np.eye(4)), tmp_path / "old.img")
    for name in ("series", "one.mnc", "two.mnc", "old.img"):
        (volume,) = json.loads(run(bare, tmp_path, "info", name, "--json"))["volumes"]
        assert volume["problem"] == "", volume
    options = ("--input", "T2=series", "--device", "cpu", "--json", *model, "--out", "made")
    outputs = json.loads(run(bare, tmp_path, "synthesize", *options))["outputs"]
    assert read(tmp_path / outputs["synthetic iUS"]).synthetic


def test_two_processes_train_one_model(bare: dict[str, str], tmp_path: Path) -> None:
    cohort, plan = write_cohort(tmp_path / "cohort"), tmp_path / "plan.json"
    tiny_plan(cohort, optimiser__steps=4, log__validate_steps=4).save(plan)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    team = [
        subprocess.Popen(
            [PROGRAM, "train", plan, "--out", tmp_path / "run"], cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**bare, "RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2",
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port},
        )
        for rank in "01"
    ]  # fmt: skip
    for process in team:
        _, words = process.communicate(timeout=900)
        assert process.returncode == 0, words[-3000:]
    assert json.loads((tmp_path / "run/run.json").read_text())
    assert bundles.header(tmp_path / "run/model.safetensors").config.levels == 3


@pytest.mark.skipif(not DEB, reason="MHVAE_FROZEN_DEB names no package")
def test_the_debian_package_unpacks_and_starts(bare: dict[str, str], tmp_path: Path) -> None:
    root = tmp_path / "root"
    subprocess.run(["dpkg-deb", "-x", Path(DEB).absolute(), root], check=True)
    program = root / "usr/bin/mhvae-studio"
    said = subprocess.run([program, "--version"], env=bare, capture_output=True, text=True)
    assert said.stdout.split() == ["mhvae-studio", __version__]
    entry = (root / "usr/share/applications/mhvae-studio.desktop").read_text()
    assert "\nIcon=mhvae-studio\n" in entry
    assert (root / "usr/share/icons/hicolor/256x256/apps/mhvae-studio.png").is_file()
    types = ElementTree.parse(root / "usr/share/mime/packages/mhvae-studio.xml").getroot()
    names = {t.get("type") for t in types}
    assert names == set(re.findall(r"^MimeType=(.*)$", entry, re.M)[0].strip(";").split(";"))
    for folder in (root / "usr/share").iterdir():
        assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_training_runs_is_resumed_and_evaluated(bare: dict[str, str], tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort")
    plan = tmp_path / "plan.json"
    tiny_plan(cohort, optimiser__steps=4, log__validate_steps=4).save(plan)
    folder = tmp_path / "run"
    model = Path(run(bare, tmp_path, "train", plan, "--out", folder).strip())
    assert bundles.header(tmp_path / model).config.levels == 3
    run(bare, tmp_path, "train", "--resume", "--out", folder, "--set", "optimiser.steps=6")
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert max(e.get("step", 0) for e in events) == 6
    report = run(bare, tmp_path, "evaluate", cohort, "--model", folder, "--out", "report", "--json")
    assert (tmp_path / json.loads(report)["html"]).stat().st_size > 1000


@pytest.mark.skipif(sys.platform != "linux", reason="the screen is an X server")
def test_the_window_shows_files_and_its_engine_comes_and_goes(
    bare: dict[str, str], tmp_path: Path
) -> None:
    picture = Path(os.environ.get("MHVAE_FROZEN_PICTURE", tmp_path / "window.png"))
    files = [str(assets.DEMO_CASE / f"Demo-{m}.nii.gz") for m in ("T2", "iUS")]
    with virtual_screen() as display:
        watcher = start_watching(display, picture, "images", patience=120)
        window = subprocess.Popen(
            [PROGRAM, *files], cwd=tmp_path, stderr=subprocess.PIPE, text=True,
            env={**bare, "DISPLAY": display, "QT_QPA_PLATFORM": "xcb"},
        )  # fmt: skip
        try:
            watcher.communicate(timeout=150)
            assert watcher.returncode == 0, f"the images never appeared; see {picture}"
            engine = _engine_of(window.pid)
            time.sleep(1)
            assert engine.is_running()
        finally:
            window.terminate()
            _, words = window.communicate(timeout=30)
        engine.wait(30)
    assert "Traceback" not in words


def _engine_of(pid: int) -> psutil.Process:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for child in psutil.Process(pid).children():
            if child.cmdline()[1:] == ["engine"]:
                return child
        time.sleep(0.1)
    raise AssertionError("the window started no engine")
