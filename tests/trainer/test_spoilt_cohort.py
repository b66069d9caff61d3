"""A spoilt cohort fools neither terminal nor split: copies, twins, lone images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from spoilt_cohort import head, put, write_pair, write_spoilt, write_unpaired
from trainer_cohort import tiny_plan

from core.io import read
from trainer.__main__ import main
from trainer.cohort.case import CohortCase
from trainer.cohort.likeness import LIKE, coarse, correlation, joined
from trainer.cohort.pairs import doubts, fewest_tests
from trainer.cohort.scan import scan
from trainer.cohort.split import PARTS, draw
from trainer.loop.estimate_verdict import Count, Measured, Memory, assess
from trainer.loop.loop import train
from trainer.plan.new import plan_for
from trainer.plan.schema import DataPlan, Plan
from trainer.run.folder import read_events
from trainer.run.registry import known_runs

BOTH = ("iUS", "T2")


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return write_spoilt(tmp_path_factory.mktemp("site") / "spoilt")


def plan_of(cohort: Path, **settings: object) -> Plan:
    chosen = {
        "optimiser.steps": 2,
        "loss.gan": 0,
        "data.spacing": [3, 3, 3],
        "log.validate_steps": 1,
    }
    return tiny_plan(cohort, **settings).override({**chosen, **settings})


def part_of(run: Path) -> dict[str, str]:
    split = json.loads((run / "split.json").read_text())
    return {case: part for part in PARTS for case in split[part]}


def warnings_of(run: Path) -> str:
    return "\n".join(e["text"] for e in read_events(run) if e["event"] == "warning")


@pytest.mark.parametrize("seed", range(4))
def test_no_patient_is_trained_and_tested_on_whatever_the_draw(
    seed: int, spoilt: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(plan_of(spoilt, **{"data.split_seed": seed, "data.test": 0.4}), run, say=lambda _: None)
    where = part_of(run)
    assert ("Copy" in where) + ("Pat01" in where) == 1
    assert where["Twin"] == where["Pat02"]
    assert not {"Torn", "Far"} & set(where)
    told = warnings_of(run)
    assert "holds the same images as Copy" in told
    assert "Twin: its T2 looks like Pat02's" in told


def test_without_joining_some_draw_would_part_them(spoilt: Path) -> None:
    cases, apart = scan(spoilt, BOTH), []
    for listed in (cases, joined(cases, [("Pat02", "Twin")])):
        draws = [draw(listed, DataPlan(test=0.4, split_seed=seed)) for seed in range(10)]
        apart.append(any(("Twin" in d["test"]) != ("Pat02" in d["test"]) for d in draws))
    assert apart == [True, False]


def test_a_split_that_was_written_keeps_its_word_and_trains_on_no_twin_of_the_test(
    spoilt: Path, tmp_path: Path
) -> None:
    from trainer.loop.data import load_data
    from trainer.run.folder import RunFolder

    plan = plan_of(spoilt)
    with RunFolder.create(tmp_path / "run", plan) as folder:
        others = [f"Pat{n:02d}" for n in range(8) if n != 2]
        split = {"training": ["Twin", *others[2:]], "validation": others[:2], "test": ["Pat02"]}
        (folder.path / "split.json").write_text(json.dumps(split))
        data = load_data(plan, folder, lambda _: None)
    assert "Twin" not in {c.id for c in data.sampler.cases}
    assert "Twin is not trained on" in warnings_of(tmp_path / "run")


def test_likeness_knows_a_scan_written_anew_and_no_other_head(spoilt: Path) -> None:
    seen = {n: coarse(read(spoilt / f"{n}-T2.nii.gz")) for n in ("Pat02", "Twin", "Pat03", "Pat04")}
    assert correlation(seen["Pat02"], seen["Twin"]) > 0.95
    others = [correlation(seen[a], seen[b]) for a in ("Pat02", "Twin") for b in ("Pat03", "Pat04")]
    assert max(others) < LIKE - 0.1


def test_a_header_that_was_lost_hides_nobody(tmp_path: Path) -> None:
    t2, _ = head(3)
    put(tmp_path / "one.nii.gz", t2, corner=-600.0)
    put(tmp_path / "two.nii.gz", t2 * 2, corner=33.0)
    one, two = (coarse(read(tmp_path / f"{n}.nii.gz")) for n in ("one", "two"))
    assert correlation(one, two) > LIKE


def test_check_shows_them_and_ends_with_2(spoilt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(spoilt), "--json", "--spacing", "3"]) == 2
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    cases = {c["case"]: c for c in told["cases"]}
    assert not cases["Pat01"]["usable"]  # Copy came first
    assert cases["Twin"]["usable"]
    assert cases["Twin"]["alike"] == ["Pat02"]
    (warning,) = [p for p in cases["Twin"]["problems"] if "looks like" in p["text"]]
    assert warning["severity"] == "warning"
    assert "join_alike" in warning["fix"]
    assert told["usable"] == 10
    assert told["pairs"] == 9


def test_a_cohort_without_a_pair_is_refused_at_every_door(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = write_unpaired(tmp_path / "unpaired")
    assert main(["check", str(cohort), "--spacing", "3"]) == 2
    assert "None of the 12 usable cases has two images" in capsys.readouterr().out
    plan = plan_of(cohort)
    plan.save(tmp_path / "plan.json")
    for words in (["estimate"], ["train", "--out", str(tmp_path / "run")]):
        assert main([*words[:1], str(tmp_path / "plan.json"), *words[1:]]) == 2
        said = capsys.readouterr().err
        assert "None of the 12 usable cases has two images" in said
    assert not [e for e in read_events(tmp_path / "run") if e["event"] == "step"]


def test_reconstructions_are_no_missing_images(tmp_path: Path) -> None:
    from trainer.loop.validate import summary

    assert not summary({"psnr/T2>T2": 30.0}) > 0  # not a number
    assert summary({"psnr/T2>T2": 30.0, "psnr/T2>iUS": 10.0}) == 10.0


def test_validation_on_training_cases_says_so_and_chooses_nothing(tmp_path: Path) -> None:
    cohort = tmp_path / "cohort"
    cohort.mkdir()
    for n in range(2):
        write_pair(cohort, f"Pat{n}", n)
    said: list[str] = []
    run = tmp_path / "run"
    train(plan_of(cohort, **{"data.test": 0, "data.validation": 0}), run, say=said.append)
    seen = [e for e in read_events(run) if e["event"] == "validation"]
    assert {e["on"] for e in seen} == {"training"}
    assert any("of TRAINING cases" in line for line in said)
    assert not (run / "best.pt").exists()
    assert "overfitting cannot be seen" in warnings_of(run)


def test_pairs_are_held_out_first_and_every_group_gives_its_share() -> None:
    cases = [CohortCase(f"L{n}", f"L{n}", {"T2": Path("a")}) for n in range(20)]
    pair = {"T2": Path("a"), "iUS": Path("b")}
    cases += [CohortCase(f"P{n}", f"P{n}", pair, group="AB"[n % 4 == 0]) for n in range(20)]
    for seed in range(5):
        split = draw(cases, DataPlan(test=0.2, validation=0.1, split_seed=seed))
        assert all(case.startswith("P") for case in split["test"] + split["validation"])
        groups = [case.group for case in cases if case.id in split["test"]]
        assert (groups.count("A"), groups.count("B")) == (6, 2)


def test_too_few_to_judge_is_said() -> None:
    assert fewest_tests() == 9  # 8 comparisons of 2 / 2**9 reach 0.031
    assert "8 pairs" in doubts({"validation": 3, "test": 8})[0]
    assert not doubts({"validation": 3, "test": 9})
    assert len(doubts({"validation": 0, "test": 0})) == 2


def test_joining_goes_through_chains() -> None:
    cases = [CohortCase(name, name) for name in "abcd"]
    owners = {c.id: c.patient for c in joined(cases, [("c", "b"), ("d", "c")])}
    assert owners == {"a": "a", "b": "b", "c": "b", "d": "b"}


def test_a_split_by_hand_is_kept_from_the_terminal(
    spoilt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = [f"Pat{n:02d}" for n in range(8)]
    split = {"training": good[2:], "validation": good[:1], "test": good[1:2]}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(split))
    plan_of(spoilt).save(tmp_path / "plan.json")
    words = ["train", str(tmp_path / "plan.json"), "--quiet", "--split", str(file), "--out"]
    assert main([*words, str(tmp_path / "run")]) == 0
    where = part_of(tmp_path / "run")
    assert (where["Pat01"], where["Pat00"], where["Pat05"]) == ("test", "validation", "training")
    assert where["Alone"] == "training"
    assert "Copy" not in where  # what looks like a held-out case is not trained on
    file.write_text(json.dumps({**split, "test": ["Pat05"]}))
    assert main([*words, str(tmp_path / "other")]) == 2
    assert "Pat05 in both training and test" in capsys.readouterr().err


def test_a_terminal_s_run_is_listed_and_its_evaluation_printed(
    spoilt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan_of(spoilt, **{"data.test": 0.2}).save(tmp_path / "plan.json")
    run = tmp_path / "run"
    assert main(["train", str(tmp_path / "plan.json"), "--quiet", "--out", str(run)]) == 0
    assert run in known_runs()
    capsys.readouterr()
    words = ["evaluate", str(spoilt), "--model", str(run), "--out", str(tmp_path / "report")]
    words += ["--slices", "1"]
    assert main([*words, "--cases", "all"]) == 0
    printed = capsys.readouterr().out
    assert "T2 → iUS" in printed
    assert "PSNR, gain matched, dB" in printed
    assert "run was trained on its iUS and T2; its scores prove nothing" in printed
    assert "All cases, also those run was trained on." in printed
    assert main(["evaluate", str(run), "--slices", "1"]) == 0
    printed = capsys.readouterr().out
    assert "was trained on" not in printed
    assert "Only the test cases of run." in printed
    assert (run / "report" / "report.html").is_file()


def test_the_estimate_speaks_of_worth() -> None:
    memory = Memory(16000, 16000)
    found = Measured(2.0, 2.0, 1000, 500, 100, True, memory)
    pairs = {"training": 12, "validation": 2, "test": 3}
    plan = plan_of(Path("x"))
    told = " ".join(assess(plan, found, Count(100, 12, pairs=pairs)).worth)
    assert "12 training pairs are few" in told
    assert "Fine-tune the built-in model" in told
    assert "fewer than 9 cannot show a difference" in told
    many = Count(1, 400, pairs={"training": 400, "validation": 40, "test": 40})
    begun = plan.override({"start_from": "m"})
    assert not assess(begun, found, many).worth


def test_fine_tuning_begins_gently() -> None:
    plan = plan_for(Path("x"), "quick", "simulated-1mm")
    assert plan.optimiser.rate == 2e-4
    assert (plan.optimiser.warmup, plan.loss.beta_ramp, plan.loss.mean_path_first) == (200, 0, 0)
    asked = plan_for(Path("x"), "quick", "simulated-1mm", {"optimiser.rate": 1e-3})
    assert asked.optimiser.rate == 1e-3
