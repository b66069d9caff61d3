"""An engine process that computes nothing: the model's name says how it behaves."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from app.processes.engine.worker import EngineMemoryError, IsCancelled, Send, Worker, claim_pipes
from app.processes.protocol import Message
from app.processes.shared_memory import SharedArray
from core.errors import Cancelled, UserError
from core.volume import Volume

STRANGE = 78
"""The seed of a run whose input is said to be unlike the training."""
CALIBRATED = 79
"""The seed of a run whose samples are said to be drawn with calibrated factors."""
FACTORS = {"factors": [2.0], "measured_on": "simulated cases"}
UNLIKE = {"unlike_training": True, "score": 7.5, "limit": 1.5}


class FakeBackend:
    """Fills the first input's grid slice by slice with 10 times the number of the slice."""

    def __init__(self) -> None:
        self.arrays: list[SharedArray] = []

    def devices(self) -> list[str]:
        return ["cpu"]

    def preflight(
        self, task: Message, volumes: Mapping[str, Volume], cancelled: IsCancelled
    ) -> Message:
        self._misbehave(task)
        return {
            "tiles": 40,
            "paces": [0.1, 0.2],
            "memory": [300.0, 500.0],
            "device": "cpu",
            "warnings": ["The T2 does not look like a T2."] if task["seed"] == STRANGE else [],
        }

    def run(
        self, task: Message, volumes: Mapping[str, Volume], send: Send, cancelled: IsCancelled
    ) -> Message:
        first = volumes[task["volumes"][task["subset"][0]]]
        into = {m: self._share(first.grid.shape) for m in task["targets"]}
        fov = SharedArray.copy_of(np.ones(first.grid.shape, bool))
        self.arrays.append(fov)
        send(
            {
                "type": "prepared",
                "shape": list(first.grid.shape),
                "affine": first.grid.affine.tolist(),
                "arrays": {m: a.spec for m, a in into.items()},
                "fov": fov.spec,
                "tiles": first.grid.shape[2],
            }
        )
        total = first.grid.shape[2]
        for k in range(total):
            if task["model"] == "stuck":
                time.sleep(60)
            if task["model"] == "slow":
                time.sleep(0.1)
            if cancelled():
                raise Cancelled
            for a in into.values():
                a.array[:, :, k] = 10 * k
            (ni, nj, _) = first.grid.shape
            send(
                {
                    "type": "progress",
                    "stage": "synthesising",
                    "done": k + 1,
                    "total": total,
                    "seconds_left": 0.1 * (total - k),
                    "regions": [[[0, ni], [0, nj], [k, k + 1]]],
                }
            )
            if k == total // 2:
                self._misbehave(task)
        return {
            "results": {m: self._result(m, task, volumes, into[m]) for m in task["targets"]},
            "provenance": {
                "synthetic": True,
                "model": {"name": task["model"], "sha256": "0"},
                "subset": task["subset"],
                "seed": task["seed"],
                "samples": task["samples"],
                "id": uuid.uuid4().hex,
                **({"input_check": {"T2": UNLIKE}} if task["seed"] == STRANGE else {}),
                **({"sampling": FACTORS} if task["seed"] == CALIBRATED else {}),
                **({"probe": task["sweep"]["plan"]} if "sweep" in task else {}),
            },
            "seconds": 0.1,
            "pace": 0.01,
            "memory": 400.0,
            "warnings": ["T2: 3 outliers were set aside."] if task["seed"] == 77 else [],
            "device": "cpu",
        }

    def shares(self, task: Message, volumes: Mapping[str, Volume]) -> Message:
        first = volumes[task["volumes"][task["subset"][0]]]
        (ni, nj, nk) = first.grid.shape
        experts = ["prior", *task["subset"]]
        levels = {}
        for level in range(1, 8):
            maps = np.full((len(experts), ni, nj), 1 / len(experts), np.float32)
            self.arrays.append(SharedArray.copy_of(maps))
            levels[str(level)] = self.arrays[-1].spec
        return {
            "shape": [ni, nj, nk],
            "affine": first.grid.affine.tolist(),
            "axis": 2,
            "index": nk // 2,
            "experts": experts,
            "levels": levels,
        }

    def release(self) -> None:
        for array in self.arrays:
            array.unlink()
        self.arrays.clear()

    def forget(self, keys: list[str]) -> None:
        pass

    def _share(self, shape: tuple[int, ...]) -> SharedArray:
        self.arrays.append(SharedArray.create(shape))
        return self.arrays[-1]

    def _result(
        self, m: str, task: Message, volumes: Mapping[str, Volume], made: SharedArray
    ) -> dict[str, Any]:
        truth = task["volumes"].get(m)
        spread = self._share(made.array.shape) if task["samples"] > 1 else None
        if spread:
            spread.array[...] = 1.5
        singles = {}
        for n in range(1, task["samples"] + 1) if task["samples"] > 1 else ():
            one = SharedArray.copy_of(made.array + n)
            self.arrays.append(one)
            singles[str(n)] = one.spec
        difference = None
        if truth is not None:
            difference = SharedArray.copy_of(made.array - volumes[truth].voxels)
            self.arrays.append(difference)
        return {
            "spread": spread.spec if spread else None,
            "difference": difference.spec if difference else None,
            "samples": singles,
            "metrics": {"PSNR": 20.0, "SSIM": 0.5} if truth else {},
            "kind": "reconstruction" if m in task["subset"] else "synthesis",
        }

    def _misbehave(self, task: Message) -> None:
        kind = task["model"]
        if kind == "crash":
            print("Segmentation something", file=sys.stderr, flush=True)
            os._exit(3)
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if kind == "memory":
            raise EngineMemoryError("8 tiles did not fit.")
        if kind == "user":
            raise UserError("T2.nii.gz: every voxel is zero.")
        if kind == "defect":
            raise ValueError("a defect")


if __name__ == "__main__":
    source, sink = claim_pipes()
    Worker(FakeBackend(), source, sink).serve()
