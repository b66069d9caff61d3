"""An evaluation shows the model no target, and a metric nobody thought of does not spoil it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from trainer_cohort import CONFIG, write_cohort

from core.models.bundle import Bundle, Preprocessing
from core.models.weights import build, save
from core.synthesis.backends import TorchPass
from core.volume import Voxels
from trainer.evaluation.evaluate import Evaluation, Picture, Row, evaluate
from trainer.evaluation.report import write_report


def test_the_model_sees_the_inputs_and_nothing_of_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    path = tmp_path / "m.safetensors"
    save(Bundle(CONFIG, Preprocessing()), build(CONFIG), path)
    seen: list[dict[str, Voxels]] = []
    really = TorchPass.__call__

    def watched(
        self: TorchPass, inputs: Mapping[str, Voxels], targets: Sequence[str], *rest: Any
    ) -> dict[str, Voxels]:
        seen.append(dict(inputs))
        return really(self, inputs, targets, *rest)

    monkeypatch.setattr(TorchPass, "__call__", watched)
    result = evaluate([path], write_cohort(tmp_path / "cohort", 1), max_slices=1, device="cpu")
    assert {tuple(inputs) for inputs in seen} == {("iUS",), ("T2",), ("iUS", "T2")}
    assert {(r.inputs, r.target) for r in result.rows} == {
        (inputs, target)
        for inputs in (("iUS",), ("T2",), ("iUS", "T2"))
        for target in ("iUS", "T2")
    }
    for picture in result.pictures:
        assert tuple(picture.inputs) == picture.row.inputs
        assert picture.row.reconstruction == (picture.row.target in picture.row.inputs)
    # The ultrasound is the same slices whether it is shown or compared with.
    only = [inputs["T2"] for inputs in seen if tuple(inputs) == ("T2",)]
    both = [inputs["T2"] for inputs in seen if tuple(inputs) == ("iUS", "T2")]
    for a, b in zip(only, both, strict=True):
        assert np.array_equal(a, b)


def test_a_metric_without_a_name_of_its_own_stands_in_every_report(tmp_path: Path) -> None:
    image = np.zeros((8, 8), np.float32)
    rows = [
        Row(model, f"c{n}", ("T2",), "iUS", {"psnr": 20.0 + n, "edges": 0.25 + n + gain})
        for model, gain in (("old", 0.0), ("new", 1.0))
        for n in range(9)
    ]
    bundles = {m: replace(Bundle(CONFIG), name=m) for m in ("old", "new")}
    pictures = [Picture(rows[0], image, image, {"T2": image})]
    result = Evaluation("masked", bundles, rows, pictures, [], "LPIPS not computed")
    files = write_report(result, tmp_path / "out", pair=("old", "new"))
    told = json.loads(files["json"].read_text())
    assert {s["metric"] for s in told["summaries"]} == {"psnr", "edges"}
    (change,) = [c for c in told["before_after"] if c["metric"] == "edges"]
    assert (change["before"], change["after"]) == ("4.250 (2.739)", "5.250 (2.739)")
    assert change["verdict"] == "unsure"  # nobody said which way is better
    assert "edges" in next(csv.reader(io.StringIO(files["csv"].read_text())))
    page = files["html"].read_text()
    assert page.count("<td>edges</td>") == 2  # before and after; models side by side
    assert "<th>edges</th>" in page
    assert "4.250 (2.739)" in page
