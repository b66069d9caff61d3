"""The context benchmark: which levels carry the input, on a model where that is known."""

from __future__ import annotations

import json
from pathlib import Path

import context
import pytest
import torch
from trainer_cohort import CONFIG, write_cohort, write_expected

from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.model import MHVAE, Level
from core.models.weights import save


def deaf(model: MHVAE, level: int) -> MHVAE:
    """Make one level's experts say nothing: mean 0, and the widest variance the clamp allows."""
    module = model.levels[CONFIG.levels - 1 - level]
    assert isinstance(module, Level)
    head = module.posterior
    half = head.last.out_channels // 2
    head.gates = torch.nn.Identity()  # type: ignore[assignment]
    head.last = torch.nn.Conv2d(2 * half, 2 * half, 1)
    with torch.no_grad():
        head.last.weight.zero_()
        assert head.last.bias is not None
        head.last.bias[:half], head.last.bias[half:] = 0, 100
    return model


def test_a_level_that_carries_nothing_changes_nothing(tmp_path: Path) -> None:
    cohort = write_cohort(tmp_path / "cohort", 2)
    write_expected(cohort, "Case000")
    bundle = Bundle(CONFIG, Preprocessing())
    tiles, cases = context.tiles_of(bundle, cohort, ("T2",), 8, 4)
    assert (cases, len(tiles.fov)) == (2, 4)
    torch.manual_seed(0)
    rows = context.table(deaf(MHVAE(CONFIG), 1).eval(), tiles, ("T2",), "iUS")
    found = {row.without: row for row in rows}
    assert list(found) == [(), (1,), (2,), (3,), (1, 2, 3), (2, 3)]
    assert found[()].intact == 0
    assert found[1,].intact < 1e-4 < 1e-3 < found[2,].intact
    assert found[2, 3].intact == pytest.approx(found[1, 2, 3].intact, abs=1e-4)
    assert tiles.has_expected["iUS"].tolist() == [True, False, True, False]
    made = context.images(deaf(MHVAE(CONFIG), 2).eval(), tiles, ("T2",), "iUS")
    for target, has, places in (
        (tiles.images["iUS"], tiles.present["iUS"], [0, 1, 2, 3]),
        (tiles.expected["iUS"], tiles.has_expected["iUS"], [0, 2]),
    ):
        wanted = [
            float((made - target)[row][tiles.fov[row] > 0].abs().mean().detach()) for row in places
        ]
        assert context.distance(made, target, tiles.fov, has) == pytest.approx(
            sum(wanted) / len(wanted), rel=1e-5
        )
    assert found[()].real != found[2,].real
    assert found[()].expected != found[2,].expected


def test_it_prints_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cohort = write_cohort(tmp_path / "cohort", 1)
    save(Bundle(CONFIG, Preprocessing(), name="toy"), MHVAE(CONFIG), tmp_path / "m.safetensors")
    words = [str(tmp_path / "m.safetensors"), str(cohort), "--tiles", "2", "--threads", "1"]
    context.main(words)
    lines = capsys.readouterr().out.splitlines()
    assert "T2 to iUS, 2 tiles of 1 cases" in lines[0]
    assert [line.split("  ")[0] for line in lines[2:]] == [
        "-", "level 1", "level 2", "level 3", "levels 1 to 3", "levels 2 to 3",
    ]  # fmt: skip
    assert lines[2].split()[1:] == ["0.0000", lines[2].split()[2], "-"]
    context.main([*words, "--json"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["expected"] for row in rows] == [None] * 6
    (cohort / "Case000-T2.nii.gz").unlink()
    with pytest.raises(SystemExit, match="no case with T2"):
        context.main(words)
