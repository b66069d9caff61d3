"""Cohorts as people have them: four layouts, hostile files, a split that holds."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer_cohort import tiny_plan, write_case, write_cohort

from core.case import Case
from core.image.preprocess import working_grid
from core.io import read
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.synthesis.request import Request, prepare_input
from core.synthesis.view import part_of
from trainer.__main__ import main
from trainer.cohort.cache import LOWEST, cache_cases
from trainer.cohort.case import CohortCase
from trainer.cohort.check import check_cohort
from trainer.cohort.scan import scan
from trainer.cohort.split import PARTS, check_leakage, draw
from trainer.errors import TrainerError
from trainer.loop.data import load_data
from trainer.loop.order import SliceOrder
from trainer.loop.tiles import TileSampler, copy, cut, fixed_tiles
from trainer.plan.presets import preset
from trainer.plan.schema import DataPlan, Plan, load_plan, plan_from_dict
from trainer.run.folder import RunFolder, read_events
from trainer.run.state import list_runs

BOTH = ("iUS", "T2")


def found(folder: Path) -> dict[str, list[str]]:
    return {case.id: sorted(case.files) for case in scan(folder, BOTH)}


def test_four_layouts_are_one_cohort(tmp_path: Path) -> None:
    flat = write_cohort(tmp_path / "flat", 2)
    (flat / "notes.txt").write_text("hello")
    shutil.copy(flat / "Case000-T2.nii.gz", flat / "Case000-labels.nii.gz")
    expected = {"Case000": ["T2", "iUS"], "Case001": ["T2", "iUS"]}
    assert found(flat) == expected
    assert not any(case.doubts for case in scan(flat, BOTH))
    (flat / "Case000-labels.nii.gz").unlink()
    folders = tmp_path / "folders"
    for path in flat.glob("*.nii.gz"):
        case, kind = path.name.split("-")
        (folders / case).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, folders / case / kind)
    assert found(folders) == expected
    lines = ["case,patient,T2,iUS", *(f"{c},P,{c}-T2.nii.gz,{c}-iUS.nii.gz" for c in expected)]
    (flat / "cases.csv").write_text("\n".join(lines))
    assert found(flat / "cases.csv") == expected
    assert {c.patient for c in scan(flat / "cases.csv", BOTH)} == {"P"}
    bids = tmp_path / "bids"
    for n, session in enumerate(("ses-1", "ses-2")):
        place = bids / "sub-01" / session / "anat"
        place.mkdir(parents=True)
        for kind, name in (("T2", "T2w"), ("iUS", "us")):
            source = flat / f"Case00{n}-{kind}.nii.gz"
            shutil.copy(source, place / f"sub-01_{session}_{name}.nii.gz")
    cases = scan(bids, BOTH)
    assert [c.id for c in cases] == ["sub-01_ses-1", "sub-01_ses-2"]
    assert {c.patient for c in cases} == {"sub-01"}
    assert all(sorted(c.files) == ["T2", "iUS"] for c in cases)


def test_hostile_cohort_is_a_table_of_problems_and_still_trains(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 7)
    (cohort / "Case000-T2.nii.gz").unlink()  # unpaired
    (cohort / "Case001-iUS.nii.gz").write_bytes(b"not a volume")
    shutil.copy(cohort / "Case003-T2.nii.gz", cohort / "Case002-T2.nii.gz")  # a copy, renamed
    far = cohort / "Case004-T2.nii.gz"
    voxels = read(far).voxels
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = 500
    nib.save(nib.Nifti1Image(voxels, affine), far)
    (cohort / "Case005-scan.nii.gz").write_bytes(b"")  # misnamed
    problems = check_cohort(scan(cohort, BOTH), BOTH, DataPlan())
    told = {(p.case, p.severity): p.text for p in problems}
    assert "no T2" in told["Case000", "note"]
    assert "Case001-iUS" in told["Case001", "error"]
    assert "Case002" in told["Case003", "error"]
    assert "mm apart" in told["Case004", "error"]
    assert "no modality" in told["Case005", "warning"]
    assert all(p.fix for p in problems)
    assert not any(p.case == "Case006" for p in problems)
    plan = tiny_plan(cohort, optimiser__steps=2, loss__gan=0, data__test=0, data__validation=0)
    plan = replace(plan, exclude=("Case006",))
    plan.save(tmp_path / "plan.json")
    assert main([str(tmp_path / "plan.json"), "--out", str(tmp_path / "run")]) == 0
    (info,) = list_runs(tmp_path)
    assert (info.state, info.step, info.resumable) == ("finished", 2, False)
    assert "Case006" not in (tmp_path / "run" / "split.json").read_text()
    log = (tmp_path / "run" / "events.jsonl").read_text()
    assert "Case001: " in log
    assert "same images as Case002" in log


@pytest.mark.parametrize("kind", ["missing", "empty", "file"])
def test_no_cohort_is_one_sentence(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "cohort"
    if kind == "empty":
        place.mkdir()
    if kind == "file":
        place.write_text("x")
    assert main([str(place), "--out", str(tmp_path / "run"), "--preset", "smoke"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main([str(place), "--out", str(blocked / "run")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_preparation_is_what_synthesis_shows_the_model(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    plan = replace(tiny_plan(cohort).data, spacing=(0.7, 0.6, 0.5))
    ((made,), problems) = cache_cases(scan(cohort, BOTH), plan, BOTH, tmp_path / "cache")
    assert not problems
    volumes = {m: read(cohort / f"Case000-{m}.nii.gz") for m in BOTH}
    bundle = Bundle(tiny_plan(cohort).model, Preprocessing(plan.spacing))
    shown = prepare_input(Case("x", volumes), bundle, Request(BOTH, BOTH))
    # Synthesis lays out no more than its tiles see.
    whole = working_grid(volumes["iUS"], plan.spacing)
    assert tuple(np.array(made.array.shape)[[2, 3, 0]]) == whole.shape
    for channel, m in enumerate(BOTH):
        mine = part_of(np.moveaxis(made.array[:, channel], 0, 2), whole, shown.grid)
        np.testing.assert_allclose(mine, shown.images[m], atol=1e-3)
        assert ((mine == -1) == (shown.images[m] == -1)).all()
    field = np.moveaxis(made.array[:, -1], 0, 2) > 0
    assert part_of(field, whole, shown.grid).tolist() == shown.fov.tolist()
    assert field.sum() == shown.fov.sum()


def test_outliers_are_told_in_the_log_and_by_no_file_s_name(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 3)
    path = cohort / "Case001-T2.nii.gz"
    image = nib.load(path)
    voxels = np.asarray(image.dataobj, dtype=np.float32).copy()  # type: ignore[attr-defined]
    voxels[3, 3, 2] = -32768
    nib.save(nib.Nifti1Image(voxels, image.affine), path)  # type: ignore[attr-defined]
    cases = scan(cohort, BOTH)
    for _ in range(2):  # made, then found in the cache
        prepared, _problems = cache_cases(cases, DataPlan(), BOTH, tmp_path / "cache")
        told = {c.id for c in prepared if any("T2: 1 voxel lies far" in w for w in c.warnings)}
        assert told == {"Case001"}
        assert not any(".nii" in w for c in prepared for w in c.warnings)
    plan = tiny_plan(cohort)
    folder = RunFolder.create(tmp_path / "run", plan)
    load_data(plan, folder, lambda _: None)
    texts = [e["text"] for e in read_events(folder.path) if e["event"] == "warning"]
    held = json.loads((folder.path / "split.json").read_text())["test"]
    assert any(t.startswith("Case001: T2") for t in texts) or "Case001" in held


def test_cache_is_found_again_and_left_when_a_file_changes(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    plan, cache = tiny_plan(cohort).data, tmp_path / "cache"
    cache_cases(scan(cohort, BOTH), plan, BOTH, cache)
    before = {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    cache_cases(scan(cohort, BOTH), plan, BOTH, cache)
    assert {p: p.stat().st_mtime_ns for p in cache.iterdir()} == before
    write_case(cohort, "Case000", 77)
    cache_cases(scan(cohort, BOTH), plan, BOTH, cache)
    assert len(list(cache.iterdir())) == 2 * len(before)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=30),
    st.integers(0, 5),
    st.floats(0, 0.45),
    st.floats(0, 0.45),
)
def test_split_is_by_patient(owners: list[int], seed: int, held: float, test: float) -> None:
    cases = [CohortCase(f"c{n}", f"p{owner}") for n, owner in enumerate(owners)]
    plan = DataPlan(validation=held, test=test, split_seed=seed)
    split = draw(cases, plan)
    assert sorted(c for part in PARTS for c in split[part]) == sorted(c.id for c in cases)
    check_leakage(cases, split)
    assert draw(cases[::-1], plan)["test"][::-1] == split["test"]
    assert split["training"] or len({c.patient for c in cases}) < 3


def test_leakage_is_refused() -> None:
    cases = [CohortCase("a", "p"), CohortCase("b", "p")]
    with pytest.raises(TrainerError, match="Patient p"):
        check_leakage(cases, {"training": ["a"], "validation": [], "test": ["b"]})


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 30),
    st.integers(0, 30),
    st.floats(-3.2, 3.2),
    st.floats(0.8, 1.25),
    st.booleans(),
)
def test_tiles_keep_the_background_apart(
    row: int, column: int, angle: float, zoom: float, mirror: bool
) -> None:
    """A uniform image stays uniform up to its mask's edge: no background bleeds in."""
    source = np.full((2, 30, 30), -1, np.float16)
    source[0, 8:24, 5:20] = 0.25
    source[1] = 0
    source[1, 8:24, 5:20] = 1
    c, s = np.cos(angle) / zoom, np.sin(angle) / zoom
    matrix = np.array([[c, -s], [s, c]]) @ np.diag([-1 if mirror else 1, 1])
    tile = cut(source, np.array([row, column], float), matrix, (16, 16))
    inside = tile[0] > -1
    np.testing.assert_allclose(tile[0][inside], 0.25, atol=1e-5)
    assert (tile[0][~inside] == -1).all()
    assert set(np.unique(tile[1])) <= {0.0, 1.0}
    assert (inside == (tile[1] > 0)).all()


