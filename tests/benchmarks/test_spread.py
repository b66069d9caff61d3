"""The spread benchmark: measures on samples whose spread is known, and what it stores."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sample_measures
import spread
import torch
from sample_measures import Found
from trainer_cohort import CONFIG, write_cohort

from core.models.bundle import Bundle, Preprocessing, header
from core.models.mhvae.model import MHVAE
from core.models.weights import save

PLAIN = Found(inside=0.4, width=0.3, crps=0.2, speckle=0.6, decibels=-4.0, off_decibels=4.0)
RNG = np.random.default_rng(0)


def test_samples_that_the_truth_could_be_one_of_hold_fifteen_of_seventeen() -> None:
    drawn = RNG.normal(size=(17, 40_000)).astype(np.float32)
    low, high = sample_measures.central(drawn[:16])
    held = ((low <= drawn[16]) & (drawn[16] <= high)).mean()
    assert held == pytest.approx(15 / 17, abs=0.01)
    narrow = sample_measures.central(drawn[:16] / np.float32(4))
    assert ((narrow[0] <= drawn[16]) & (drawn[16] <= narrow[1])).mean() < 0.4


def test_blocks_are_averaged_and_a_mask_counts_where_it_is_whole() -> None:
    image = np.arange(30, dtype=np.float32).reshape(1, 5, 6)
    assert sample_measures.pooled(image, 2).tolist() == [[[3.5, 5.5, 7.5], [15.5, 17.5, 19.5]]]
    assert np.array_equal(sample_measures.pooled(image, 1), image)
    mask = image > 0
    assert (sample_measures.pooled(mask, 2) == 1).tolist() == [[[False, True, True], [True] * 3]]


def test_the_score_is_that_of_a_normal_distribution_and_falls_for_no_other() -> None:
    truth = RNG.normal(size=40_000).astype(np.float32)
    drawn = RNG.normal(size=(16, 40_000)).astype(np.float32)
    scores = [sample_measures.crps(drawn * f, truth).mean() for f in (1.0, 0.3, 2.0)]
    assert scores[0] == pytest.approx(1 / np.sqrt(np.pi), abs=0.01)
    assert min(scores) == scores[0]


def test_speckle_and_spectrum_are_ratios_to_the_truth() -> None:
    def texture(size: float, count: int) -> np.ndarray:
        return (size * RNG.normal(size=(count, 1, 96, 96))).clip(-1, 1).astype(np.float32)

    everywhere = np.ones((1, 96, 96), bool)
    truth = texture(0.05, 1)[0]
    found = sample_measures.measured(texture(0.1, 4), truth, everywhere, everywhere, 0.5, 0.8)
    assert found.speckle == pytest.approx(2, rel=0.05)
    assert found.decibels == pytest.approx(20 * np.log10(2), abs=0.3)
    assert found.off_decibels == pytest.approx(found.decibels, abs=0.1)
    again = np.stack([truth, truth])
    same = sample_measures.measured(again, truth, everywhere, ~everywhere, 0.5, 0.8)
    assert (same.decibels, same.inside, same.width) == (0, 1, 0)
    assert np.isnan(same.speckle)


def test_a_wave_counts_in_its_ring_alone() -> None:
    wave = np.cos(2 * np.pi * 0.55 * 0.5 * np.arange(96))[None].repeat(96, 0).astype(np.float32)
    power = sample_measures.rings(wave, np.ones((96, 96), bool), 0.5, 0.8)
    assert len(power) == 6
    assert power[3] > 0.95 * power.sum()
    assert len(sample_measures.rings(wave, np.ones((96, 96), bool), 0.5, 0.45)) == 2


def test_what_holds_more_is_chosen_unless_something_else_gets_worse() -> None:
    asked: list[tuple[float, ...]] = []

    def measure(factors: tuple[float, ...]) -> Found:
        asked.append(factors)
        coarse, middle, fine = factors
        return replace(
            PLAIN,
            inside=0.4 + 0.1 * (coarse + middle + fine - 3),
            crps=0.2 + 0.1 * (coarse > 2),
            off_decibels=4 + (fine > 1.5),
            speckle=0.6 if middle < 2 else 2.0,
        )

    found = spread.choose(measure, 3, [[3], [2], [1]], [0.7, 1.5, 2, 3])
    assert found == (2, 1.5, 1.5)
    assert asked[0] == (1, 1, 1)
    assert spread.choose(lambda _: PLAIN, 3, [[1, 2, 3]], [2.0]) == (1, 1, 1)
    assert spread.groups_of("5-7/3-4/1-2", 6) == [[5, 6], [3, 4], [1, 2]]
    assert spread.groups_of("7/1", 3) == [[1]]


def test_factors_help_only_where_more_is_held_for_certain_and_nothing_gets_worse() -> None:
    before = [replace(PLAIN, inside=0.4 + 0.01 * n) for n in range(6)]
    more = [replace(row, inside=row.inside + 0.1) for row in before]
    assert spread.compare(before, more)[1]
    assert not spread.compare(before, [replace(row, crps=0.21) for row in more])[1]
    assert not spread.compare(before, [replace(row, off_decibels=4.2) for row in more])[1]
    assert not spread.compare(before, [replace(row, speckle=1.6) for row in more])[1]
    unsure = [
        replace(r, inside=r.inside + d)
        for r, d in zip(before, (1, -1, 1, -1, 1, -1.0), strict=True)
    ]
    assert not spread.compare(before, unsure)[1]


def test_it_measures_a_model_and_stores_only_what_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    cohort, path = write_cohort(tmp_path / "cohort", 4), tmp_path / "m.safetensors"
    save(Bundle(CONFIG, Preprocessing(), name="toy"), MHVAE(CONFIG), path)
    words = [str(cohort), "--model", str(path), "--tiles", "2", "--samples", "3", "--write"]
    words += ["--search-tiles", "1", "--groups", "1-3", "--values", "2", "--threads", "1"]
    monkeypatch.setattr(spread, "compare", lambda *_: ([], False))
    spread.main(words)
    assert "they do not help" in capsys.readouterr().out
    assert header(path).sampling == {}
    monkeypatch.setattr(spread, "compare", lambda *_: ([], True))
    spread.main([*words, "--factors", "2,1,1.5"])
    assert "chosen on 2 cases, reported on 2 others" in capsys.readouterr().out
    stored = header(path).sampling["T2"]
    assert (stored.factors, stored.target) == ((2, 1, 1.5), "iUS")
    assert re.fullmatch(r"simulated cases, holds \d+% of the truth", stored.measured_on)
    with pytest.raises(SystemExit, match="expected two cases or more"):
        spread.main([*words, "--cases", "1"])
