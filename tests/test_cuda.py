"""The engine and the trainer on an NVIDIA GPU; skipped where there is none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from trainer_cohort import CONFIG, tiny_plan, write_cohort

from core.case import Case
from core.io import read
from core.models.bundle import Bundle, Preprocessing
from core.models.weights import build
from core.synthesis.request import Request, prepare_input
from core.synthesis.synthesize import Engine
from trainer.loop.loop import train
from trainer.loop.prefetch import drawing_processes

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def test_a_volume_comes_out_as_on_the_cpu(tmp_path: Path) -> None:
    write_cohort(tmp_path, 1)
    case = Case("one", {"T2": read(tmp_path / "Case000-T2.nii.gz")})
    torch.manual_seed(0)
    model = build(CONFIG)
    bundle = Bundle(CONFIG, Preprocessing((0.5, 0.5, 0.5)))
    request = Request(("T2",), ("iUS",), fov="whole")
    images = {}
    for device in ("cpu", "cuda"):
        prepared = prepare_input(case, bundle, request)
        images[device] = Engine(model, bundle, device).run(case, prepared, request)
    cpu, cuda = (images[d].volumes["iUS"].voxels for d in ("cpu", "cuda"))
    assert np.ptp(cpu) > 1
    assert np.abs(cpu - cuda).max() < 1  # of 255; TensorFloat-32 keeps ten bits


@pytest.mark.parametrize("amp", [False, True])
def test_a_run_trains_on_tiles_that_processes_draw(tmp_path: Path, amp: bool) -> None:
    settings = {"device": "cuda", "threads": 0, "optimiser__amp": amp, "loss__gan": 1.0}
    plan = tiny_plan(write_cohort(tmp_path / "cohort"), **settings, loss__gan_start=0.5)
    assert drawing_processes(torch.device("cuda"), 1) > 0
    outcome = train(plan, tmp_path / "run", say=lambda _: None)
    assert outcome.state == "finished"
    assert outcome.step == 24
    lines = (tmp_path / "run" / "events.jsonl").read_text().splitlines()
    losses = [e["loss"] for e in map(json.loads, lines) if e["event"] == "step"]
    assert np.isfinite(losses).all()