def test_identity_cut_is_the_image() -> None:
    image = np.random.default_rng(0).uniform(LOWEST, 1, (20, 20)).astype(np.float16)
    source = np.stack([image, np.ones_like(image)])
    tile = cut(source, np.array([9.5, 9.5]), np.eye(2), (16, 16))
    np.testing.assert_allclose(tile[0], image[2:18, 2:18], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.floats(-4, 24),
    st.floats(-4, 24),
    st.sampled_from([None, 0, 1]),
    st.sampled_from([(8, 8), (7, 10), (24, 6)]),
)
def test_a_tile_of_whole_pixels_is_the_array_bit_for_bit(
    row: float, column: float, mirror: int | None, size: tuple[int, int]
) -> None:
    source = np.random.default_rng(0).uniform(LOWEST, 1, (3, 20, 20)).astype(np.float16)
    source[-1] = 1
    tile = copy(source, np.array([row, column]), size, mirror=mirror)
    assert tile.dtype == np.float32
    padded = np.pad(source.astype(np.float32), ((0, 0), (40, 40), (40, 40)), constant_values=-1)
    padded[-1] = np.pad(source[-1], 40)
    first, second = (
        int(np.rint(c - (n - 1) / 2)) + 40 for c, n in zip((row, column), size, strict=True)
    )
    expected = padded[:, first : first + size[0], second : second + size[1]]
    assert (tile == (expected if mirror is None else np.flip(expected, 1 + mirror))).all()


