"""Before a training: how pairs fit, what spoils a cohort, what a plan costs, what would help."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from trainer_cohort import tiny_plan, write_cohort

from app.cli import main
from core.grid import Grid
from core.io import read
from core.volume import Volume
from trainer.cohort.case import CohortCase
from trainer.cohort.check import check_cases
from trainer.cohort.pair import SIDE, fit, picture
from trainer.cohort.scan import scan, survey, write_csv
from trainer.errors import TrainerError
from trainer.loop import estimate as estimating
from trainer.loop.data import cache_folder
from trainer.loop.estimate_verdict import Count, Measured, Memory, assess
from trainer.plan.presets import preset
from trainer.plan.schema import DataPlan, Plan

BOTH = ("iUS", "T2")


def pair(moved: float = 0.0, size: int = 64) -> tuple[Volume, Volume]:
    """An ultrasound made of a T2's edges; the T2's affine is wrong by ``moved`` mm along x."""
    random = np.random.default_rng(1)
    t2 = ndimage.gaussian_filter(random.normal(size=(size,) * 3), 2.0).astype(np.float32)
    t2 = (t2 - t2.min()) / np.ptp(t2) + 0.1
    edges = ndimage.gaussian_gradient_magnitude(t2, 1.0)
    at = np.indices(t2.shape) - size / 2
    fov = np.sqrt((at**2).sum(axis=0)) < 0.42 * size
    us = np.where(fov, edges / edges.max() + 0.1, 0).astype(np.float32)
    grid = Grid(t2.shape, np.diag([1.5, 1.5, 1.5, 1.0]))
    affine = grid.affine.copy()
    affine[0, 3] += moved
    return Volume(us, grid, "iUS"), Volume(t2, Grid(t2.shape, affine), "T2")


def test_a_pair_in_place_fits_better_than_one_that_is_not() -> None:
    us, t2 = pair()
    there = fit(us, t2, us.voxels > 0)
    assert there is not None
    assert there.best
    assert there.similarity > there.moved + 0.3
    us, t2 = pair(moved=9.0)
    away = fit(us, t2, us.voxels > 0)
    assert away is not None
    assert not away.best
    assert away.similarity < there.similarity - 0.3
    us, t2 = pair(moved=90.0)
    assert fit(us, t2, us.voxels > 0) is None


def test_the_picture_is_radiological_whatever_the_storage_order() -> None:
    us, t2 = pair(size=24)
    voxels = np.zeros_like(us.voxels)
    voxels[14:, 8:16, 8:16] = 1  # towards the patient's left
    marked = replace(us, voxels=np.where(us.voxels > 0, voxels + 0.1, 0).astype(np.float32))
    drawn = picture({"iUS": marked, "T2": t2}, ("iUS", "T2"), us.voxels > 0)
    assert drawn.shape == (3 * SIDE, 3 * SIDE)
    axial = drawn[:SIDE, :SIDE].astype(float)
    assert axial[:, : SIDE // 2].mean() > axial[:, SIDE // 2 :].mean()  # R is +x: on the left
    flipped = Volume(
        marked.voxels[::-1].copy(),
        Grid(us.grid.shape, us.grid.affine @ flip(us.grid.shape[0])),
        "iUS",
    )
    again = picture({"iUS": flipped, "T2": t2}, ("iUS", "T2"), (us.voxels > 0)[::-1])
    assert np.abs(again.astype(int) - drawn).max() <= 1
    alone = picture({"T2": t2}, ("iUS", "T2"), t2.voxels > 0.5)
    assert alone[:SIDE].max() == 0
    assert alone[2 * SIDE :].max() == 255


def flip(n: int) -> np.ndarray:
    affine = np.diag([-1.0, 1, 1, 1])
    affine[0, 3] = n - 1
    return affine


def test_strays_are_told_apart_and_a_csv_gives_the_same_cohort(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 2)
    (cohort / "Case001-T2.nii.gz").rename(cohort / "odd.nii.gz")
    found = survey(cohort, BOTH)
    assert [p.name for p in found.strays] == ["odd.nii.gz"]
    assert [sorted(c.files) for c in found.cases] == [["T2", "iUS"], ["iUS"]]
    first, second = found.cases
    second = replace(second, files={**second.files, "T2": found.strays[0]}, patient="P")
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    write_csv([first, second], run / "cohort.csv", BOTH)
    assert "../../cohort/odd.nii.gz" in (run / "cohort.csv").read_text()
    again = scan(run / "cohort.csv", BOTH)
    assert [(c.id, c.patient, sorted(c.files)) for c in again] == [
        ("Case000", "Case000", ["T2", "iUS"]),
        ("Case001", "P", ["T2", "iUS"]),
    ]
    assert again[1].files["T2"].resolve() == (cohort / "odd.nii.gz").resolve()
    # Nobody named the folder that the listed files share: a cache is used there, never begun.
    assert tmp_path not in cache_folder(run / "cohort.csv", again).parents
    cache_folder(cohort).mkdir()
    assert cache_folder(run / "cohort.csv", again) == cache_folder(cohort)
    (tmp_path / "empty").mkdir()
    assert survey(tmp_path / "empty", BOTH).cases == ()
    with pytest.raises(TrainerError, match="holds no cases"):
        scan(tmp_path / "empty", BOTH)


def test_a_folder_that_cannot_be_read_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    (cohort / "locked").mkdir()
    look = os.scandir

    def scandir(path: str) -> object:
        if Path(path).name == "locked":
            raise PermissionError(13, "Permission denied", path)
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(TrainerError, match="locked cannot be read"):
        scan(cohort, BOTH)


def test_check_tells_of_every_case_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = write_cohort(tmp_path / "cohort", 4)
    (cohort / "Case000-iUS.nii.gz").unlink()
    (cohort / "Case001-T2.nii.gz").write_bytes(b"torn")
    far = cohort / "Case002-T2.nii.gz"
    there = read(far)
    affine = there.grid.affine.copy()
    affine[1, 3] = 400
    nib.save(nib.Nifti1Image(there.voxels, affine), far)
    pictures = tmp_path / "pictures"
    assert main(["check", str(cohort), "--events", "--pictures", str(pictures)]) == 0
    *cases, end = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert end == {"event": "done", "cases": 4, "usable": 2, "pairs": 1, "trouble": ""}
    assert [(c["case"], c["usable"], c["done"], c["total"]) for c in cases] == [
        ("Case000", True, 1, 4),
        ("Case001", False, 2, 4),
        ("Case002", False, 3, 4),
        ("Case003", True, 4, 4),
    ]
    assert all(c["problems"] for c in cases[:3])
    assert "T2" not in cases[2]["fits"]
    sizes = set()
    for told in cases:
        with Image.open(pictures / told["picture"]) as drawn:
            sizes.add(drawn.size)
    assert sizes == {(3 * SIDE, 3 * SIDE)}
    assert main(["check", str(cohort), "--json"]) == 2  # for scripts: two cases cannot be used
    assert json.loads(capsys.readouterr().out)["usable"] == 2
    assert main(["check", str(cohort)]) == 2
    assert "2 of 4 cases can be used, 1 of them with a pair." in capsys.readouterr().out
    assert main(["check", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_mask_of_another_place_is_an_error_of_the_case(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[0, 3] = 100
    mask = np.zeros((24, 24, 4), np.uint8)
    mask[:9] = 1
    nib.save(nib.Nifti1Image(mask, affine), cohort / "Case000-fov.nii.gz")
    (checked,) = check_cases(scan(cohort, BOTH), BOTH, DataPlan())
    assert not checked.usable
    assert "marks no voxel" in checked.problems[-1].text


# ---- the verdict

ROOM = Memory(16_000.0, 12_000.0)
COUNT = Count(epoch_steps=100, cases=20, preparing_seconds=60.0)


def measured(**changes: object) -> Measured:
    base = Measured(2.0, 4.0, 4000.0, 1000.0, 200.0, True, ROOM)
    return replace(base, **changes)  # type: ignore[arg-type]


def plan(**settings: object) -> Plan:
    base = {"optimiser.budget_seconds": 0.0, "optimiser.steps": 1000, "data.batch": 16}
    base |= {"loss.gan": 1.0, "loss.gan_start": 0.5}
    chosen = {**base, **{k.replace("__", "."): v for k, v in settings.items()}}
    return replace(preset("quick"), device="cpu").override(chosen)


@pytest.mark.parametrize(
    ("need", "free", "verdict", "light"),
    [
        (4_000, 12_000, "good", "green"),
        (11_500, 12_000, "tight", "yellow"),
        (15_000, 12_000, "impossible", "red"),
        (15_000, 15_900, "impossible", "red"),
    ],
)
def test_memory_decides_the_light(need: float, free: float, verdict: str, light: str) -> None:
    timed = plan(optimiser__budget_seconds=3600.0)
    found = assess(timed, measured(need_mb=need, memory=Memory(16_000.0, free)), COUNT)
    assert (found.verdict, found.light) == (verdict, light)
    assert bool(found.fixes) == (light != "green")


def test_the_fix_for_memory_is_the_largest_part_that_fits_and_turns_the_light_green() -> None:
    tight = plan(optimiser__budget_seconds=3600.0)
    memory = Memory(4_000.0, 4_000.0)
    found = assess(tight, measured(need_mb=4_200.0, memory=memory), COUNT)
    assert found.light == "red"
    (fix,) = found.fixes
    assert fix.settings == {"data.micro_batch": 8}
    assert tight.override(fix.settings).data.micro_batch == 8
    after = assess(tight.override(fix.settings), measured(need_mb=2_400.0, memory=memory), COUNT)
    assert after.light == "green"
    # Not even one tile fits: only a smaller preset helps, and the smallest has none.
    nothing = measured(need_mb=4_200.0, one_mb=0.0, memory=memory)
    (fix,) = assess(tight.override({"data.micro_batch": 1}), nothing, COUNT).fixes
    assert fix.settings == {"preset": "smoke"}
    assert assess(replace(tight, preset="smoke"), nothing, COUNT).fixes[0].settings == {
        "data.micro_batch": 1
    }


def test_preparing_counts_and_one_thread_helps() -> None:
    timed = plan(optimiser__budget_seconds=3600.0)
    found = assess(timed, measured(), replace(COUNT, preparing_mb=13_000.0))
    assert (found.light, found.need_mb) == ("yellow", 13_000)
    assert [fix.settings for fix in found.fixes] == [{"threads": 1}]
    assert assess(timed, measured(), replace(COUNT, preparing_mb=9_000.0)).light == "green"
    alone = timed.override({"threads": 1})
    assert assess(alone, measured(), replace(COUNT, preparing_mb=15_000.0)).fixes == ()


def test_a_disk_without_room_is_red_and_says_where() -> None:
    timed = plan(optimiser__budget_seconds=3600.0)
    count = replace(COUNT, disk_mb=5000.0, disk_free_mb=20_000.0, cache="/somewhere/cache")
    found = assess(timed, measured(), count)
    assert (found.light, found.disk_mb, found.cache) == ("green", 5000, "/somewhere/cache")
    full = assess(timed, measured(), replace(count, disk_free_mb=4000.0))
    assert full.light == "red"
    assert "4.9 GiB on the disk, and 3.9 GiB are free in /somewhere/cache" in full.reason


def test_time_is_that_of_steps_epochs_or_budget_with_both_phases() -> None:
    by_steps = assess(plan(), measured(), COUNT)
    assert by_steps.step_seconds == pytest.approx(3.0)  # half the run has the GAN
    assert by_steps.total_seconds == pytest.approx(1000 * 3.0 + 60)
    assert (by_steps.steps, by_steps.epochs) == (1000, 10.0)
    by_epochs = assess(plan(optimiser__steps=0, optimiser__epochs=7), measured(), COUNT)
    assert by_epochs.steps == 700
    assert by_epochs.total_seconds == pytest.approx(700 * 3.0 + 60)
    by_clock = assess(plan(optimiser__budget_seconds=900.0), measured(), COUNT)
    assert by_clock.steps == 300
    assert by_clock.total_seconds == pytest.approx(960.0)
    plain = assess(plan(loss__gan=0.0), measured(), COUNT)
    assert plain.step_seconds == pytest.approx(2.0)


def test_a_long_run_is_yellow_and_one_click_bounds_it() -> None:
    long = assess(plan(optimiser__steps=10**6), measured(), COUNT)
    assert (long.light, long.verdict) == ("yellow", "slow")
    fix = long.fixes[0]
    bounded = assess(plan(optimiser__steps=10**6).override(fix.settings), measured(), COUNT)
    assert bounded.light == "green"
    assert bounded.total_seconds == pytest.approx(86400 + 60)
    beside = assess(plan(optimiser__steps=10**6), measured(gpu=True), COUNT)
    assert {"device": "auto"} in [dict(fix.settings) for fix in beside.fixes]
    assert {"device": "auto"} not in [dict(fix.settings) for fix in long.fixes]
    short = assess(plan(optimiser__budget_seconds=30.0), measured(), COUNT)
    assert (short.light, short.steps) == ("yellow", 10)
    assert "before every slice" in short.reason


def test_probe_runs_steps_and_never_tries_what_would_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = write_cohort(tmp_path / "cohort", 4)
    tiny = tiny_plan(cohort, loss__gan=1.0)
    tiny.save(tmp_path / "plan.json")
    assert main(["estimate", str(tmp_path / "plan.json"), "--events"]) == 0
    *stages, end = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert {s["event"] for s in stages} == {"progress"}
    assert (end["event"], end["light"], end["measured"], end["steps"]) == (
        "done",
        "green",
        True,
        24,
    )
    assert end["need_mb"] > 50
    assert end["cache"].endswith(".mhvae-cache")
    assert end["disk_free_mb"] > end["disk_mb"] >= 0
    assert end["total_seconds"] >= 24 * end["step_seconds"] > 0
    tried: list[int] = []
    step = estimating._Runner.step

    def watched(runner: estimating._Runner, tiles: int, *, adversarial: bool) -> float:
        tried.append(tiles)
        return step(runner, tiles, adversarial=adversarial)

    monkeypatch.setattr(estimating._Runner, "step", watched)
    monkeypatch.setattr(estimating, "memory_of", lambda _: Memory(1.0, 1.0))
    assert main(["estimate", str(tmp_path / "plan.json"), "--set", "data.batch=64"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("red: ")
    assert "told from steps of one and two tiles" in out
    assert max(tried) == 2


def test_both_phases_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = tiny_plan(write_cohort(tmp_path / "cohort", 3), loss__gan=1.0)
    monkeypatch.setattr(
        estimating._Runner, "timed", lambda self, steps, told, *, adversarial: 2.0 + adversarial
    )
    found = estimating.measure(tiny)
    assert (found.plain_seconds, found.adversarial_seconds) == (2.0, 3.0)


def test_memory_is_told_of_the_part_of_a_batch_that_is_held_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_plan(write_cohort(tmp_path / "cohort", 3), data__batch=8)
    steps: list[int] = []

    def step(_: object, tiles: int, *, adversarial: bool) -> float:
        steps.append(tiles)
        return 1.0

    monkeypatch.setattr(estimating._Runner, "step", step)
    monkeypatch.setattr(estimating, "peak_mb", lambda _: 100.0 + 10.0 * steps[-1])
    monkeypatch.setattr(estimating, "memory_of", lambda _: Memory(1.0, 1.0))
    whole = estimating.measure(tiny)
    assert (whole.one_mb, whole.tile_mb, whole.need_mb) == (110.0, 10.0, 180.0)
    assert not whole.whole
    assert whole.plain_seconds == 4.0  # of eight tiles, told from two
    parts = estimating.measure(tiny.override({"data.micro_batch": 3}))
    assert parts.need_mb == 130.0


def test_slices_count_that_show_enough_of_a_tile_of_any_shape(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 3)
    square = tiny_plan(cohort, data__min_fov=0.9)
    wide = replace(square, model=replace(square.model, tile=(32, 16)))
    assert estimating.count(square, lambda *_: None).epoch_steps >= 2
    with pytest.raises(TrainerError, match="shows at least 90"):
        estimating.count(wide, lambda *_: None)


def test_running_out_of_memory_is_red_and_other_errors_are_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = tiny_plan(write_cohort(tmp_path / "cohort", 3))

    def fail(*_: object, **__: object) -> float:
        raise MemoryError

    monkeypatch.setattr(estimating._Runner, "step", fail)
    found = estimating.estimate(tiny)
    assert found.light == "red"
    assert found.fixes[0].settings == {"data.micro_batch": 1}

    def break_down(*_: object, **__: object) -> float:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(estimating._Runner, "step", break_down)
    with pytest.raises(RuntimeError, match="shapes"):
        estimating.estimate(tiny)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"data.min_fov": 1.0, "model.tile": [32, 32]}, "Lower data.min_fov"),
        ({"loss.gan": 1.0, "loss.gan_layers": 3}, "at least 3x3"),
    ],
)
def test_a_plan_that_cannot_train_is_one_sentence(
    settings: dict[str, object], words: str, tmp_path: Path
) -> None:
    tiny = tiny_plan(write_cohort(tmp_path / "cohort", 3)).override(settings)
    with pytest.raises(TrainerError, match=words):
        estimating.estimate(tiny)


def test_rejected_and_unreadable_cases_do_not_count(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 5)
    tiny = tiny_plan(cohort, data__validation=0, data__test=0)
    assert estimating.count(tiny).cases == 5
    assert estimating.count(replace(tiny, exclude=("Case003",))).cases == 4
    for path in cohort.glob("*.nii.gz"):
        path.write_bytes(b"torn")
    with pytest.raises(TrainerError, match="Case004"):
        estimating.count(tiny)


def test_a_case_needs_no_pair_to_be_looked_at(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    alone = CohortCase("a", "a", {"T2": cohort / "Case000-T2.nii.gz"})
    (checked,) = check_cases([alone], BOTH, DataPlan(), pictures=True)
    assert checked.usable
    assert checked.fits == {}
    assert checked.picture is not None
