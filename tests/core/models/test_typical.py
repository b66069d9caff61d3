"""Held-out cases: what lies among them is near, what lies apart is far; files are not trusted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.models import bundle as bundles
from core.models import weights
from core.models.base.config import ModelError
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.typical import Typical

CONFIG = MHVAEConfig(tile=(8, 8), base_features=4, max_features=8, pools=2, final_blocks=1)


def rows(count: int = 200, seed: int = 0, *, wrong: bool = False) -> list[dict[str, float]]:
    """Two quantities that rise together, and one that is another one in wrong inputs."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=count), rng.normal(size=(count, 3))
    step = 40.0 if wrong else 0.0
    return [
        {"a": 5 + c + 0.3 * x, "b": -2 + 2 * (c + 0.3 * y), "c": 100 + step + 10 * z}
        for c, (x, y, z) in zip(common, own, strict=True)
    ]


def fitted(inside: float = 0.97) -> Typical:
    heads = [n // 4 for n in range(200)]
    return Typical.fit(rows(), rows(seed=1, wrong=True), (heads, heads), inside=inside)


def test_cases_like_the_held_out_ones_stay_below_the_limit_and_wrong_ones_do_not() -> None:
    typical = fitted()
    right = np.array([typical.score(row) for row in rows(400, seed=2)])
    wrong = np.array([typical.score(row) for row in rows(400, seed=3, wrong=True)])
    assert typical.cases == 200
    assert abs(right.mean()) < 0.3 * typical.limit
    assert 0.01 < (right > typical.limit).mean() < 0.06
    assert (wrong > typical.limit).mean() > 0.9
    assert typical.limit < fitted(inside=0.99).limit


def test_what_makes_it_strange_is_named_and_one_wild_number_counts_no_more_than_far() -> None:
    typical = fitted()
    strange = {"a": 5.0, "b": -2.0, "c": 150.0}
    assert typical.loudest(strange)[0] == "c"
    assert typical.loudest({"a": 5.0, "b": -2.0, "c": 99.0})[:1] != ("c",)
    assert typical.score({**strange, "c": 1e9}) == typical.score({**strange, "c": 1e6})


def test_the_limit_is_wider_when_a_group_stands_apart() -> None:
    """A case is judged without what shares its head, else the limit would be too tight."""
    right, wrong = rows(40), rows(40, seed=1, wrong=True)
    for row in right[:10]:
        row["a"] += 6  # a head with a look of its own, which some wrong inputs have too
    for row in wrong[:20]:
        row["a"] += 6
    others = list(range(100, 140))
    alone = Typical.fit(right, wrong, (list(range(40)), others))
    together = Typical.fit(right, wrong, ([0] * 10 + list(range(1, 31)), others))
    assert together.limit > alone.limit + 0.1


def test_too_few_cases_calibrate_nothing() -> None:
    few, many = rows(5), rows(30)
    with pytest.raises(ValueError, match="5 held-out cases and 30 wrong inputs are too few"):
        Typical.fit(few, many, ([0] * 5, [0] * 30))
    with pytest.raises(ValueError, match="one group"):
        Typical.fit(many, many, ([0] * 30, list(range(30))))


def test_it_travels_with_the_model(tmp_path: Path) -> None:
    typical = fitted()
    bundle = Bundle(CONFIG, Preprocessing((1, 1, 1)), "small", typical={"T2": typical})
    weights.save(bundle, MHVAE(CONFIG), tmp_path / "m.safetensors")
    assert bundles.header(tmp_path / "m.safetensors").typical == {"T2": typical}
    assert Bundle.from_json(Bundle(CONFIG).to_json(), tmp_path / "old").typical == {}


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [1.0]},
        {"deviation": [1.0, 0.0, 1.0]},
        {"limit": float("inf")},
        {"weights": [1.0]},
        {"weights": [1.0, float("nan"), 1.0]},
        {"away": []},
        {"quantities": []},
        {"quantities": 5},
        {"cases": "many"},
    ],
)
def test_a_damaged_one_is_said(change: dict[str, object]) -> None:
    torch.manual_seed(0)
    values = json.loads(replace(Bundle(CONFIG), typical={"T2": fitted()}).to_json())
    values["typical"]["T2"].update(change)
    with pytest.raises(ModelError, match="damaged"):
        Bundle.from_json(json.dumps(values), Path("m.safetensors"))
