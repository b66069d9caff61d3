"""The paper's table: who is best, by what test, and what the files say of it."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trainer_cohort import tiny_plan, write_cohort

from core.models.bundle import Bundle
from core.models.mhvae.config import MHVAEConfig
from core.models.unet.config import UNetConfig
from trainer.__main__ import main
from trainer.commands.rows import TableRow, chosen
from trainer.commands.table1 import rows_for
from trainer.errors import TrainerError
from trainer.evaluation.costs import Cost
from trainer.evaluation.evaluate import Evaluation, Picture, Row
from trainer.evaluation.figure import CELL, figure
from trainer.evaluation.table import Table, table_of
from trainer.evaluation.table_files import write_table1
from trainer.run.folder import read_events

TILE = (16, 16)
BUNDLES = {
    "mine": Bundle(MHVAEConfig(tile=TILE, pools=2)),
    "other": Bundle(MHVAEConfig(tile=TILE, pools=2)),
    "unet-iUS": Bundle(UNetConfig(tile=TILE, pools=2)),
}
TITLES = {"mine": "MHVAE (λ_GAN = 1)", "other": "ResViT", "unet-iUS": "U-Net → iUS"}


def evaluation(cases: int = 12, gap: float = 1.0) -> Evaluation:
    """Scores in which ``mine`` beats the others at iUS by ``gap`` dB in every case."""
    random = np.random.default_rng(0)
    rows = []
    for n in range(cases):
        hard = float(random.normal(0, 3))
        for model, better in (("mine", gap), ("other", 0.0), ("unet-iUS", -0.2)):
            for inputs in (("T2",), ("iUS",), ("iUS", "T2")):
                for target in ("iUS", "T2"):
                    if model == "unet-iUS" and (inputs, target) != (("T2",), "iUS"):
                        continue
                    value = 20 + hard + better + float(random.normal(0, 0.05))
                    scores = {"psnr": value, "ssim": 0.5 + better / 100 + hard / 50, "mae": 0.1}
                    rows.append(Row(model, f"C{n:02d}", inputs, target, scores))
    return Evaluation("masked", BUNDLES, rows, [], [], "LPIPS not computed")


def line(table: Table, model: str, inputs: tuple[str, ...]) -> dict[tuple[str, str], str]:
    (found,) = (x for x in table.lines if (x.model, x.inputs) == (model, inputs))
    return {
        k: s.text + "!" * s.best + "*" * s.star + "~" * s.given for k, s in found.scores.items()
    }


def test_the_best_is_marked_and_starred_where_a_test_says_so() -> None:
    table = table_of(evaluation())
    assert [x.inputs for x in table.lines] == ([("iUS", "T2")] * 2 + [("T2",)] * 3 + [("iUS",)] * 2)
    best, second = line(table, "mine", ("T2",)), line(table, "other", ("T2",))
    assert best["iUS", "psnr"].endswith("!*")
    assert second["iUS", "psnr"].endswith(")")
    assert re.fullmatch(r"\d\d\.\d\d \(\d\.\d\d\)", second["iUS", "psnr"])
    assert best["T2", "psnr"].endswith("~")  # an input: no synthesis, however good
    assert best["iUS", "lpips"] == "–"
    assert line(table, "unet-iUS", ("T2",))["T2", "psnr"] == "×"
    assert not any("!" in x or "*" in x for x in line(table, "mine", ("iUS", "T2")).values())
    compared = {c.label for c in table.contests}
    assert ("mine", "unet-iUS", "T2", "iUS", "psnr") in compared
    assert ("mine", "other", "iUS", "T2", "ssim") in compared
    assert len(compared) == 6  # two others at iUS, one at T2, of two metrics
    assert all(c.label[3] not in c.label[2] for c in table.contests)


def test_no_star_for_what_chance_explains_and_a_word_where_none_could_be() -> None:
    same = table_of(evaluation(gap=0.0))
    assert not any("*" in text for text in line(same, "mine", ("T2",)).values())
    assert same.notes == []
    few = table_of(evaluation(cases=5))
    assert not any("*" in text for text in line(few, "mine", ("T2",)).values())
    assert "smallest p" in few.notes[0]
    one = line(table_of(evaluation(cases=1)), "mine", ("T2",))["iUS", "psnr"]
    assert re.fullmatch(r"\d\d\.\d\d!", one)  # no spread of one case


def test_a_star_needs_a_win_over_each_of_the_others() -> None:
    """Better than one and no different from the other is no star."""
    found = evaluation()
    rows = [
        replace(r, scores={**r.scores, "psnr": r.scores["psnr"] + 1.19}) if r.model == "unet-iUS"
        else r for r in found.rows
    ]  # fmt: skip
    assert "*" not in "".join(
        line(table_of(replace(found, rows=rows)), m, ("T2",))["iUS", "psnr"]
        for m in ("mine", "unet-iUS")
    )


def test_the_files_say_the_same(tmp_path: Path) -> None:
    table = table_of(evaluation())
    costs = {m: Cost(1_500_000, 2 * 10**9, TILE, 0.0123, 300, 4000.0) for m in BUNDLES}
    files = write_table1(table, costs, TITLES, b"png", tmp_path / "out", ["About <b>us</b>."])
    page = files["html"].read_text()
    assert "About &lt;b&gt;us&lt;/b&gt;." in page
    assert "●" in page
    assert "1.50 M" in page
    assert "1.1 h" in page
    assert page.count("<b>") >= 3
    with files["csv"].open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(table.lines)
    mine = next(r for r in rows if (r["model"], r["inputs"]) == (TITLES["mine"], "T2"))
    text = line(table, "mine", ("T2",))["iUS", "psnr"].replace("!", "")
    assert mine["iUS psnr"] == text
    assert (mine["steps"], mine["training seconds"]) == ("300", "4000")
    tex = files["tex"].read_text()
    assert r"MHVAE ($\lambda$\_GAN = 1)" in tex
    mean, spread = text.removesuffix("*").split(" ")
    assert rf"\textbf{{{mean}*}} {spread}" in tex
    assert r"$\times$" in tex
    assert tex.count(r"\\") == len(table.lines) + 2
    columns = tex.splitlines()[0].count("r", len(r"\begin{tabular}"))
    assert columns == 6
    assert files["png"].read_bytes() == b"png"
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainerError, match="cannot be written"):
        write_table1(table, costs, TITLES, b"", tmp_path / "file" / "out", [])


def test_the_figure_has_a_row_per_case_and_a_frame_around_what_is_synthetic() -> None:
    def picture(model: str, case: str) -> Picture:
        image = np.full((20, 30), 0.5, np.float32)
        return Picture(Row(model, case, ("T2",), "iUS", {}), image, image, {"T2": image})

    pictures = [picture(m, f"C{n}") for m in BUNDLES for n in range(4)]
    pictures.append(replace(pictures[0], row=replace(pictures[0].row, target="T2")))
    sheet = np.asarray(Image.open(io.BytesIO(figure(pictures, TITLES))))
    height, width = sheet.shape[:2]
    assert width == 5 * CELL  # input, truth, three models
    assert 2 * CELL < height < 3 * CELL
    frames = (sheet[40:CELL] == (255, 145, 20)).all(axis=2).any(axis=0).nonzero()[0]
    assert frames.min() >= 2 * CELL
    assert frames.max() > 4 * CELL


def test_rows_by_name() -> None:
    rows = rows_for(("iUS", "T2"))
    assert len(rows) == 10
    assert [r.name for r in chosen(rows, "mhvae-gan0, pix2pix-iUS")] == [
        "pix2pix-iUS",
        "mhvae-gan0",
    ]
    assert chosen(rows, "") == rows
    assert TableRow("mhvae", gan=1.0).title == "MHVAE (λ_GAN = 1)"
    with pytest.raises(TrainerError, match="no row called diffusion"):
        chosen(rows, "diffusion")


def test_the_command_is_resumed_and_ends_with_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    cohort = write_cohort(tmp_path / "cohort")
    plan = tmp_path / "plan.json"
    tiny_plan(cohort).save(plan)
    words = ["table1", str(plan), "--rows", "unet-T2,mvae-gan0", "--set", "model.pools=2",
             "--steps", "3", "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(words) == 0
    out = tmp_path / "out"
    assert {p.name for p in out.iterdir()} == {"unet-T2", "mvae-gan0", "table1"}
    splits = {(out / run / "split.json").read_text() for run in ("unet-T2", "mvae-gan0")}
    assert len(splits) == 1
    page = (out / "table1" / "table1.html").read_text()
    assert "Every model was trained for the same number of steps." in page
    assert "U-Net → T2" in page
    before = len(read_events(out / "unet-T2"))
    (out / "table1" / "table1.html").unlink()
    assert main(words) == 0  # nothing is trained twice, the table is written again
    assert len(read_events(out / "unet-T2")) == before
    assert (out / "table1" / "table1.csv").is_file()
    capsys.readouterr()
    assert main([*words, "--rows", "diffusion"]) == 2
    assert main([*words[:-4], "--steps", "0", *words[-2:]]) == 2
    told = capsys.readouterr().err
    assert "no row called diffusion" in told
    assert "--steps must be above 0" in told