def test_whole_pixels_in_validation_always_and_in_training_as_often_as_asked(
    tmp_path: Path,
) -> None:
    cohort = write_cohort(tmp_path / "cohort", 2)
    plan = tiny_plan(cohort, data__gamma={})
    prepared, _ = cache_cases(scan(cohort, BOTH), plan.data, BOTH, tmp_path / "cache")
    windows = {
        window.tobytes()
        for case in prepared
        for image in np.pad(
            case.array[:, 1].astype(np.float32), ((0, 0), (16, 16), (16, 16)), constant_values=-1
        )
        for side in (image, image[::-1])
        for window in np.lib.stride_tricks.sliding_window_view(side, (16, 16)).reshape(-1, 16, 16)
    }

    def copied(tiles: torch.Tensor) -> float:
        return sum(tile.numpy().tobytes() in windows for tile in tiles[:, 0]) / len(tiles)

    tiles = fixed_tiles(prepared, plan, 6)
    assert tiles is not None
    assert copied(tiles.images["T2"]) == 1
    for part in (0.0, 0.5, 1.0):
        sampler = TileSampler(prepared, plan.override({"data.whole_pixel": part}))
        drawn = torch.cat([sampler.batch(step).images["T2"] for step in range(60)])
        assert abs(copied(drawn) - part) < 0.12


