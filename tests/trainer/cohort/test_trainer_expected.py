"""The expected echo beside an ultrasound: found, kept at its level, and learned from."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from trainer_cohort import tiny_plan, write_case, write_cohort, write_expected

from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from trainer.__main__ import main
from trainer.cohort.cache import CachedCase, cache_cases
from trainer.cohort.check import check_cohort
from trainer.cohort.scan import scan, survey, write_csv
from trainer.loop.losses import masked_l1
from trainer.loop.schedule import Weights
from trainer.loop.step import Stepper
from trainer.loop.terms import means
from trainer.loop.tiles import TileSampler, fixed_tiles
from trainer.loop.validate import run_subsets, scores, summary
from trainer.plan.schema import DataPlan, Plan
from trainer.run.folder import read_events

BOTH = ("iUS", "T2")


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    """Three cases, the first two with their companions, of another level each."""
    folder = write_cohort(tmp_path / "cohort", 3)
    write_expected(folder, "Case000")
    write_expected(folder, "Case001", level=180.0, tilt=20.0)
    return folder


def network(plan: Plan) -> MHVAE:
    assert isinstance(plan.model, MHVAEConfig)
    return MHVAE(plan.model)


def prepared(cohort: Path) -> list[CachedCase]:
    made, problems = cache_cases(
        scan(cohort, BOTH), tiny_plan(cohort).data, BOTH, cohort.parent / "cache"
    )
    assert not problems
    return made


def test_a_companion_is_no_image_in_any_layout(cohort: Path, tmp_path: Path) -> None:
    found = survey(cohort, BOTH)
    assert [sorted(c.files) for c in found.cases] == [["T2", "iUS"]] * 3
    assert [c.files["iUS"].name for c in found.cases] == [f"Case00{n}-iUS.nii.gz" for n in range(3)]
    assert [sorted(c.expected) for c in found.cases] == [["iUS"], ["iUS"], []]
    assert not found.strays
    assert not any(c.doubts for c in found.cases)
    folders = tmp_path / "folders"
    for path in cohort.glob("*.nii.gz"):
        case, _, kind = path.name.partition("-")
        (folders / case).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folders / case / kind)
    cases = scan(folders, BOTH)
    assert [c.id for c in cases] == ["Case000", "Case001", "Case002"]
    assert cases[0].expected["iUS"].name == "iUS-expected.nii.gz"
    assert [c.files["iUS"].name for c in cases] == ["iUS.nii.gz"] * 3
    write_csv(scan(cohort, BOTH), cohort / "cases.csv", BOTH)
    assert "iUS-expected" in (cohort / "cases.csv").read_text().splitlines()[0]
    assert scan(cohort / "cases.csv", BOTH) == scan(cohort, BOTH)
    assert not any(c.expected for c in scan(cohort, ("T2",)))


def test_a_companion_alone_is_told_of(cohort: Path) -> None:
    (cohort / "Case001-iUS.nii.gz").unlink()
    case = scan(cohort, BOTH)[1]
    assert (sorted(case.files), case.expected) == (["T2"], {})
    assert "no iUS beside it" in case.doubts[0]


def test_the_level_is_the_same_in_every_case_and_no_curve_bends_it(cohort: Path) -> None:
    """250 in display values is 250 in the model, whatever the rest of the case looks like."""
    cases = prepared(cohort)
    for case, (level, tilt) in zip(cases[:2], ((120, 60), (180, 20)), strict=True):
        assert case.expected == ("iUS",)
        display = np.linspace(level - tilt, level + tilt, 24)
        inside = case.array[:, 2] > -1
        assert (inside == (case.array[:, -1] > 0)).all()
        wanted = np.broadcast_to((display * (1 + 255 / 256) / 255 - 255 / 256)[:, None], (24, 24))
        for k in range(4):
            np.testing.assert_allclose(case.array[k, 2][inside[k]], wanted[inside[k]], atol=1e-3)
    assert cases[2].expected == ()
    plan = tiny_plan(cohort, data__whole_pixel=1.0, data__batch=8, data__gamma={"iUS": 3, "T2": 3})
    plain = plan.override({"data.gamma": {}})
    bent, straight = (TileSampler(cases, p).batch(0) for p in (plan, plain))
    assert torch.equal(bent.expected["iUS"], straight.expected["iUS"])
    assert not torch.equal(bent.images["iUS"], straight.images["iUS"])
    assert torch.equal(bent.fov, straight.fov)


def test_batches_mix_cases_with_and_without(cohort: Path) -> None:
    cases = prepared(cohort)
    plan = tiny_plan(cohort, data__batch=6)
    batch = TileSampler(cases, plan).batch(0)
    order = TileSampler(cases, plan).order
    has = batch.has_expected["iUS"].tolist()
    assert has == [order.at(0, row)[0] < 2 for row in range(6)]
    assert {True, False} == set(has)
    for row in range(6):
        seen = batch.expected["iUS"][row] > -1
        assert seen.any() == has[row]
        target = batch.missing_target("iUS")[row]
        other = batch.expected["iUS"][row] if has[row] else batch.images["iUS"][row]
        inside = batch.fov[row] > 0
        assert torch.equal(target[inside], other[inside])
    assert batch.missing_target("T2") is batch.images["T2"]
    part = batch.rows(2, 4)
    assert torch.equal(part.expected["iUS"], batch.expected["iUS"][2:4])
    assert part.has_expected["iUS"].tolist() == has[2:4]
    assert batch.to(torch.device("cpu"), torch.float64).expected["iUS"].dtype == torch.float64
    assert not TileSampler(cases[2:], plan).batch(0).expected


def test_it_is_the_target_of_a_missing_ultrasound_and_of_nothing_else(cohort: Path) -> None:
    torch.set_num_threads(1)
    plan = tiny_plan(cohort, data__batch=4)
    batch = TileSampler(prepared(cohort)[:2], plan).batch(0).to(torch.device("cpu"), torch.float64)
    torch.manual_seed(0)
    model = network(plan).double()
    stepper = Stepper(model, {}, plan, {BOTH})
    weights = Weights(rate=0, beta=0.0, gan=0.0, mean_path=1.0)
    terms = means([stepper.generator(batch, 0, 0, weights)[0]])
    total = 0.0
    with torch.no_grad():
        for subset in (BOTH, ("iUS",), ("T2",)):
            out = model({m: batch.images[m] for m in subset}, temperature=0.0)
            for m, image in out.images.items():
                missing = m == "iUS" and subset == ("T2",)
                target = batch.expected[m] if missing else batch.images[m]
                weight = batch.fov
                if m in subset:
                    outside = (batch.fov == 0) & (target > -1)
                    weight = torch.where(outside, plan.loss.outside, batch.fov)
                total += float(100 * masked_l1(image, target, weight).mean()) / 3
    assert terms["loss"] == pytest.approx(total, rel=1e-9)
    assert terms["l1/T2/iUS.expected"] != pytest.approx(terms["l1/T2/iUS"], rel=1e-3)
    assert not any(name.endswith("iUS.expected") for name in terms if not name.startswith("l1/T2/"))


def test_validation_scores_both_and_chooses_by_the_companion(cohort: Path) -> None:
    cases = prepared(cohort)
    plan = tiny_plan(cohort)
    tiles = fixed_tiles(cases, plan, 3)
    assert tiles is not None
    results = run_subsets(network(plan), tiles)
    perfect = {s: dict(images) for s, images in results.items()}
    perfect["T2",]["iUS"] = tiles.missing_target("iUS")
    found = scores(tiles, perfect)
    assert found["l1/T2>iUS.expected"] == 0
    assert found["l1/T2>iUS"] > 0.05
    assert "l1/iUS+T2>iUS.expected" not in found
    assert summary(found) == pytest.approx(
        (found["psnr/T2>iUS.expected"] + found["psnr/iUS>T2"]) / 2
    )
    without = fixed_tiles(cases[2:], plan, 3)
    assert without is not None
    found = scores(without, run_subsets(network(plan), without))
    assert not any("expected" in name for name in found)
    assert summary(found) == pytest.approx((found["psnr/T2>iUS"] + found["psnr/iUS>T2"]) / 2)


@pytest.mark.parametrize("kind", ["grid", "scale", "empty", "damaged"])
def test_a_companion_that_cannot_be_one_is_a_sentence(kind: str, cohort: Path) -> None:
    path = cohort / "Case000-iUS-expected.nii.gz"
    image: Any = nib.load(path)
    values, affine = np.asarray(image.dataobj), image.affine.copy()
    if kind == "grid":
        affine[0, 3] += 1
    values = {"scale": values * 3, "empty": values * 0}.get(kind, values)
    nib.save(nib.Nifti1Image(values.astype(np.float32), affine), path)
    if kind == "damaged":
        path.write_bytes(b"no volume")
    made, problems = cache_cases(
        scan(cohort, BOTH), tiny_plan(cohort).data, BOTH, cohort.parent / "cache"
    )
    assert [c.id for c in made] == ["Case001", "Case002"]
    assert "Case000-iUS-expected" in problems[0]
    told = check_cohort(scan(cohort, BOTH), BOTH, DataPlan())
    assert [(p.case, p.severity) for p in told] == [("Case000", "error")]
    assert "Case000-iUS-expected" in told[0].text


def test_the_cache_is_left_when_a_companion_comes_or_changes(cohort: Path) -> None:
    before = [c.expected for c in prepared(cohort)]
    write_expected(cohort, "Case002")
    assert [c.expected for c in prepared(cohort)] == [*before[:2], ("iUS",)]
    write_expected(cohort, "Case002", level=90.0)
    assert float(prepared(cohort)[2].array[:, 2].max()) < 0.2
    (cohort / "Case002-iUS-expected.nii.gz").unlink()
    assert [c.expected for c in prepared(cohort)] == before


def test_a_run_trains_on_it_and_tells(cohort: Path, tmp_path: Path) -> None:
    write_case(cohort, "Case003", 3)
    write_expected(cohort, "Case003")
    plan = replace(tiny_plan(cohort, optimiser__steps=2, loss__gan_start=0.0))
    plan = plan.override({"data.validation": 0.3, "data.test": 0.0})
    plan.save(tmp_path / "plan.json")
    assert main([str(tmp_path / "plan.json"), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    events = read_events(tmp_path / "run")
    start = next(e for e in events if e["event"] == "start")
    assert start["expected"]["iUS"] >= 1
    step = [e for e in events if e["event"] == "step"][-1]
    assert np.isfinite(step["l1/T2/iUS.expected"])
    assert np.isfinite(step["d/iUS/real"])
