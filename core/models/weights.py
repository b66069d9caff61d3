"""The network of a bundle: built, loaded and saved.

Needs torch; :mod:`core.models.bundle` does not.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from core.files import replacing
from core.models.base.config import ModelConfig, ModelError
from core.models.base.network import Network
from core.models.bundle import KEY, Bundle, header
from core.models.family import family_of


def build(config: ModelConfig) -> Network:
    """Return an untrained network for a configuration of any family."""
    module, _, name = family_of(config.family).network.partition(":")
    network: Network = getattr(importlib.import_module(module), name)(config)
    return network


def load(path: str | os.PathLike[str], device: str = "cpu") -> tuple[Bundle, Network]:
    """Load a bundle and its model, in float32, in evaluation mode.

    Raises:
        ModelError: see :func:`header`; or the weights do not fit the configuration.
    """
    bundle = header(path)
    assert bundle.path is not None
    with torch.device("meta"):
        model = build(bundle.config)
    tensors = {k: v.to(torch.float32) for k, v in load_file(bundle.path, device=device).items()}
    expected = {k: tuple(v.shape) for k, v in model.state_dict().items()}
    found = {k: tuple(v.shape) for k, v in tensors.items()}
    if expected != found:
        wrong = sorted(set(expected.items()) ^ set(found.items()))[0][0]
        raise ModelError(
            f"{bundle.path.name}: the weights do not fit the model they describe (first at "
            f"{wrong}). The file is damaged or was edited; use another copy."
        )
    if not all(bool(torch.isfinite(v).all()) for v in tensors.values()):
        raise ModelError(
            f"{bundle.path.name}: some weights are not finite numbers; the training that made this "
            "model diverged. Use an earlier checkpoint."
        )
    model.load_state_dict(tensors, assign=True)
    return bundle, model.eval().requires_grad_(False)


def save(
    bundle: Bundle, model: nn.Module, path: str | os.PathLike[str], *, half: bool = False
) -> Bundle:
    """Write a bundle beside its target and move it into place.

    Args:
        bundle: the description; its ``path`` is ignored.
        model: source of the weights.
        path: target, ending in ``.safetensors``.
        half: store float16 (half the size; loaded as float32).

    Raises:
        ModelError: the folder cannot be written to.
    """
    path = Path(path)
    dtype = torch.float16 if half else torch.float32
    tensors = {
        k: v.detach().to("cpu", dtype).contiguous().clone() for k, v in model.state_dict().items()
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as part:
            part.touch()
            rights = part.stat().st_mode
            save_file(tensors, part, metadata={KEY: bundle.to_json()})
            part.chmod(rights)  # the library keeps its files to their owner
    except Exception as error:
        raise ModelError(
            f"{path.name}: the model could not be written to {path.parent.name or '.'} ({error}). "
            "Choose a folder you may write to, with enough free space."
        ) from error
    return replace(bundle, path=path)