def test_every_slice_once_per_epoch_and_no_hidden_state(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 2)
    plan = tiny_plan(cohort)
    prepared, _ = cache_cases(scan(cohort, BOTH), plan.data, BOTH, tmp_path / "cache")
    sampler = TileSampler(prepared, plan)
    steps = sampler.steps_per_epoch
    seen = [sampler.order.at(s, r) for s in range(steps) for r in range(plan.data.batch)]
    assert sorted(seen) == sorted(sampler.slices)
    late = sampler.batch(5)
    fresh = TileSampler(prepared, plan)
    again = fresh.batch(5)
    assert all((late.images[m] == again.images[m]).all() for m in BOTH)
    assert (fresh.batch(5, 1, 2).fov == late.fov[1:2]).all()
    neighbours = TileSampler(prepared, plan.override({"data.neighbours": True}))
    (case, k), (other, after) = neighbours.order.at(3, 0), neighbours.order.at(3, 1)
    assert (case, k + 1) == (other, after)
    every = TileSampler(prepared, plan.override({"data.even_cases": False}))
    seen = [every.order.at(s, r) for s in range(steps) for r in range(plan.data.batch)]
    assert sorted(seen) == sorted(every.slices)


@pytest.mark.parametrize("neighbours", [False, True])
def test_a_case_with_three_times_the_slices_is_seen_no_more_often(neighbours: bool) -> None:
    slices = [(0, k) for k in range(12)] + [(1, k) for k in range(2, 6)]
    plan = Plan(data=DataPlan(batch=4, neighbours=neighbours))
    order = SliceOrder(slices, plan)
    assert order.steps_per_epoch == 4
    seen = [order.at(step, row) for step in range(24) for row in range(4)]
    assert set(seen) <= set(slices)
    counts = [sum(case == c for case, _ in seen) for c in (0, 1)]
    assert counts == [48, 48]
    if not neighbours:  # each case goes through all its own slices before it begins anew
        own = [k for case, k in seen if case == 0]
        assert all(sorted(own[n : n + 12]) == list(range(12)) for n in range(0, 48, 12))
        assert own[:12] != own[12:24]
    again = SliceOrder(slices, plan)
    assert [again.at(23, row) for row in range(4)] == seen[-4:]
    plain = SliceOrder(slices, replace(plan, data=replace(plan.data, even_cases=False)))
    seen = [plain.at(step, row) for step in range(24) for row in range(4)]
    assert sum(case == 0 for case, _ in seen) > 60


@pytest.mark.parametrize("name", ["smoke", "quick", "paper"])
def test_plans_survive_json_and_refuse_nonsense(name: str, tmp_path: Path) -> None:
    plan = preset(name, "somewhere")
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan
    values = json.loads((tmp_path / "plan.json").read_text())
    for wrong in ({"schema": 99}, {"data": {"bach": 4}}, {"family": "gan"}, {"data": {"batch": 0}}):
        (tmp_path / "bad.json").write_text(json.dumps({**values, **wrong}))
        with pytest.raises(TrainerError):
            load_plan(tmp_path / "bad.json")
    with pytest.raises(TrainerError, match="no setting called"):
        plan.override({"data.bach": 4})
    assert plan.override({"family": "mvae"}).model.levels == 1


def test_a_plan_of_the_first_schema_goes_on_as_it_began() -> None:
    values = preset("quick", "somewhere").to_dict()
    values["schema"] = 1
    for section, name in (("data", "even_cases"), ("data", "whole_pixel"), ("loss", "gan_norm")):
        del values[section][name]
    plan = plan_from_dict(values, "plan.json")
    assert (plan.data.even_cases, plan.data.whole_pixel) == (False, 0.0)
    assert plan.loss.gan_norm == "instance"
    assert plan_from_dict(plan.to_dict(), "plan.json") == plan
    assert Plan().loss.gan_norm == "spectral"


