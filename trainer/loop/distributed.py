"""Several processes on one run: each takes some rows of every batch, gradients are summed.

Every row's weight in the loss is fixed by the whole batch, so the sum over processes is the
gradient one process would find, whatever their number. The step runs backward once per subset and
once more through the shared encoders, which the hooks of torch's DistributedDataParallel do not
allow for; the sum is therefore one explicit all-reduce after the last backward.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a run; a team of one does nothing.

    Attributes:
        rank: this process's place; 0 writes the log, the checkpoints and the result.
        size: number of processes.
    """

    rank: int = 0
    size: int = 1

    @classmethod
    def join(cls) -> ProcessGroup:
        """Join the processes torchrun started; alone without it."""
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if size == 1:
            return cls()
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(dist.get_rank(), size)

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def rows(self, batch: int) -> tuple[int, int]:
        """Return this process's share of a batch: first row and the one after the last."""
        return batch * self.rank // self.size, batch * (self.rank + 1) // self.size

    def sum_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace every gradient by its sum over the processes, in one transfer."""
        if self.size == 1:
            return
        chosen = list(parameters)
        for p in chosen:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        grads = [p.grad for p in chosen if p.grad is not None]
        flat = torch.cat([g.flatten() for g in grads])
        dist.all_reduce(flat)
        for grad, part in zip(grads, flat.split([g.numel() for g in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def largest(self, *values: float) -> list[float]:
        """Return each value's maximum over the processes: agreement on a wish or a time."""
        if self.size == 1:
            return list(values)
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        dist.all_reduce(shared, dist.ReduceOp.MAX)
        return [float(v) for v in shared]

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, in order of rank."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.size > 1:
            dist.barrier()

    def leave(self) -> None:
        """Say goodbye to the other processes."""
        if self.size > 1:
            dist.destroy_process_group()
