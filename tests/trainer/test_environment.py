"""The memory that a run tells of is its own."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.run.environment import memory_mb


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell them apart")
def test_mapped_files_are_no_memory_of_the_run(tmp_path: Path) -> None:
    cpu = torch.device("cpu")
    np.zeros(200 << 17, np.float64).tofile(tmp_path / "big")  # 200 MiB
    before = memory_mb(cpu)
    mapped = np.memmap(tmp_path / "big", np.float64, "r")
    assert float(mapped.sum()) == 0  # every page was looked at
    assert memory_mb(cpu) - before < 50
    own = np.ones(100 << 17, np.float64)
    assert 80 < memory_mb(cpu) - before < 150
    assert own[0] == 1