def test_paper_preset_is_the_paper() -> None:
    plan = preset("paper")
    assert (plan.data.batch, plan.optimiser.epochs, plan.model.tile) == (16, 1000, (192, 192))
    assert (plan.loss.l1, plan.loss.gan, plan.loss.gan_start) == (100, 1, 0.8)
    assert isinstance(plan.model, MHVAEConfig)
    assert (plan.model.levels, plan.model.final_blocks) == (7, 5)


def test_fine_tuning_takes_the_models_shape(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 3)
    first = tiny_plan(cohort, optimiser__steps=1, loss__gan=0, family="mvae")
    first.save(tmp_path / "plan.json")
    run = tmp_path / "run"
    assert main([str(tmp_path / "plan.json"), "--out", str(run)]) == 0
    model = str(run / "model.safetensors")
    second = tmp_path / "second.json"
    words = ["train", str(cohort), "--from", model, "--out", str(second), "--plan-only"]
    assert main(words) == 0
    plan = load_plan(second)
    assert (plan.model, plan.family, plan.start_from) == (first.model, "mvae", model)
    words = [str(cohort), "--from", model, "--out", str(tmp_path / "tuned")]
    words += ["--set", "optimiser.steps=1", "--set", "optimiser.budget_seconds=0"]
    words += ["--set", "data.min_fov=0.1"]
    assert main(words) == 0
    assert "finished" in list_runs(tmp_path / "tuned")[0].sentence


def test_planning_a_training_needs_no_torch() -> None:
    """The window's process scans, checks and plans, and must not pay for torch."""
    names = [f"cohort.{n}" for n in ("cache", "check", "pair", "scan", "split")]
    names += ["plan.schema", "plan.patches", "plan.fine_tune", "run.folder", "run.state"]
    names += ["loop.estimate_verdict"]
    code = (
        f"import sys, {', '.join('trainer.' + n for n in names)}; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("plane", "orientation", "exchanged"),
    [("axial", None, 2), ("axial", "PLS", 3), ("sagittal", None, None), ("coronal", "ILA", 3)],
)
def test_mirroring_exchanges_left_and_right_and_nothing_else(
    plane: str, orientation: str | None, exchanged: int | None, tmp_path: Path
) -> None:
    from trainer.cohort.cache import cache_case

    cohort = write_cohort(tmp_path / "cohort", 1)
    for modality in BOTH:  # as deep as it is wide, so that it can be cut along any plane
        path = cohort / f"Case000-{modality}.nii.gz"
        voxels = np.repeat(read(path).voxels[:, :, :1], 24, axis=2)
        slope = np.linspace(1, 2, 24, dtype=np.float32)[None, :, None]  # brighter to the front
        nib.save(nib.Nifti1Image(voxels * slope, np.diag([0.5, 0.5, 0.5, 1])), path)
    same = {"data.whole_pixel": 1.0, "data.jitter": 0, "data.gamma": {}, "data.plane": plane}
    same["data.orientation"] = orientation
    plan = tiny_plan(cohort).override({**same, "data.flip": 1.0})
    still = plan.override({"data.flip": 0.0})
    (case,) = scan(cohort, BOTH)
    ready = cache_case(case, plan.data, BOTH, tmp_path / "cache")
    turned = TileSampler([ready], plan).batch(0).images["T2"]
    plain = TileSampler([ready], still).batch(0).images["T2"]
    assert torch.equal(turned, plain if exchanged is None else plain.flip(exchanged))
    usual = plan.override({"data.orientation": None})
    as_it_lies = cache_case(case, usual.data, BOTH, tmp_path / "cache").array
    volume = usual.data.slicing.volume(np.moveaxis(as_it_lies, 0, 1))
    wanted = np.moveaxis(plan.data.slicing.slices(volume), 1, 0)
    assert np.array_equal(ready.array, wanted)
    with pytest.raises(TrainerError, match=f"data.orientation must be one of {plane} slices"):
        plan.override({"data.orientation": "RSA" if plane == "axial" else "RAS"})
