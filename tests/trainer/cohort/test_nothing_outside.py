"""Every command that takes a cohort writes into the folder it was given and nowhere else."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from trainer_cohort import CONFIG, tiny_plan, write_cohort

from app import cli
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.model import MHVAE

COMMANDS = ("check", "estimate", "train", "ablation", "prepare", "synthesize", "evaluate")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two cases in folders of their own, a list in a third folder, a plan and a model."""
    monkeypatch.setattr("platformdirs.user_cache_path", lambda *_, **__: tmp_path / "user-cache")
    monkeypatch.delenv("MHVAE_STUDIO_CACHE", raising=False)
    made = write_cohort(tmp_path / "scans", 2)
    for name in ("Case000", "Case001"):
        (made / name).mkdir()
        for kind in ("T2", "iUS"):
            (made / f"{name}-{kind}.nii.gz").rename(made / name / f"{kind}.nii.gz")
    (tmp_path / "lists").mkdir()
    write_list(tmp_path, "Case001")
    weights.save(
        Bundle(CONFIG, Preprocessing((0.5, 0.5, 0.5)), "small"),
        MHVAE(CONFIG),
        tmp_path / "small.safetensors",
    )
    plan = tiny_plan(
        tmp_path / "lists" / "cases.csv",
        optimiser__steps=1,
        loss__gan=0,
        data__test=0,
        data__validation=0,
    )
    replace(plan, cohort=str(tmp_path / "lists" / "cases.csv")).save(tmp_path / "plan.json")
    (tmp_path / "out").mkdir()
    return tmp_path


def write_list(place: Path, second: str) -> None:
    rows = [
        [case, f"../scans/{folder}/T2.nii.gz", f"../scans/{folder}/iUS.nii.gz"]
        for case, folder in (("Case000", "Case000"), (second, "Case001"))
    ]
    with (place / "lists" / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["case", "T2", "iUS"], *rows])


def words(command: str, place: Path) -> list[str]:
    listed, model, out = place / "lists/cases.csv", place / "small.safetensors", place / "out"
    found: dict[str, list[object]] = {
        "check": [listed, "--pictures", out / "pictures"],
        "estimate": [place / "plan.json"],
        "train": [place / "plan.json", "--out", out / "run", "--quiet"],
        "ablation": [place / "plan.json", "--out", out / "rows", "--test", listed, "--slices", 1],
        "prepare": [listed, "--out", out / "prepared", "--spacing", 1, "--workers", 1],
        "synthesize": [
            "--cohort",
            listed,
            "--target",
            "iUS",
            "--model",
            model,
            *("--out", out / "made"),
        ],
        "evaluate": [listed, "--model", model, "--out", out / "report", "--slices", 1],
    }
    return [command, *(str(word) for word in found[command])]


def lying_there(place: Path) -> set[str]:
    """What lies in and beside a cohort, without what was asked for and the user's own cache."""
    asked = (place / "out", place / "user-cache")
    return {
        str(path.relative_to(place.parent))
        for path in place.parent.rglob("*")
        if not any(path.is_relative_to(one) for one in asked)
    }


@pytest.mark.parametrize("name", ["../x", "/x", r"..\x"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_listed_id_leads_no_command_elsewhere(
    command: str, name: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = lying_there(place)
    write_list(place, str(place / "x") if name == "/x" else name)
    assert cli.main(words(command, place)) == 2
    said = capsys.readouterr().err
    assert "cases.csv, line 3: the case id" in said
    assert "leads to another folder or is no file name" in said
    assert lying_there(place) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_begins_a_cache_where_the_listed_files_lie(command: str, place: Path) -> None:
    before = lying_there(place)
    assert cli.main(words(command, place)) == 0
    assert lying_there(place) == before
