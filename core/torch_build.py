"""Which build of torch is installed or packaged, found without importing torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


@dataclass(frozen=True)
class TorchBuild:
    """A build of torch.

    Attributes:
        version: as torch says it, for instance ``"2.13.0+cpu"``.
        cuda: CUDA version it was built for; ``None`` for a CPU build.
        hip: ROCm's HIP version it was built for; ``None`` otherwise.
    """

    version: str
    cuda: str | None = None
    hip: str | None = None

    @property
    def words(self) -> str:
        """The build in words, for instance ``"CPU build"`` or ``"CUDA 13.0 build"``."""
        if self.cuda:
            return f"CUDA {self.cuda} build"
        return f"ROCm {self.hip} build" if self.hip else "CPU build"


def torch_build() -> TorchBuild:
    """Read what torch's own version file says.

    Raises:
        RuntimeError: torch is not installed.
    """
    spec = find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("torch is not installed")
    text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    found = dict(re.findall(r"^(__version__|cuda|hip)\b[^=\n]*= '([^']+)'", text, re.MULTILINE))
    return TorchBuild(found["__version__"], found.get("cuda"), found.get("hip"))
