"""One pass of the network over a batch of tiles, by torch or by an accelerated CPU back end.

A pass takes numpy tiles and gives numpy images, so that the engine need not know who computes.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from core.models.allocator import keep_memory
from core.models.base.network import Network
from core.models.bundle import Bundle
from core.models.inference import for_inference
from core.models.onnx_export import Traceable
from core.synthesis.devices import BFLOAT16, EXTRAS, OPENVINO
from core.synthesis.request import SynthesisError
from core.volume import Voxels


def devices() -> list[str]:
    """Return what this computer can compute on, best exact one first."""
    found = ["cpu"]
    if torch.backends.mps.is_available():
        found.insert(0, "mps")
    if torch.cuda.is_available():
        found.insert(0, "cuda")
    return found + [name for name in EXTRAS if importlib.util.find_spec(name) is not None]


def bfloat16_here() -> bool:
    """Tell whether this CPU multiplies in bfloat16; another one is slower at it than at float32."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):
        return False


def choose_device(name: str = "auto") -> str:
    """Return the device to compute on; ``auto`` is the first exact one, a GPU where there is one.

    Where there is a model, :func:`core.synthesis.fastest.choose` times what there is.

    Raises:
        SynthesisError: the named device is not there.
    """
    there = devices()
    if name == "auto":
        return there[0]
    if name == BFLOAT16 and bfloat16_here():
        return name
    if name not in there:
        extra = EXTRAS.get(name)
        hint = f" Install it with pip install 'mhvae-studio[{extra}]'." if extra else ""
        raise SynthesisError(
            f"The device {name!r} is not available on this computer; found {', '.join(there)}. "
            f"Choose one of these, or auto.{hint}"
        )
    return name


class Pass(Protocol):
    """Encodes a batch once and decodes it as often as samples are wanted."""

    def __call__(
        self,
        inputs: Mapping[str, Voxels],
        targets: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> dict[str, Voxels]:
        """Run the network.

        Args:
            inputs: modality → (B, 1, H, W) float32 in [-1, 1], in the model's order.
            targets: modalities to decode.
            temperature: factor on the noise.
            noises: per sample, noise per level, coarsest first; ``None`` at temperature 0.

        Returns:
            target → (samples, B, H, W) float32 in [-1, 1].
        """
        ...


class TorchPass:
    """The exact path, on any torch device; or, in bfloat16, nearly that on a CPU."""

    def __init__(self, model: Network, device: str, *, bfloat16: bool = False) -> None:
        if device == "cpu":
            keep_memory()
        self.device = device
        self.bfloat16 = bfloat16
        self.model = for_inference(model).to(device)

    def __call__(
        self,
        inputs: Mapping[str, Voxels],
        targets: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> dict[str, Voxels]:
        """See :class:`Pass`."""
        images = {m: torch.from_numpy(x).to(self.device) for m, x in inputs.items()}
        there = [None if n is None else [x.to(self.device) for x in n] for n in noises]
        nearly = torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)
        with torch.inference_mode(), nearly:
            draws = self.model.draw(images, targets, temperature, there)
            return {
                m: torch.stack([made[m][:, 0].float().clamp(-1, 1) for made in draws]).cpu().numpy()
                for m in targets
            }


class OpenVinoPass:
    """The same network compiled by OpenVINO in float32; converted once, then cached on disk."""

    def __init__(self, model: Network, bundle: Bundle) -> None:
        # Its converter reports its use to a server and keeps a client id in the home folder; where
        # the package for that cannot be imported, it does neither.
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
        import openvino

        self.core = openvino.Core()
        self.model = for_inference(model)
        self.bundle = bundle
        self.compiled: dict[tuple[Any, ...], Any] = {}

    def __call__(
        self,
        inputs: Mapping[str, Voxels],
        targets: Sequence[str],
        temperature: float,
        noises: Sequence[Sequence[Tensor] | None],
    ) -> dict[str, Voxels]:
        """See :class:`Pass`."""
        network = self._network(tuple(inputs), tuple(targets), temperature > 0)
        draws: dict[str, list[Voxels]] = {m: [] for m in targets}
        for noise in noises:
            scaled = [(n * temperature).numpy() for n in noise or ()]
            answer = network([*inputs.values(), *scaled])
            for position, m in enumerate(targets):
                draws[m].append(np.clip(answer[position][:, 0], -1, 1))
        return {m: np.stack(d) for m, d in draws.items()}

    def _network(self, subset: tuple[str, ...], targets: tuple[str, ...], noisy: bool) -> Any:
        key = (subset, targets, noisy)
        if key not in self.compiled:
            path = self._cached(subset, targets, noisy)
            graph = self._kept(path) or self._convert(*key, path)
            self.compiled[key] = self.core.compile_model(
                graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
            )
        return self.compiled[key]

    def _kept(self, path: Path) -> Any:
        """Return a graph converted before; ``None`` without one for any number of tiles."""
        graph = self.core.read_model(path) if path.is_file() else None
        free = graph is not None and all(x.partial_shape[0].is_dynamic for x in graph.outputs)
        return graph if free else None

    def _cached(self, subset: tuple[str, ...], targets: tuple[str, ...], noisy: bool) -> Path:
        from platformdirs import user_cache_path

        name = "-".join((self.bundle.sha256[:16], *subset, "to", *targets, "noisy"[: 5 * noisy]))
        return user_cache_path("mhvae-studio", appauthor=False) / "openvino" / f"{name}.xml"

    def _convert(
        self, subset: tuple[str, ...], targets: tuple[str, ...], noisy: bool, path: Path
    ) -> Any:
        import openvino

        tile = self.bundle.config.tile
        shapes: list[tuple[int, ...]] = [(2, 1, *tile) for _ in subset]
        shapes += self.model.noise_shapes(2) if noisy else []
        example = tuple(torch.zeros(shape) for shape in shapes)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch.jit.trace, which the converter uses
            graph = openvino.convert_model(
                Traceable(self.model, subset, targets, noisy),
                example_input=example,
                input=[([-1, *shape[1:]], np.float32) for shape in shapes],
            )
        if self.bundle.sha256:
            path.parent.mkdir(parents=True, exist_ok=True)
            openvino.save_model(graph, path, compress_to_fp16=False)
        return graph


def _bfloat16_pass(model: Network, bundle: Bundle) -> Pass:
    return TorchPass(model, "cpu", bfloat16=True)


PASSES: dict[str, Callable[[Network, Bundle], Pass]] = {
    OPENVINO: OpenVinoPass,
    BFLOAT16: _bfloat16_pass,
}
"""Back ends beside torch."""


def build_pass(model: Network, bundle: Bundle, device: str) -> Pass:
    """Return what runs a model on a device that :func:`choose_device` gave."""
    build = PASSES.get(device)
    return TorchPass(model, device) if build is None else build(model, bundle)
