"""A plan refuses what no training could mean, wherever it is said: in a file, by --set, in code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core.models.base.config import ModelError
from core.models.mhvae.config import MHVAEConfig
from core.schema import BIG
from trainer.__main__ import main
from trainer.errors import TrainerError
from trainer.plan.presets import preset
from trainer.plan.schema import SETTINGS, Plan, load_plan

NONSENSE: list[tuple[str, Any, str]] = [
    ("loss.l1", "100", "loss.l1 must be a number from 0 to 1e+06; found '100'"),
    ("data.flip", 7, "data.flip must be a number from 0 to 1; found 7"),
    ("optimiser.amp", "no", "optimiser.amp must be true or false; found 'no'"),
    ("optimiser.amp", 1, "optimiser.amp must be true or false; found 1"),
    ("exclude", "Case1", "exclude must be a list of words; found 'Case1'"),
    ("data.percentiles", [90, 10], "data.percentiles must be a lower and a higher number"),
    ("data.percentiles", [1, 2, 3], "data.percentiles must be 2 values"),
    ("optimiser.epochs", -1, "optimiser.epochs must be a whole number of at least 0; found -1"),
    ("optimiser.rate", 2, "optimiser.rate must be a number above 0 and at most 1; found 2"),
    ("optimiser.rate_end", 0.5, "optimiser.rate_end must be at most optimiser.rate"),
    ("data.batch", 2.5, "data.batch must be a whole number from 1 to 65536; found 2.5"),
    ("data.batch", True, "data.batch must be a whole number"),
    ("data.gamma", {"T2": "much"}, "data.gamma must be pairs"),
    ("data.gamma", [1], "data.gamma must be pairs"),
    ("loss.subset_odds", {"T2": 0}, "loss.subset_odds must hold a number above 0"),
    ("data.spacing", [0.5, 0.5], "data.spacing must be 3 values, each a number from 0.05 to 20"),
    ("model.modalities", "T2", "model.modalities must be a list of words; found 'T2'"),
    ("model.final_features", 0, "model.final_features must be a whole number from 1 to 4096"),
    ("data", 3, "data must be a group of settings; found 3"),
    ("log.keep", float("inf"), "log.keep must be a whole number of at least 1"),
    ("optimiser.clip", float("inf"), "optimiser.clip must be a number of at least 0; found inf"),
    ("optimiser.clip", float("nan"), "optimiser.clip must be a number of at least 0; found nan"),
    ("seed", None, "seed must be a whole number of at least 0; found None"),
]


@pytest.mark.parametrize(("name", "value", "words"), NONSENSE)
def test_nonsense_is_refused_by_name_and_range(
    name: str, value: Any, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = preset("smoke", "somewhere")
    values = plan.to_dict()
    *sections, last = name.split(".")
    place = values[sections[0]] if sections else values
    place[last] = value
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(values))
    with pytest.raises(TrainerError) as from_file:
        load_plan(file)
    assert words in str(from_file.value)
    plan.save(file)
    written = tmp_path / "out.json"
    options = ["--out", str(written), "--plan-only", "--set", f"{name}={json.dumps(value)}"]
    assert main(["train", str(file), *options]) == 2
    assert words in capsys.readouterr().err
    assert not written.exists()
    if isinstance(value, list | dict) or not sections or last == "final_features":
        return
    section = getattr(plan, sections[0])
    with pytest.raises((TrainerError, ModelError)) as in_code:
        replace(plan, **{sections[0]: replace(section, **{last: value})})
    assert words.removeprefix("model.") in str(in_code.value)


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(TrainerError, match=r"seed must be .*; data\.flip must be ") as error:
        preset("smoke").override({"data.flip": 7, "seed": "one"})
    assert str(error.value).startswith("The changed plan cannot be used as a training plan: ")


def test_a_run_has_a_length() -> None:
    with pytest.raises(TrainerError, match=r"one of optimiser\.epochs, .* must be above 0"):
        preset("paper").override({"optimiser.epochs": 0})
    assert preset("paper").override({"optimiser.epochs": 0, "optimiser.steps": 1})


@pytest.mark.parametrize("name", [n for n in SETTINGS if SETTINGS[n].default is not None])
def test_every_setting_has_a_type_and_every_number_a_range(name: str) -> None:
    one, plan = SETTINGS[name], Plan()
    assert one.about
    assert one.check(one.default) == one.default
    for wrong in (object(), [None], {"x": None}, b"x"):
        with pytest.raises(ValueError, match=r"must be .*; found"):
            one.check(wrong)
    if isinstance(one.default, int | float) and not isinstance(one.default, bool):
        assert "number" in one.expected
        for wrong in (-1, BIG + 1 if isinstance(one.default, int) else float("inf"), "1"):
            with pytest.raises(TrainerError, match=name.replace(".", r"\.")):
                plan.override({name: wrong})


def test_whole_numbers_are_numbers_and_stay_so() -> None:
    plan = preset("smoke").override({"data.test": 0, "data.spacing": [1, 1, 1]})
    assert json.dumps([plan.data.test, plan.data.spacing]) == "[0.0, [1.0, 1.0, 1.0]]"


def test_a_models_configuration_is_judged_by_the_same_limits() -> None:
    values = MHVAEConfig().to_dict()
    for name, value in (("clamp", 0), ("pools", "6"), ("fusion", "sum"), ("tile", [192])):
        with pytest.raises(ModelError, match=f"damaged: {name} must be"):
            MHVAEConfig.from_dict({**values, name: value})
    with pytest.raises(ModelError, match="final_blocks must be a whole number"):
        MHVAEConfig(final_blocks=-1)


def test_settings_are_explained_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["train", "--settings"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "optimiser.rate=0.002: a number above 0 and at most 1\n" in out
    assert "data.rotate=10.0 [degrees]: a number from 0 to 180\n" in out
    assert all(f"{name}=" in out and one.about.split()[0] in out for name, one in SETTINGS.items())
