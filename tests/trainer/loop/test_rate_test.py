"""The test of learning rates: what it reads off a curve, and that it does so on real steps."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from trainer_cohort import tiny_plan, write_cohort

from app.cli import main
from trainer.errors import TrainerError
from trainer.loop.estimate_verdict import Count, Measured, Memory, assess, with_rate
from trainer.loop.rate_test import HIGHEST, LOWEST, judged, rate_test, smoothed


def curve(lowest_at: float) -> tuple[list[float], list[float]]:
    """A loss that falls from 1 and rises again beyond a rate."""
    rates = np.geomspace(LOWEST, HIGHEST, 60)
    fall = 1 / (1 + np.exp(2 * np.log(rates / (lowest_at / 4))))
    rise = np.clip(np.log(rates / lowest_at), 0, None) ** 2
    return rates.tolist(), (0.4 + 0.6 * fall + rise).tolist()


@pytest.mark.parametrize("lowest_at", [1e-3, 1e-2])
def test_the_proposed_rate_lies_on_the_fall_and_below_the_rise(lowest_at: float) -> None:
    rates, losses = curve(lowest_at)
    found = judged(rates, losses, 2e-3)
    assert found.rate is not None
    assert lowest_at / 15 < found.rate < lowest_at
    assert f"Proposed: {found.rate:.1e}; the plan has 2.0e-03" in found.sentence
    assert "rose again" in found.sentence


def test_a_flat_or_rising_curve_proposes_nothing() -> None:
    rates = np.geomspace(LOWEST, HIGHEST, 60).tolist()
    for losses in ([1.0] * 60, np.linspace(1, 3, 60).tolist(), [0.5] * 3):
        found = judged(rates[: len(losses)], losses, 2e-3)
        assert found.rate is None
        assert "proposes nothing" in found.sentence
    assert smoothed([3.0, 3.0, 3.0]) == pytest.approx([3.0, 3.0, 3.0])


def test_real_steps_find_a_rate_and_the_command_offers_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    cohort = write_cohort(tmp_path / "cohort")
    plan = tiny_plan(cohort, loss__gan=0, optimiser__rate=1e-6, optimiser__rate_end=1e-6)
    told: list[str] = []
    found = rate_test(plan, 40, lambda stage, done, total: told.append(f"{stage} {done}/{total}"))
    assert found.rate is not None, found.sentence
    assert 1e-4 < found.rate < 0.1
    assert found.losses[0] == pytest.approx(1, abs=1e-3)  # nothing was done yet
    assert min(found.losses) < 0.9
    assert all(math.isfinite(loss) for loss in found.losses)
    assert told[-1].startswith("testing learning rates")
    assert rate_test(plan, 40).rates == found.rates  # nothing random has hidden state
    assert rate_test(plan, 40).losses == found.losses
    plan.save(tmp_path / "plan.json")
    assert main(["estimate", str(tmp_path / "plan.json"), "--rate-test", "40", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["rate"] == found.sentence
    assert said["fixes"][-1]["settings"] == {"optimiser.rate": found.rate}
    changed = plan.override(said["fixes"][-1]["settings"])
    assert changed.optimiser.rate == found.rate
    with pytest.raises(TrainerError, match="20 steps or more; found 3"):
        rate_test(plan, 3)


def test_a_proposed_rate_lowers_the_last_rate_too_and_a_near_one_is_no_fix() -> None:
    plan = tiny_plan(Path("somewhere"))
    measured = Measured(1.0, 1.0, 100, 50, 10, True, Memory(9e3, 9e3))
    known = assess(plan, measured, Count(10, 4))
    o = replace(plan.optimiser, rate=2e-3, rate_end=1e-4)
    plan = replace(plan, optimiser=o)
    (fix,) = with_rate(known, plan, 2e-4, "said").fixes
    assert fix.settings == {"optimiser.rate_end": pytest.approx(2e-5), "optimiser.rate": 2e-4}
    assert plan.override(fix.settings).optimiser.rate == 2e-4
    assert with_rate(known, plan, 2.1e-3, "said").fixes == ()
    assert with_rate(known, plan, None, "said").rate == "said"
