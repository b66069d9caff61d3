"""What a run is made of: batches cut anyhow, held-out validation, its pictures, how it stops."""

from __future__ import annotations

import os
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from trainer_cohort import tiny_plan, write_cohort

from core.models.slicing import Slicing
from trainer.errors import TrainerError
from trainer.loop.loop import _Signals
from trainer.loop.order import SliceOrder
from trainer.loop.session import BAD_STEPS, Session
from trainer.loop.tiles import Batch, fixed_tiles
from trainer.loop.validate import preview
from trainer.plan.schema import DataPlan, Plan
from trainer.run.folder import RunFolder


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_cohort(tmp_path_factory.mktemp("data") / "cohort")


def session_of(plan: Plan, run: Path) -> Session:
    with RunFolder.create(run, plan) as folder:
        return Session(plan, folder, lambda _: None)


def gradients(plan: Plan, run: Path) -> dict[str, torch.Tensor]:
    session = session_of(plan, run)
    session.train_step(session.batches())
    found = {name: p.grad for name, p in session.model.named_parameters()}
    return {name: gradient.clone() for name, gradient in found.items() if gradient is not None}


def test_a_batch_in_parts_teaches_what_the_whole_teaches(cohort: Path, tmp_path: Path) -> None:
    plan = tiny_plan(cohort, data__batch=5, loss__gan=0.0, optimiser__clip=0.0)
    whole = gradients(plan, tmp_path / "whole")
    parts = gradients(plan.override({"data.micro_batch": 2}), tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(parts[name], gradient, rtol=1e-3, atol=1e-3 * scale + 1e-4)


def test_validation_looks_at_held_out_cases_alone(cohort: Path, tmp_path: Path) -> None:
    plan = tiny_plan(cohort)
    session = session_of(plan, tmp_path / "run")
    data = session.data
    assert session.tiles is not None
    assert session.seen is not None
    assert data.held_out
    training = {case.id for case in data.sampler.cases}
    assert training == set(data.split["training"])
    assert not training & set(data.split["validation"] + data.split["test"])
    seen = fixed_tiles([c for c in data.sampler.cases if c.paired], plan, 2)
    assert seen is not None
    assert torch.equal(session.seen.images["T2"], seen.images["T2"].float())
    assert not torch.equal(session.tiles.images["T2"], session.seen.images["T2"])


@pytest.mark.parametrize("side", [16, 86, 96, 192])
def test_a_previews_mark_is_whole_however_narrow(
    tmp_path: Path, side: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = {m: torch.zeros(1, 1, side, side) for m in ("iUS", "T2")}
    batch = Batch(images, torch.ones(1, 1, side, side), {m: torch.ones(1) > 0 for m in images})
    written: list[tuple[float, str]] = []
    draw = ImageDraw.ImageDraw

    def text(self: ImageDraw.ImageDraw, at: tuple[int, int], words: str, fill: int) -> None:
        written.append((at[0] + draw.textlength(self, words), words))

    monkeypatch.setattr(draw, "text", text)
    path = tmp_path / "p.png"
    preview(batch, {("T2",): {"iUS": images["T2"]}}, 1, path, "step 10000", Slicing("RAS"))
    end, words = written[0]
    with Image.open(path) as sheet:
        assert end <= sheet.width
    assert "SYNTHETIC" in words
    assert "research use only" in words


def test_a_preview_shows_each_image_where_its_title_is(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    images = {m: torch.rand(3, 1, 16, 16, generator=generator) * 2 - 1 for m in ("iUS", "T2")}
    batch = Batch(images, torch.ones(3, 1, 16, 16), {m: torch.ones(3) > 0 for m in images})
    made = -images["T2"]
    preview(batch, {("T2",): {"iUS": made}}, 2, tmp_path / "p.png", "step 1", Slicing("RAS"))
    sheet = np.asarray(Image.open(tmp_path / "p.png")).astype(int)
    zoom, top = 8, 28
    assert sheet.shape == (top + 2 * 16 * zoom, 3 * 16 * zoom)
    for column, shown in enumerate((images["iUS"], images["T2"], made)):
        for row in range(2):
            there = sheet[top + row * 128 :, column * 128 :][:128:zoom, :128:zoom]
            wanted = np.rot90(np.rint((shown[row, 0].numpy() + 1) * 127.5))
            assert np.abs(there - wanted).max() <= 1
    for column in range(3):
        assert sheet[14:28, column * 128 : (column + 1) * 128].max() > 100  # its title


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_asks_a_run_to_stop_and_nothing_more(sent: signal.Signals) -> None:
    before = signal.getsignal(sent)
    with _Signals() as signals:
        assert not signals.stop
        os.kill(os.getpid(), sent)
        assert signals.stop
    assert signal.getsignal(sent) is before


def test_a_run_ends_when_steps_in_a_row_have_no_finite_gradients(
    cohort: Path, tmp_path: Path
) -> None:
    session = session_of(tiny_plan(cohort), tmp_path / "run")
    for _ in range(BAD_STEPS - 1):
        session._refuse_step()
    with pytest.raises(TrainerError, match=f"{BAD_STEPS} steps in a row"):
        session._refuse_step()


def test_neighbours_are_slices_of_one_case_in_their_order() -> None:
    plan = Plan()
    plan = replace(plan, data=replace(plan.data, neighbours=True, batch=3, even_cases=True))
    order = SliceOrder([(0, k) for k in (2, 3, 5, 8, 9)] + [(1, k) for k in (4, 6)], plan)
    seen = set()
    for step in range(40):
        rows = [order.at(step, row) for row in range(3)]
        assert len({case for case, _ in rows}) == 1
        slices = [k for _, k in rows]
        if rows[0][0] == 1:
            assert slices == [4, 6, 6]
        else:
            assert slices in ([2, 3, 5], [3, 5, 8], [5, 8, 9])
            seen.add(slices[0])
    assert seen == {2, 3, 5}


def counts(order: SliceOrder, rows: int, batch: int) -> Counter[tuple[int, int]]:
    return Counter(order.at(n // batch, n % batch) for n in range(rows))


def test_scans_without_a_partner_do_not_crowd_out_the_pairs() -> None:
    slices = [(case, k) for case in range(10) for k in range(6)]
    plan = Plan(data=DataPlan(batch=4, even_cases=True))
    pairs = {0: 3, 1: 3, **dict.fromkeys(range(2, 10), 1)}
    order = SliceOrder(slices, plan, [50] * 60, pairs, 3)
    # In three rounds a pair comes three times and each of eight lone scans once: 14 tiles.
    by_case: Counter[int] = Counter()
    for (case, _), times in counts(order, 14 * 12, 4).items():
        by_case[case] += times
    assert by_case == {case: 36 if case < 2 else 12 for case in range(10)}
    for three in range(12):  # and in every three rounds, not only in the end
        seen = Counter(order.at(n // 4, n % 4)[0] for n in range(14 * three, 14 * three + 14))
        assert seen == {case: 3 if case < 2 else 1 for case in range(10)}
    alike = SliceOrder(slices, plan.override({"data.by_content": False}), [50] * 60, pairs, 3)
    assert set(Counter(case for case, _ in counts(alike, 100, 4).elements()).values()) == {10}
    # A cohort of pairs alone, with views alike, is dealt as it was before.
    whole = SliceOrder(slices, plan, [50] * 60, dict.fromkeys(range(10), 3), 3)
    plain = SliceOrder(slices, plan.override({"data.by_content": False}))
    assert all(whole.at(s, r) == plain.at(s, r) for s in range(60) for r in range(4))


def test_slices_come_as_often_as_they_show_field_of_view() -> None:
    views = [10, 20, 40, 40, 30, 20]
    plan = Plan(data=DataPlan(batch=3, even_cases=True))
    order = SliceOrder([(0, k) for k in range(6)], plan, views)
    found = counts(order, 6 * 160, 3)
    for k, view in enumerate(views):
        assert found[0, k] / (6 * 160) == pytest.approx(view / sum(views), rel=0.1)
    for time in range(160):  # never far from it: a slice's share of six, rounded up or down
        seen = Counter(order.at(n // 3, n % 3)[1] for n in range(6 * time, 6 * time + 6))
        assert sum(seen.values()) == 6
        assert all(abs(seen[k] - 6 * view / sum(views)) < 1 for k, view in enumerate(views))
    again = SliceOrder([(0, k) for k in range(6)], plan, views)
    assert [again.at(99, r) for r in range(3)] == [order.at(99, r) for r in range(3)]


def test_three_modalities_deal_by_their_subsets() -> None:
    plan = Plan(data=DataPlan(batch=4, even_cases=True))
    order = SliceOrder([(c, 0) for c in range(3)], plan, [1, 1, 1], {0: 7, 1: 3, 2: 1}, 7)
    seen = Counter(order.at(n // 4, n % 4)[0] for n in range(11 * 5))
    assert seen == {0: 35, 1: 15, 2: 5}
