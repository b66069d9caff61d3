"""Held-out cases: what lies among them is near, what lies apart is far; files are not trusted."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.models import bundle as bundles
from core.models import weights
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig, ModelError
from core.models.mhvae.model import MHVAE
from core.models.typical import Typical

CONFIG = MHVAEConfig(tile=(8, 8), base_features=4, max_features=8, pools=2, final_blocks=1)


def rows(count: int = 200, seed: int = 0) -> list[dict[str, float]]:
    """Two quantities that rise together, and one for itself."""
    rng = np.random.default_rng(seed)
    common, own = rng.normal(size=count), rng.normal(size=(count, 3))
    return [
        {"a": 5 + c + 0.3 * x, "b": -2 + 2 * (c + 0.3 * y), "c": 100 + 10 * z}
        for c, (x, y, z) in zip(common, own, strict=True)
    ]


def fitted() -> Typical:
    return Typical.fit(rows(), [n // 4 for n in range(200)])


def test_cases_like_the_held_out_ones_stay_below_the_limit() -> None:
    typical = fitted()
    others = [typical.distance(row) for row in rows(400, seed=1)]
    assert typical.cases == 200
    assert 0.7 < np.sqrt(np.mean(np.square(others))) < 1.2  # 1 is an ordinary case
    assert 0.01 < np.mean(np.array(others) > typical.limit) < 0.06


def test_what_lies_apart_is_far_and_named() -> None:
    typical = fitted()
    far = {"a": 5.0, "b": -2.0, "c": 200.0}
    assert typical.distance(far) > 2 * typical.limit
    assert typical.furthest(far) == ("c",)


def test_what_never_comes_together_is_far_though_each_is_common() -> None:
    typical = fitted()
    apart = {"a": 5 + 2.5, "b": -2 - 5.0, "c": 100.0}
    assert typical.furthest(apart) == ()
    assert typical.distance(apart) > typical.limit


def test_the_limit_is_wider_when_a_group_stands_apart() -> None:
    """A case is judged without what shares its head, else the limit would be too tight."""
    table = rows(40)
    for row in table[:10]:
        row["c"] += 60
    alone = Typical.fit(table, list(range(40)))
    together = Typical.fit(table, [0] * 10 + list(range(1, 31)))
    assert together.limit > 1.5 * alone.limit


def test_too_few_cases_calibrate_nothing() -> None:
    with pytest.raises(ValueError, match="5 cases are too few"):
        Typical.fit(rows(5), list(range(5)))
    with pytest.raises(ValueError, match="one group"):
        Typical.fit(rows(30), [0] * 30)


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
        {"limit": -1},
        {"precision": [[1.0]]},
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
