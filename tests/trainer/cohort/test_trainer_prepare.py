"""``prepare``: a cohort is aligned, brought to one grid and range, told of, and trained on."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from align_pair import make_pair

from app import cli
from core.grid import Grid
from core.image.preprocess import UNCHANGED, is_in_model_range, measure
from core.io import read, write
from core.registration.alignment import Alignment, from_parameters, inverted, moved
from core.registration.transforms import write_transform
from core.volume import Volume
from trainer.cohort.cache import _preprocess
from trainer.cohort.prepare_files import PrepareOptions, prepare_files, transform_of
from trainer.cohort.scan import scan
from trainer.plan.schema import DataPlan

OFFSET = from_parameters([4, -3, 2, 3, -4, 5], [0, 0, 0])
BOTH = ("iUS", "T2")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """One aligned case; one whose T2 needs the transform beside it; one that is far away."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    ius, t2 = make_pair()
    for name, offset in (("Case1", np.eye(4)), ("Case2", OFFSET)):
        write(ius, folder / f"{name}-iUS.nii.gz")
        write(moved(t2, offset), folder / f"{name}-T2.nii.gz")
    write_transform(folder / "Case2-US.tfm", Alignment(inverted(OFFSET), "manual"))
    write(ius, folder / "Case3-iUS.nii.gz")
    far = from_parameters([900, 0, 0, 0, 0, 0], [0, 0, 0])
    write(moved(t2, far), folder / "Case3-T2.nii.gz")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    assert cli.main(["prepare", *[str(a) for a in arguments], "--json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_a_cohort_becomes_one_the_trainer_takes_as_it_is(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, cohort: Path
) -> None:
    out = tmp_path / "out"
    common = (cohort, "--out", out, "--spacing", 2, "--workers", 1)
    answer = run(capsys, *common)
    assert (answer["done"], answer["doubtful"], answer["failed"]) == (2, 0, 1)
    rows = list(csv.DictReader((out / "outcomes.csv").read_text().splitlines()))
    assert [r["outcome"] for r in rows] == ["done", "done", "failed"]
    assert "mm apart" in rows[2]["reason"]
    assert rows[1]["alignment"] == "T2 file Case2-US.tfm"
    assert float(rows[1]["after"]) > 2 * float(rows[1]["before"])
    page = (out / "qc.html").read_text()
    assert page.count("data:image/jpeg") == 2
    assert page.index("Case3") < page.index("Case1")
    assert "http" not in page
    assert str(tmp_path) not in page + (out / "outcomes.json").read_text()
    for source in (out, out / "cohort.csv"):
        cases = scan(source, BOTH)
        assert [c.id for c in cases] == ["Case1", "Case2"]
        assert all(c.fov for c in cases)
    # Both cases hold the same patient, aligned: the trainer's arrays must agree.
    first, second = (_preprocess(c, DataPlan(spacing=(2.0,) * 3), BOTH)[0] for c in cases)
    assert first.shape == second.shape
    inside = first[:, -1] > 0
    assert np.abs(first[:, 1] - second[:, 1])[inside].mean() < 0.03
    again = run(capsys, *common)
    assert again["kept"] == 2


def test_prepared_arrays_are_the_trainer_s_own(tmp_path: Path, cohort: Path) -> None:
    """Preparing first and training then gives what training on the raw case gives."""
    out = tmp_path / "out"
    out.mkdir()
    raw = scan(cohort, BOTH)[0]
    assert prepare_files(raw, PrepareOptions(spacing=(2.0,) * 3), out)["outcome"] == "done"
    plan = DataPlan(spacing=(2.0,) * 3)
    direct, *_ = _preprocess(raw, plan, BOTH)
    (case,) = scan(out, BOTH)
    through, *_ = _preprocess(case, plan, BOTH)
    # The prepared grid is cut down to the field of view; slide it over the whole one.
    start = np.argwhere(direct[:, -1] > 0).min(0) - np.argwhere(through[:, -1] > 0).min(0)
    part = direct[
        start[0] : start[0] + through.shape[0],
        :,
        start[1] : start[1] + through.shape[2],
        start[2] : start[2] + through.shape[3],
    ]
    assert np.abs(part.astype(float) - through.astype(float)).max() < 2e-3


def test_a_prepared_volume_keeps_its_scale(tmp_path: Path, cohort: Path) -> None:
    prepare_files(scan(cohort, BOTH)[0], PrepareOptions(spacing=(2.0,) * 3), tmp_path)
    volume = read(tmp_path / "Case1-T2.nii.gz")
    assert is_in_model_range(volume.voxels)
    measured = measure(volume, (0.0, 99.95))
    assert measured.normaliser == UNCHANGED
    same = measured.normaliser.forward(measured.volume.voxels, measured.field)
    assert np.abs(same - measured.volume.voxels).max() < 1e-6
    assert not is_in_model_range(read(cohort / "Case1-T2.nii.gz").voxels)
    for other in (
        np.linspace(-1, 1, 27),
        np.arange(-128, 129) / 128,
        np.arange(4096) / 4096,
        np.array([-1, 0, 1]),
        np.arange(-4095, 4097) / 4096,
    ):
        assert not is_in_model_range(other.astype(np.float32).reshape(-1, 1, 1))


def test_changed_settings_or_files_make_a_case_anew(tmp_path: Path, cohort: Path) -> None:
    case = scan(cohort, BOTH)[1]
    how = PrepareOptions(spacing=(3.0,) * 3)
    assert "kept" not in prepare_files(case, how, tmp_path)
    assert "kept" in prepare_files(case, how, tmp_path)
    assert "kept" not in prepare_files(case, replace(how, spacing=(4.0,) * 3), tmp_path)
    write_transform(cohort / "Case2-US.tfm", Alignment(np.eye(4), "manual"))
    worse = prepare_files(case, replace(how, spacing=(4.0,) * 3), tmp_path)
    assert "kept" not in worse
    (tmp_path / "Case2-T2.nii.gz").unlink()
    assert "kept" not in prepare_files(case, replace(how, spacing=(4.0,) * 3), tmp_path)


def test_the_wrong_direction_is_noticed_and_inverse_turns_it(tmp_path: Path, cohort: Path) -> None:
    write_transform(cohort / "Case2-US.tfm", Alignment(OFFSET, "manual"))
    case = scan(cohort, BOTH)[1]
    how = PrepareOptions(spacing=(3.0,) * 3)
    wrong = prepare_files(case, how, tmp_path)
    assert wrong["outcome"] == "doubtful"
    assert "--inverse" in wrong["reason"]
    assert prepare_files(case, replace(how, inverse=True), tmp_path)["outcome"] == "done"


def test_transform_files_are_found_by_case_and_by_where_they_lead(
    tmp_path: Path, cohort: Path
) -> None:
    case = scan(cohort, BOTH)[1]
    folder = tmp_path / "registration" / "Case2"
    folder.mkdir(parents=True)
    alignment = Alignment(np.eye(4), "manual")
    write_transform(folder / "Case2-US-to-Case2-preop-MR-3D_AX_T1_postcontrast.tfm", alignment)
    with pytest.raises(Exception, match=r"leads to .*T1, not to T2"):
        transform_of(case, "T2", folder.parent)
    good = write_transform(folder / "Case2-US-to-Case2-preop-MR-3D_AX_T2_SPACE.tfm", alignment)
    write_transform(folder / "Case20-US-to-Case2-preop-MR-3D_AX_T2_SPACE.tfm", alignment)
    assert transform_of(case, "T2", folder.parent) == good
    (folder / "Case2-notes.txt").write_text("not a transform")
    assert transform_of(case, "T2", folder.parent) == good
    write_transform(folder / "Case2-b.tfm", alignment)
    with pytest.raises(Exception, match="Keep one"):
        transform_of(case, "T2", folder.parent)


def test_a_registration_aligns_what_headers_do_not(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, cohort: Path
) -> None:
    (cohort / "Case2-US.tfm").unlink()
    for n in (1, 3):
        for m in BOTH:
            (cohort / f"Case{n}-{m}.nii.gz").unlink()
    answer = run(
        capsys, cohort, "--out", tmp_path / "out", "--spacing", 3, "--register", "rigid",
        "--workers", 1,
    )  # fmt: skip
    assert answer["done"] == 1
    record = json.loads((tmp_path / "out/outcomes.json").read_text())
    matrix = np.array(record["cases"][0]["alignment"]["T2"]["matrix"])
    assert np.abs(matrix @ OFFSET - np.eye(4))[:3, 3].max() < 0.8


def test_a_case_with_one_modality_is_prepared_alone(tmp_path: Path) -> None:
    _, t2 = make_pair()
    grid = Grid(t2.grid.shape, t2.grid.affine)
    write(Volume(t2.voxels, grid), tmp_path / "Case9-T2.nii.gz")
    (case,) = scan(tmp_path, BOTH)
    out = tmp_path / "out"
    out.mkdir()
    outcome = prepare_files(case, PrepareOptions(spacing=(3.0,) * 3), out)
    assert outcome["outcome"] == "done"
    assert outcome["alignment"] == {}
    assert "no iUS" in outcome["reason"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--spacing", "0"], "expected 0.05 to 20"),
        (["--transforms", "absent"], "expected a folder"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, cohort: Path,
    arguments: list[str], sentence: str,
) -> None:  # fmt: skip
    assert cli.main(["prepare", str(cohort), "--out", str(tmp_path / "o"), *arguments]) == 2
    assert sentence in capsys.readouterr().err
