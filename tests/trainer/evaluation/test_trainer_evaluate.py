"""Evaluation: protocols against their definitions, honest statistics, safe reports."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import wilcoxon
from trainer_cohort import CONFIG, write_cohort

from core.case import Case
from core.image.metrics import psnr
from core.models.bundle import Bundle, Preprocessing
from core.models.weights import build, save
from core.synthesis.request import PreparedInput, Request, lay_out
from core.tables import safe_cell
from trainer.cohort.pairs import fewest_cases, smallest_p
from trainer.errors import TrainerError
from trainer.evaluation.authors_protocol import slice_scores, to_bytes
from trainer.evaluation.before_after import p_of
from trainer.evaluation.evaluate import Evaluation, Picture, Row, evaluate
from trainer.evaluation.report import comparisons, summaries, to_csv, write_report
from trainer.evaluation.report_html import worst
from trainer.evaluation.statistics import compare, holm, summarise
from trainer.run.learning import Learning


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    paths = []
    for seed, hierarchical in enumerate((True, False)):
        torch.manual_seed(seed)
        config = replace(CONFIG, hierarchical=hierarchical)
        paths.append(folder / f"m{seed}.safetensors")
        save(Bundle(config, Preprocessing()), build(config), paths[-1])
    return paths


def test_every_direction_of_every_case_is_scored(models: list[Path], tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 2)
    (cohort / "Case001-T2.nii.gz").unlink()
    result = evaluate(models, cohort, max_slices=2)
    first = [r for r in result.rows if r.model == "m0"]
    assert {(r.case, "+".join(r.inputs), r.target) for r in first} == {
        ("Case000", inputs, target)
        for inputs in ("iUS", "T2", "iUS+T2")
        for target in ("iUS", "T2")
    } | {("Case001", "iUS", "iUS")}
    picture = result.pictures[0]
    inside = picture.real > -1
    assert (picture.made[~inside] == -1).all()
    assert all(np.isfinite(v) for r in result.rows for v in r.scores.values())
    files = write_report(result, tmp_path / "out", data="Simulated cases.")
    told = json.loads(files["json"].read_text())
    assert told["lpips"].startswith("LPIPS not computed: no weights were given. Give torchvision's")
    assert told["lpips_weights"] is None
    assert "weights/v0.1/alex.pth" in files["html"].read_text()
    assert len(told["rows"]) == len(result.rows)
    assert all(c["p"] is None for c in told["comparisons"])
    assert {c["tested"] for c in told["comparisons"]} == {True, False}
    assert "too few cases" in files["html"].read_text()
    assert "not tested" in files["html"].read_text()


def test_only_models_that_look_at_a_case_alike_share_its_preparation(
    models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    coarse = tmp_path / "coarse.safetensors"
    save(Bundle(CONFIG, Preprocessing(spacing=(2.0, 2.0, 2.0))), build(CONFIG), coarse)
    cohort = write_cohort(tmp_path / "cohort", 1)
    seen = []

    def counted(case: Case, bundle: Bundle, request: Request) -> PreparedInput:
        seen.append(bundle.preprocessing.spacing[0])
        return lay_out(case, bundle, request)

    monkeypatch.setattr("trainer.evaluation.aligned_case.request.lay_out", counted)
    together = evaluate([*models, coarse], cohort, max_slices=2)
    assert seen == [0.5, 2.0]
    for model in (*models, coarse):
        alone = evaluate([model], cohort, max_slices=2)
        # As text: the coarse view is too small for SSIM, and nan is not itself.
        assert str(alone.rows) == str([r for r in together.rows if r.model == model.stem])


def test_nothing_to_evaluate_is_said(models: list[Path], tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    split = tmp_path / "split.json"
    split.write_text('{"training": ["Case000"], "validation": [], "test": []}')
    with pytest.raises(TrainerError, match="no test case"):
        evaluate(models[:1], cohort, split=split)


def test_authors_protocol_is_their_formula() -> None:
    """Their script, slice by slice: own range, whole image, rows as channels."""
    from skimage.metrics import structural_similarity

    random = np.random.default_rng(0)
    real = np.where(random.random((12, 16, 3)) > 0.3, random.uniform(-0.9, 1, (12, 16, 3)), -1)
    made = np.clip(real + random.normal(0, 0.1, real.shape), -1, 1)
    real[..., 2] = -1  # no foreground: skipped
    found = slice_scores(real, made)
    assert [s["slice"] for s in found] == [0, 1]
    a, b = ((x[..., 1] + 1) * 127.5 for x in (real, made))
    a, b = np.floor(a), np.floor(b)
    span = a.max() - a.min()
    expected = 10 * np.log10(span**2 / ((a - b) ** 2).mean())
    assert found[1]["psnr"] == pytest.approx(expected, abs=1e-9)
    rows = [structural_similarity(x, y, data_range=span) for x, y in zip(a, b, strict=True)]
    assert found[1]["ssim"] == pytest.approx(np.mean(rows), abs=1e-9)
    assert to_bytes(np.array([-1.0, 1.0, 0.0])).tolist() == [0, 255, 127]


def test_statistics() -> None:
    random = np.random.default_rng(0)
    a = random.normal(20, 1, 12)
    b = a + random.normal(0.5, 0.1, 12)
    contest = compare(("a", "b"), a, b)
    assert contest.p == pytest.approx(float(wilcoxon(a, b).pvalue))
    assert contest.low < contest.difference < contest.high < 0
    assert compare(("few",), a[:7], b[:7]).p is None
    assert compare(("same",), a, a).p == 1.0
    three = [replace(contest, p=p) for p in (0.04, 0.01, 0.03)] + [replace(contest, p=None)]
    assert [c.p_holm for c in holm(three)] == [pytest.approx(v) for v in (0.06, 0.03, 0.06)] + [
        None
    ]
    assert [c.smallest for c in holm(three)] == [3 * 2 / 2**12] * 4
    untested = compare(("copied",), a, b, tested=False)
    assert (untested.p, untested.difference) == (None, contest.difference)
    (only, left_out) = holm([contest, untested])
    assert (only.p_holm, left_out.p_holm, left_out.smallest) == (contest.p, None, None)
    for n in range(1, 13):  # the smallest p there is: all cases differ the same way
        assert smallest_p(n) == pytest.approx(float(wilcoxon(np.arange(1, n + 1)).pvalue))
    assert smallest_p(3, 9) == 1.0
    assert [fewest_cases(tests) for tests in (1, 6, 7, 8, 12, 13, 80)] == [8, 8, 9, 9, 9, 10, 12]
    for tests in range(1, 200):
        needed = fewest_cases(tests)
        assert smallest_p(needed, tests) < 0.05
        assert needed == 8 or smallest_p(needed - 1, tests) >= 0.05
    barely = holm([replace(contest, cases=8, p=p) for p in (0.01, *[0.5] * 9)])[0]
    assert p_of(barely) == "0.1; smallest possible 0.078"
    assert p_of(only) == f"{contest.p:.2g}"
    summary = summarise([*a, float("nan")])
    assert summary.cases == 12
    assert summary.mean == pytest.approx(a.mean())
    assert summary.low < summary.mean < summary.high
    many = random.normal(3, 2, 400)
    half = 1.96 * many.std(ddof=1) / 20
    wide = summarise(many)
    assert (wide.low, wide.high) == pytest.approx((wide.mean - half, wide.mean + half), abs=0.03)
    assert (summarise(many), summarise(many, 1) == wide) == (wide, False)
    one = summarise([2.5])
    assert (one.cases, one.sd) == (1, 0.0)
    assert np.isnan(one.low)
    assert np.isnan(one.high)  # one case says nothing of others


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [v or "" for k, v in attrs if k in ("src", "href")]


def test_reports_run_nothing(tmp_path: Path) -> None:
    evil = "=cmd|' /C calc'!A0<script>alert(1)</script>"
    row = Row(evil, "@SUM(A1)", ("T2",), "iUS", {"psnr": 20.0, "ssim": float("nan")})
    image = np.zeros((8, 8), np.float32)
    pictures = [Picture(row, image, image, {"T2": image})]
    result = Evaluation("masked", {}, [row], pictures, [f"{evil}: broken"], "LPIPS not computed")
    files = write_report(result, tmp_path / "out")
    page = _Tags()
    page.feed(files["html"].read_text())
    assert "script" not in page.tags
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    for line in csv.reader(io.StringIO(files["csv"].read_text())):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for cell in line)
    assert "NaN" not in files["json"].read_text()
    assert safe_cell("Case012") == "Case012"
    with pytest.raises(TrainerError, match="cannot be written"):
        write_report(result, files["csv"] / "below")


def test_worst_cases_come_first_and_models_are_compared_in_pairs() -> None:
    image = np.zeros((2, 2), np.float32)
    rows = [
        Row(model, f"c{n}", ("T2",), "iUS", {"psnr": 20.0 + n + (model == "b")})
        for model in ("a", "b")
        for n in range(9)
    ]
    shown = worst([Picture(r, image, image) for r in rows], 2)
    assert [p.row.case for p in shown] == ["c0", "c1"] * 2
    bundles = {m: Bundle(CONFIG) for m in ("a", "b")}
    (contest,) = comparisons(Evaluation("masked", bundles, rows, [], [], ""))
    assert contest.difference == pytest.approx(-1)
    assert contest.p_holm is not None
    assert contest.p_holm < 0.01
    assert summaries(rows)["a", ("T2",), "iUS", "psnr"].mean == 24
    assert to_csv(rows).count("\n") == 19


def test_masked_scores_are_the_house_metrics(models: list[Path], tmp_path: Path) -> None:
    result = evaluate(models[:1], write_cohort(tmp_path / "cohort", 1), max_slices=1)
    picture = result.pictures[0]
    mask = picture.real > -1
    expected = psnr(picture.real, picture.made, mask)
    assert picture.row.scores["psnr"] == pytest.approx(expected)


def test_last_weights_stand_beside_the_best_and_change_no_other_comparison(tmp_path: Path) -> None:
    rows = [
        Row(model, f"c{n}", ("T2",), "iUS", {"psnr": 20 + n + gain, "mae": 0.5 - 0.1 * gain})
        for model, gain in (("old", 0.0), ("new", 1.0), ("new, last step", 0.5 + 0.01))
        for n in range(9)
    ]
    image = np.zeros((8, 8), np.float32)
    pictures = [Picture(row, image, image, {"T2": image}) for row in rows]
    chosen = {"step": 2, "chosen": "step 2, the best of 5 validations"}
    cards: tuple[dict[str, Any], ...] = ({}, {"training": chosen}, {"training": {"step": 9}})
    bundles = {m: Bundle(CONFIG, card=c) for m, c in zip(
        ("old", "new", "new, last step"), cards, strict=True)}  # fmt: skip
    result = Evaluation("masked", bundles, rows, pictures, [], "LPIPS not computed")
    learning = Learning((0, 2, 5, 7, 9), (10, 12, 11.5, 11.4, 11.3), (10, 12, 13, 14, 15), 2)
    files = write_report(
        result, tmp_path / "out", pair=("old", "new"), ends=("new", "new, last step"),
        learning=learning,
    )  # fmt: skip
    told = json.loads(files["json"].read_text())
    plain = Evaluation(
        "masked", bundles, [r for r in rows if "last" not in r.model], pictures[:18], [], ""
    )
    without = write_report(plain, tmp_path / "plain", pair=("old", "new"))
    alone = json.loads(without["json"].read_text())
    assert told["before_after"] == alone["before_after"]  # the same correction, so the same p
    assert told["comparisons"] == alone["comparisons"]
    assert told["pictures"] == alone["pictures"]
    psnr, mae = told["best_last"]
    assert (psnr["best"], psnr["last"]) == ("25.00 (2.74)", "24.51 (2.74)")
    assert psnr["difference"].startswith("-0.49 (-0.49")
    assert mae["difference"].startswith("+2.45")
    steps = "Delivered is step 2, the best of 5 validations; the run ended at step 9."
    assert told["best_last_steps"] == steps
    page = files["html"].read_text()
    assert "Best and last weights" in page
    assert steps in page
    assert "Overfitting: since step 2 training slices went from 12.00 to 15.00" in page
    picture = Image.open(tmp_path / "out" / told["learning"]["file"]).convert("RGB")
    colours = {c for _, c in picture.getcolors(1 << 20) or []}
    assert {(0x3B, 0x8A, 0xD8), (0xE0, 0x90, 0x2F)} <= colours  # both curves
    assert alone["best_last"] == []
    assert alone["learning"] is None


def test_before_and_after_are_one_table_in_page_and_json(tmp_path: Path) -> None:
    image = np.zeros((8, 8), np.float32)
    rows = [
        Row(model, f"c{n}", inputs, "iUS", {"psnr": 20 + n + gain, "mae": 0.5 - 0.1 * gain})
        for model, gain in (("old", 0.0), ("new", 1.0))
        for inputs in (("T2",), ("iUS",))
        for n in range(9)
    ]
    bundles = {m: Bundle(CONFIG) for m in ("old", "new")}
    pictures = [Picture(rows[0], image, image, {"T2": image})]
    result = Evaluation("masked", bundles, rows, pictures, [], "LPIPS not computed")
    files = write_report(result, tmp_path / "out", pair=("old", "new"))
    told = json.loads(files["json"].read_text())
    assert told["pair"] == {"before": "old", "after": "new"}
    first, second, *_ = told["before_after"]
    assert first["direction"] == "T2 → iUS"
    assert (first["before"], first["after"]) == ("24.00 (2.74)", "25.00 (2.74)")
    assert first["change"].startswith("+1.00 (+1.00")
    assert first["verdict"] == "better"
    assert second["metric"].startswith("MAE")
    assert second["verdict"] == "better"  # lower is better
    assert [c["reconstruction"] for c in told["before_after"]] == [False, False, True, True]
    assert "Before and after" in files["html"].read_text()
    assert (tmp_path / "out" / told["pictures"][0]["file"]).read_bytes()[:4] == b"\x89PNG"
    assert told["verdicts"] == [
        "iUS made from T2: better than before, by PSNR 24.00 to 25.00, p = 0.0078, "
        "MAE 25.00 to 20.00, p = 0.0078 (9 cases)."
    ]
    assert "better than before" in files["html"].read_text()
    few = Evaluation("masked", bundles, [r for r in rows if r.case < "c4"], [], [], "")
    files = write_report(few, tmp_path / "out", pair=("old", "new"))
    told = json.loads(files["json"].read_text())
    assert told["before_after"][0]["p"] == "too few cases (4 of 8); smallest possible 0.25"
    assert told["before_after"][2]["p"] == "not tested"
    assert told["before_after"][0]["verdict"] == "unsure"
    assert told["verdicts"] == [
        "iUS made from T2: cannot be told with 4 cases (the smallest possible p is 0.25); at "
        "least 8 are needed to show any difference."
    ]
    one = Evaluation("masked", bundles, [r for r in rows if r.case == "c1"], [], [], "")
    files = write_report(one, tmp_path / "out", pair=("old", "new"))
    (alone, *_) = json.loads(files["json"].read_text())["before_after"]
    assert alone["change"] == "+1.00 (one case)"
    assert (alone["before"], alone["after"]) == ("21.00", "22.00")  # one case has no spread
    assert not list((tmp_path / "out").glob("worst-*.png"))
