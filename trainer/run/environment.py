"""What a run runs on."""

from __future__ import annotations

import os
import platform
from typing import Any

import numpy as np
import psutil
import torch

from core.version import __version__
from trainer.errors import TrainerError
from trainer.plan.schema import Plan


def usable_cores() -> int:
    """Return how many cores this process may run on: fewer than there are under ``taskset``."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_device(plan: Plan) -> torch.device:
    """Return the plan's device.

    Raises:
        TrainerError: it asks for CUDA and there is none.
    """
    if plan.device == "cuda" and not torch.cuda.is_available():
        raise TrainerError("The plan asks for a CUDA device; none was found. Set device to cpu.")
    use_cuda = plan.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda" if use_cuda else "cpu")


def describe(device: torch.device, processes: int) -> dict[str, Any]:
    """Return versions and hardware for the log; no host or user names."""
    return {
        "program": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "processes": processes,
    }


def memory_mb(device: torch.device) -> int:
    """Return the memory in use, MiB: the peak on a GPU, the process's own on a CPU.

    Pages of files that are mapped (the prepared cases) do not count, where the system tells them
    apart: it drops them when anybody needs the room.
    """
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated() / 2**20)
    found = psutil.Process().memory_info()
    return int((found.rss - getattr(found, "shared", 0)) / 2**20)
