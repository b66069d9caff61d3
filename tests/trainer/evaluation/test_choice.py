"""A run is scored on what it held out, unless told otherwise; and says when that is not so."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trainer_cohort import CONFIG, tiny_plan

import trainer.evaluation.evaluate
from core.lpips.layouts import HOW, NOT_COMPUTED
from core.lpips.weights import Weights
from core.models.bundle import Bundle
from trainer.commands import evaluate as command
from trainer.errors import TrainerError
from trainer.evaluation.choice import choose
from trainer.evaluation.evaluate import Evaluation, Picture, Row
from trainer.evaluation.report import cautions, comparisons, to_csv, write_report
from trainer.evaluation.report_html import caption_of


def make_run(folder: Path, cohort: Path, test: list[str], *, model: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"kind": "mhvae-studio run", "version": 1}))
    tiny_plan(cohort).save(folder / "plan.json")
    split = {"training": ["a"], "validation": ["b", "c"], "test": test}
    (folder / "split.json").write_text(json.dumps(split))
    if model:
        (folder / "model.safetensors").write_bytes(b"")
    return folder


@pytest.fixture
def cohort(tmp_path: Path) -> Path:
    (tmp_path / "cohort").mkdir()
    return tmp_path / "cohort"


def test_a_run_alone_is_scored_on_its_own_test_cases(cohort: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", cohort, ["d", "e"])
    found = choose([run])
    assert found.models == (run / "model.safetensors",)
    assert (found.cohort, found.part, found.ids) == (cohort, "test", frozenset({"d", "e"}))
    assert found.told == "Only the test cases of run."
    # The same when its cohort is named, in another spelling, or its model file.
    for models in ([run], [run / "model.safetensors"]):
        assert choose(models, cohort / ".." / "cohort").ids == frozenset({"d", "e"})


def test_told_otherwise_it_does_otherwise_and_says_so(cohort: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", cohort, ["d", "e"])
    everything = choose([run], part="all")
    assert everything.ids is None
    assert everything.told == "All cases, also those run was trained on."
    seen = choose([run], part="validation")
    assert seen.ids == frozenset({"b", "c"})
    assert seen.told == (
        "Only the validation cases of run. The training looked at them: this says nothing of other "
        "patients."
    )
    elsewhere = choose([run], tmp_path / "other")
    assert (elsewhere.ids, elsewhere.told) == (None, "")
    other = make_run(tmp_path / "second", tmp_path / "gone", ["z"])
    assert choose([run], tmp_path / "other", test_of=other).ids == frozenset({"z"})
    assert choose([run], test_of=other).ids == frozenset({"z"})
    plain = tmp_path / "plain.safetensors"
    assert choose([plain], cohort).ids is None


def test_of_several_runs_only_what_all_held_out_is_scored(cohort: Path, tmp_path: Path) -> None:
    one = make_run(tmp_path / "one", cohort, ["d", "e"])
    other = make_run(tmp_path / "other", cohort, ["e", "f"])
    elsewhere = make_run(tmp_path / "third", tmp_path / "x", ["z"])
    found = choose([one, other, elsewhere])
    assert found.ids == frozenset({"e"})
    assert found.told == "Only the test cases of one and other."
    apart = make_run(tmp_path / "apart", cohort, ["g"])
    with pytest.raises(TrainerError, match="one and apart: there is no test case that all of"):
        choose([one, apart])


def test_what_cannot_be_chosen_is_said(cohort: Path, tmp_path: Path) -> None:
    none = make_run(tmp_path / "none", cohort, [])
    with pytest.raises(TrainerError, match="there is no test case in its split; nothing to"):
        choose([none])
    plain = tmp_path / "plain.safetensors"
    with pytest.raises(TrainerError, match=r"plain\.safetensors is no run, so it knows no cases"):
        choose([plain])
    with pytest.raises(TrainerError, match="so it has no test cases; name the run with --test-of"):
        choose([plain], cohort, part="test")
    fresh = make_run(tmp_path / "fresh", cohort, ["d"], model=False)
    with pytest.raises(TrainerError, match=r"fresh has no model\.safetensors yet"):
        choose([fresh])
    (none / "split.json").unlink()
    with pytest.raises(TrainerError, match=r"none has no split\.json"):
        choose([none])
    moved = make_run(tmp_path / "moved", tmp_path / "gone", ["d"])
    with pytest.raises(TrainerError, match="cases of moved are no longer where its plan says"):
        choose([moved])


# ---- the command


def ran(monkeypatch: pytest.MonkeyPatch, *words: object) -> dict[str, Any]:
    """Run ``evaluate`` with the scoring replaced; return what it was asked to score."""
    import argparse

    asked: dict[str, Any] = {}

    def score(models: tuple[Path, ...], cohort: Path, **rest: Any) -> Evaluation:
        asked.update(rest, models=models, cohort=cohort)
        row = Row("m", "d", ("T2",), "iUS", {"psnr": 20.0})
        chosen = rest["only"].told
        return Evaluation(
            "masked", {"m": Bundle(CONFIG)}, [row], [], [], NOT_COMPUTED, chosen=chosen
        )

    monkeypatch.setattr(trainer.evaluation.evaluate, "evaluate", score)
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    assert command.run(parser.parse_args([str(word) for word in words])) == 0
    return asked


def test_evaluate_run_needs_nothing_else(
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = make_run(tmp_path / "run", cohort, ["d", "e"])
    asked = ran(monkeypatch, run)
    assert asked["models"] == (run / "model.safetensors",)
    assert asked["cohort"] == cohort
    assert asked["only"].ids == frozenset({"d", "e"})
    assert asked["lpips"] == []
    told = json.loads((run / "report" / "report.json").read_text())
    assert told["cautions"] == ["Only the test cases of run."]
    assert "Only the test cases of run." in (run / "report" / "report.html").read_text()
    printed = capsys.readouterr().out
    assert "Only the test cases of run.\nLPIPS not computed.\n" in printed
    asked = ran(monkeypatch, run, "--cases", "all", "--out", tmp_path / "other")
    assert asked["only"].ids is None
    asked = ran(monkeypatch, cohort, "--model", run, "--out", tmp_path / "third")
    assert asked["only"].ids == frozenset({"d", "e"})
    for option in ("--lpips-weights", "--weights", "--lpips"):
        asked = ran(monkeypatch, run, option, "b.pth", option, "h.pth")
        assert asked["lpips"] == [Path("b.pth"), Path("h.pth")]
    before = make_run(tmp_path / "before", tmp_path / "x", ["q"])
    asked = ran(monkeypatch, run, "--before", before)
    assert asked["models"] == (before / "model.safetensors", run / "model.safetensors")
    assert asked["only"].ids == frozenset({"d", "e"})


def test_evaluate_says_what_is_missing(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path / "run", cohort, ["d"])
    for words, told in (
        ((cohort,), "cohort is no run; say with --model"),
        ((cohort, "--model", run), "Say with --out"),
        ((cohort, "--model", run, "--cohort", cohort, "--out", run), "give the cohort once"),
        ((run, "--model", run, "--before", run), "compares with one model"),
    ):
        with pytest.raises(TrainerError, match=told):
            ran(monkeypatch, *words)


# ---- the report


def an_evaluation(cases: int, seen: int = 0) -> Evaluation:
    rows = [
        Row(model, f"c{n}", inputs, "iUS", {"psnr": 20.0 + n + gain}, model == "new" and n < seen)
        for model, gain in (("old", 0.0), ("new", 1.0))
        for inputs in (("T2",), ("T2", "iUS"))
        for n in range(cases)
    ]
    image = np.zeros((8, 8), np.float32)
    bundles = {m: replace(Bundle(CONFIG), name=m) for m in ("old", "new")}
    return Evaluation("masked", bundles, rows, [Picture(rows[0], image, image)], [], "")


def test_a_reconstruction_is_no_hypothesis() -> None:
    """Eight cases, one missing target: p stays what it is, whatever is reconstructed beside it."""
    found = {c.label[2]: c for c in comparisons(an_evaluation(8))}
    assert found["T2"].tested
    assert found["T2"].p == found["T2"].p_holm == pytest.approx(2 / 2**8)
    again = found["T2+iUS"]
    assert (again.tested, again.p, again.p_holm, again.smallest) == (False, None, None, None)
    assert again.difference == pytest.approx(-1)
    assert again.low == pytest.approx(-1)


def test_cases_trained_on_are_said_first_and_marked(tmp_path: Path) -> None:
    spoilt = an_evaluation(9, seen=7)
    (told,) = cautions(spoilt, comparisons(spoilt))
    assert told == (
        "new was trained on 7 of the 9 cases (c0, c1, c2, c3, c4 …): what it scores on them proves "
        "nothing."
    )
    files = write_report(spoilt, tmp_path / "out", pair=("old", "new"))
    assert told in files["html"].read_text()
    facts = json.loads(files["json"].read_text())
    assert facts["cautions"] == [told]
    assert sum(row["trained_on"] for row in facts["rows"]) == 14
    lines = to_csv(spoilt.rows).splitlines()
    assert lines[0].split(",")[5] == "trained on"
    assert sum(line.split(",")[5] == "yes" for line in lines) == 14
    assert cautions(an_evaluation(9), []) == []
    last = spoilt.rows[-1]
    black = np.zeros((8, 8), np.float32)
    shown = Picture(last, black, black)
    assert caption_of(shown).startswith("new, c8, T2+iUS → iUS: ")
    shown = replace(shown, row=replace(last, trained_on=True))
    assert caption_of(shown).startswith("new, c8 (trained on), T2+iUS → iUS: ")


def test_what_no_test_could_show_is_said(tmp_path: Path) -> None:
    few = an_evaluation(4)
    (told,) = cautions(few, comparisons(few))
    assert told == (
        "No difference can be shown: with 4 cases and one comparison of a missing target the "
        "smallest p after Holm's correction is 0.12; p < 0.05 takes 8 cases."
    )
    files = write_report(few, tmp_path / "out")
    assert told.replace("'", "&#39;").replace("<", "&lt;") in files["html"].read_text()
    one = an_evaluation(1)
    assert "with 1 case and one comparison" in cautions(one, comparisons(one))[0]
    assert "smallest p after Holm's correction is 1;" in cautions(one, comparisons(one))[0]
    assert not cautions(an_evaluation(9), comparisons(an_evaluation(9)))


def test_the_report_names_the_weights_of_lpips(tmp_path: Path) -> None:
    weights = Weights("VGG-16", {"backbone": "a" * 64, "heads": "b" * 64}, True, True)
    told = replace(an_evaluation(1), perceptual=str(weights), weights=weights)
    files = write_report(told, tmp_path / "out")
    facts = json.loads(files["json"].read_text())
    assert facts["lpips_weights"]["files"] == {"backbone": "a" * 64, "heads": "b" * 64}
    assert facts["lpips"] == (
        f"LPIPS (version 0.1, VGG-16): backbone SHA-256 {'a' * 64}; heads SHA-256 {'b' * 64}; "
        "torchvision's backbone, the published heads"
    )
    assert "b" * 64 in files["html"].read_text()
    assert "alexnet-owt-7be5be79.pth" in HOW
