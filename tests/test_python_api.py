"""The Python API: ten names, light to import, and every example of its page runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from trainer_cohort import write_cohort

import core.api
import trainer.api
from core.assets import DEMO_CASE
from core.io import find
from core.models.base.config import ModelError
from core.registration.alignment import AlignError

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "python-api.md"


def write_patient(folder: Path) -> None:
    """A corner of the demo case: enough to look at, little to compute."""
    ius: Any = nib.load(DEMO_CASE / "Demo-iUS.nii.gz")
    low = ius.affine[:3, :3] @ (100, 90, 90) + ius.affine[:3, 3]
    high = ius.affine[:3, :3] @ (172, 162, 114) + ius.affine[:3, 3]
    nib.save(ius.slicer[100:172:2, 90:162:2, 90:114:2], folder / "patient-iUS.nii.gz")
    t2: Any = nib.load(DEMO_CASE / "Demo-T2.nii.gz")
    corners = np.linalg.inv(t2.affine) @ np.array([[*low, 1], [*high, 1]]).T
    a, b = np.sort(np.rint(corners[:3]).astype(int), axis=1).T + np.array([[-4], [4]])
    a = np.maximum(a, 0)
    cut = t2.slicer[a[0] : b[0], a[1] : b[1], a[2] : b[2]]
    nib.save(cut, folder / "patient-T2.nii.gz")


def test_every_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    write_patient(tmp_path)
    write_cohort(tmp_path / "cohort")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    assert len(blocks) == 5
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    made = find(tmp_path / "synthetic-iUS.nii.gz")
    assert made.synthetic
    given = find(tmp_path / "patient-T2.nii.gz").grid
    assert made.grid is not None
    assert given is not None
    assert made.grid.shape == given.shape
    np.testing.assert_allclose(made.grid.affine, given.affine, atol=1e-4)
    for left in ("synthetic-iUS.json", "run/model.safetensors", "report/report.html"):
        assert (tmp_path / left).is_file(), left
    assert {v.name for v in tmp_path.glob("simulated-*.gz")} == {
        "simulated-T2.nii.gz", "simulated-iUS.nii.gz",
    }  # fmt: skip


def test_the_page_names_what_there_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([\w.]+)` \|", PAGE.read_text(encoding="utf-8"), re.M)
    told = {(module, name) for name, module in rows}
    there = {(m.__name__, name) for m in (core.api, trainer.api) for name in m.__all__}
    assert told == there
    assert len(told) == 10
    for module in (core.api, trainer.api):
        for name in module.__all__:
            assert getattr(module, name).__doc__, name


def test_importing_it_loads_no_torch() -> None:
    code = "import core.api, trainer.api, sys; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_mistakes_are_sentences() -> None:
    with pytest.raises(ModelError, match="no model called no-such"):
        core.api.load_model("no-such")
    case = core.api.Case("a", {})
    model = core.api.load_model(device="cpu")
    with pytest.raises(ModelError, match="at least one of"):
        core.api.synthesize(case, model)
    with pytest.raises(ModelError, match="cannot use CT"):
        core.api.synthesize(case, model, inputs=["CT"])
    volume = core.api.read(DEMO_CASE / "Demo-iUS.nii.gz", "iUS")
    assert volume.modality == "iUS"
    with pytest.raises(AlignError, match="found rigid, by guessing"):
        core.api.register(volume, volume, method="guessing")
