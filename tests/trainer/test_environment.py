"""The memory that a run tells of is its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from core.child_process import child_environment

LOOK = """
import sys
import numpy as np
import torch
from trainer.run.environment import memory_mb
cpu = torch.device("cpu")
before = memory_mb(cpu)
mapped = np.memmap(sys.argv[1], np.float64, "r")
assert float(mapped.max()) == 0  # every page was looked at
print(memory_mb(cpu) - before)
own = np.ones(200 << 17, np.float64)
print(memory_mb(cpu) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell them apart")
def test_mapped_files_are_no_memory_of_the_run(tmp_path: Path) -> None:
    np.zeros(200 << 17, np.float64).tofile(tmp_path / "big")  # 200 MiB
    told = subprocess.run(
        [sys.executable, "-c", LOOK, str(tmp_path / "big")],
        env=child_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    mapped, own = map(int, told.stdout.split())
    assert mapped < 60
    assert own - mapped > 150
