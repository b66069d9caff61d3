"""A model's network for one subset of its inputs as ONNX, for programs that know no torch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from core.errors import UserError
from core.models.base.network import Network
from core.models.bundle import Bundle
from core.models.inference import for_inference

TOLERANCE = 1e-4
"""Largest difference from torch, on [-1, 1], with which a file is kept."""


class ExportError(UserError):
    """A model could not be exported."""


class Traceable(nn.Module):
    """The network as a function of tensors alone: images, then noise already scaled.

    Args:
        model: the network.
        subset: modalities of the images, in order.
        targets: modalities of the results, in order.
        noisy: whether noise is given; without it the mean path is computed.
        factors: on the noise of every level, coarsest first; none for 1 everywhere.
    """

    def __init__(
        self,
        model: Network,
        subset: Sequence[str],
        targets: Sequence[str],
        noisy: bool,
        factors: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.factors = tuple(factors)
        self.model, self.subset, self.targets, self.noisy = model, subset, targets, noisy

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Return one (B, 1, H, W) image in [-1, 1] for each target."""
        images = dict(zip(self.subset, tensors, strict=False))
        noise = list(tensors[len(self.subset) :])
        if self.factors:
            noise = [n * f for n, f in zip(noise, self.factors, strict=False)]
        (made,) = self.model.draw(images, self.targets, float(self.noisy), [noise])
        return tuple(made[m] for m in self.targets)


def write_onnx(
    bundle: Bundle, model: Network, subset: Sequence[str], targets: Sequence[str], path: Path
) -> float:
    """Write ONNX that makes targets of one subset, and compare it with torch.

    Inputs are the subset's tiles, (B, 1, H, W) in [-1, 1], named like their modalities, and the
    noise of each level, coarsest first (``noise_0`` …), scaled by the temperature: zeros give the
    expected image, standard normal values a sample (the model's calibrated factors, where it has
    some, are part of the graph). Outputs are named ``synthetic_`` and the
    target. B is free.

    Args:
        bundle: what the model is.
        model: its network.
        subset: modalities that are given.
        targets: modalities that are made.
        path: the file.

    Returns:
        The largest difference from torch, on [-1, 1].

    Raises:
        ModelError: the subset or a target is not the model's.
        ExportError: a package is missing, or the result differs from torch's.
    """
    bundle.config.check(tuple(subset), tuple(targets))
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401 (torch's exporter needs it)
    except ImportError as error:
        raise ExportError(
            f"ONNX needs the package {error.name}, which is not installed. Install it with pip "
            "install 'mhvae-studio[onnx]'."
        ) from error
    calibrated = bundle.sampling_of(subset)
    factors = calibrated.factors if calibrated else ()
    noisy = bool(model.noise_shapes(1))
    network = Traceable(for_inference(model), subset, targets, noisy, factors)
    generator = torch.Generator().manual_seed(0)

    def example(batch: int) -> tuple[Tensor, ...]:
        tiles = [(batch, 1, *bundle.config.tile) for _ in subset]
        shapes = [*tiles, *model.noise_shapes(batch)]
        drawn = [torch.randn(shape, generator=generator) for shape in shapes]
        return tuple(x.clamp(-1, 1) if n < len(tiles) else x for n, x in enumerate(drawn))

    levels = len(model.noise_shapes(1))
    inputs = [*subset, *(f"noise_{n}" for n in range(levels))]
    given = example(2)
    batch = torch.export.Dim("batch", min=1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own making
        program = torch.onnx.export(
            network,
            given,
            dynamo=True,
            input_names=inputs,
            output_names=[f"synthetic_{m}" for m in targets],
            dynamic_shapes=(tuple({0: batch} for _ in given),),
            verbose=False,
        )
    assert program is not None
    program.save(path)
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    for key, value in (("notice", bundle.intended_use), ("model", bundle.name)):
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(graph, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for size in (1, 3):
        given = example(size)
        with torch.no_grad():
            ours = network(*given)
        theirs = session.run(None, {name: x.numpy() for name, x in zip(inputs, given, strict=True)})
        for a, b in zip(ours, theirs, strict=True):
            worst = max(worst, float((a - torch.from_numpy(b)).abs().max()))
    if worst > TOLERANCE:
        path.unlink()
        raise ExportError(
            f"{path.name}: expected the images that torch makes; the exported network differs by "
            f"up to {worst:.1e}. It was not kept; use the model file itself."
        )
    return worst
