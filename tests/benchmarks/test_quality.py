"""The quality benchmark: signs, errors and gaps on images where they are known."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import quality
import torch
from trainer_cohort import CONFIG, write_cohort, write_expected

from core.case import Case
from core.grid import Grid
from core.io import read
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.model import MHVAE
from core.models.weights import save
from core.simulator import Tissue
from core.synthesis.synthesize import Engine
from core.synthesis.view import part_of
from core.volume import Volume

FINE = Grid((24, 24, 24), np.diag([0.5, 0.5, 0.5, 1.0]))


def head() -> Volume:
    """Return labels: white, with a ventricle of 10 mm a side in the middle, and small parts."""
    voxels = np.full(FINE.shape, Tissue.WHITE, np.float32)
    voxels[2:22, 2:22, 2:22] = Tissue.VENTRICLE
    voxels[:, :, 0] = Tissue.GREY
    voxels[:, :, 23] = Tissue.SULCUS
    voxels[0, :5, 5] = Tissue.TUMOUR_CORE
    return Volume(voxels, FINE)


def test_the_middle_of_a_ventricle_keeps_off_its_walls() -> None:
    fov = np.ones(FINE.shape, bool)
    fov[:12] = False
    where = quality.parts(head(), FINE, fov)
    middle = np.argwhere(where["ventricle"])
    # A wall lies half a voxel beyond the last; the distance to the next tissue's voxel is more
    # than 2 mm from 5 voxels on.
    assert middle.min(0).tolist() == [12, 6, 6]
    assert middle.max(0).tolist() == [17, 17, 17]
    assert not where["tumour"].any()
    assert where["brain"].sum() == (where["grey"] | (head().voxels == Tissue.WHITE) & fov).sum()


def test_differences_have_a_sign_and_a_scale() -> None:
    where = quality.parts(head(), FINE, np.ones(FINE.shape, bool))
    image = np.zeros(FINE.shape, np.float32)
    image[where["ventricle"]] = -0.5
    image[where["sulcus"]] = 0.25
    found = quality.differences(image, where)
    assert list(found) == list(quality.SIGNS)[:2]  # of the tumour too little is in view
    unit = 255 / (1 + 255 / 256)
    assert list(found.values()) == pytest.approx([-0.5 * unit, 0.25 * unit])


def test_the_gap_is_closed_by_who_knows_the_tissues() -> None:
    tissue = np.zeros((8, 8, 2), np.float32)
    tissue[4:] = 3
    tissue[:, 7] = 5
    truth = np.where(tissue == 3, 0.5, np.where(tissue == 5, 0.9, -0.2)).astype(np.float32)
    truth[::2] += 0.02
    inside = np.ones(truth.shape, bool)
    inside[:, 7] = False
    known = np.where(tissue == 3, 0.51, -0.19).astype(np.float32)
    right = quality.errors(truth, known, tissue, inside)
    assert right.tissues == pytest.approx(0.01, abs=1e-6)
    assert right.model == pytest.approx(right.tissues, abs=1e-6)
    flat = np.full_like(truth, np.median(truth[inside]))
    wrong = quality.errors(truth, flat, tissue, inside)
    assert wrong.model == pytest.approx(wrong.median)
    assert wrong.median > 0.3
    assert quality.closed([right, right]) == pytest.approx(1, abs=1e-4)
    assert quality.closed([right, wrong]) == pytest.approx(0.5, abs=1e-4)


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    folder = write_cohort(tmp_path / "cohort", 2)
    for n in range(2):
        image: Any = nib.load(folder / f"Case{n:03d}-iUS.nii.gz")
        labels = np.full(image.shape, Tissue.GREY, np.uint8)
        labels[12:] = Tissue.SULCUS
        nib.save(nib.Nifti1Image(labels, image.affine), folder / f"Case{n:03d}-labels.nii.gz")
    write_expected(folder, "Case000")
    return folder


def test_it_prints_the_tables(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    model = cohort.parent / "m.safetensors"
    save(Bundle(CONFIG, Preprocessing(), name="toy"), MHVAE(CONFIG), model)
    words = [str(cohort), "--model", str(model)]
    quality.main(words)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "toy, 2 cases"
    assert [line.split()[0] for line in lines[2:4]] == ["Case000", "Case001"]
    assert lines[2].split()[1] == lines[2].split()[3] == lines[3].split()[4] == "-"
    assert lines[4] == "ventricle centres darker than grey: 0 of 0 cases"
    assert " of 2 cases (" in lines[5]
    assert lines[7].startswith("T2 to iUS against the expected echo: MAE ")
    assert lines[8].startswith("T2 to iUS against the ultrasound: MAE ")
    quality.main([*words, "--cases", "1", "--json"])
    (row,) = json.loads(capsys.readouterr().out)["rows"]
    assert list(row["errors"]) == ["expected echo", "ultrasound"]
    assert f"{row['errors']['ultrasound']['model']:.3f}" == lines[2].split()[5]
    # The companion is a slope from 60 to 180, so it is a quarter of the range from its median.
    assert row["errors"]["expected echo"]["median"] == pytest.approx(0.2, abs=0.05)
    assert set(row["errors"]["ultrasound"]) == set(asdict(quality.Errors(0, 0, 0, 0)))


def test_the_image_is_compared_on_the_models_scale(cohort: Path) -> None:
    torch.manual_seed(0)
    engine = Engine(MHVAE(CONFIG).eval(), Bundle(CONFIG, Preprocessing(spacing=(0.5, 0.5, 0.5))))
    volumes = {m: read(cohort / f"Case000-{m}.nii.gz") for m in ("T2", "iUS")}
    _, result = quality.synthesise(engine, Case("Case000", volumes))
    seen = volumes["iUS"].voxels > 0
    low, high = np.percentile(volumes["iUS"].voxels[seen], [0, 99.95])
    made_on = result.volumes["iUS"]
    inside = part_of(seen, volumes["iUS"].grid, made_on.grid)
    assert inside.sum() == seen.sum()
    made = (made_on.voxels[inside] - low) / (high - low) * (511 / 256) - 255 / 256
    echo = read(cohort / "Case000-iUS-expected.nii.gz")
    expected = part_of(echo.voxels, echo.grid, made_on.grid)[inside]
    wanted = np.abs(made - (expected / 255 * (511 / 256) - 255 / 256)).mean()
    found = quality.examine(engine, cohort, "Case000").errors["expected echo"].model
    assert found == pytest.approx(float(wanted), rel=0.01)  # a mean of slices, all alike


def test_a_cohort_it_cannot_use_is_named(cohort: Path) -> None:
    model = cohort.parent / "m.safetensors"
    save(Bundle(CONFIG, Preprocessing(), name="toy"), MHVAE(CONFIG), model)
    (cohort / "Case001-labels.nii.gz").unlink()
    with pytest.raises(SystemExit, match=r"Case001-labels\.nii\.gz"):
        quality.main([str(cohort), "--model", str(model)])
    for path in cohort.glob("*-T2.nii.gz"):
        path.unlink()
    with pytest.raises(SystemExit, match="cohort: expected a folder with files named"):
        quality.main([str(cohort), "--model", str(model)])
