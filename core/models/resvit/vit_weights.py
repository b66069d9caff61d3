"""ImageNet weights for ResViT's transformer, from a local file of Google's Vision Transformer.

The file is the ``R50+ViT-B_16.npz`` that ResViT's authors begin their second stage with
(Dosovitskiy et al. 2021); it is not shipped and not fetched.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from core.models.base.config import ModelError
from core.models.resvit.model import ResViT

Arrays = dict[str, NDArray[np.float32]]


@torch.no_grad()
def load_vit(model: ResViT, path: Path) -> None:
    """Set the transformer, and each block's embeddings and places, from a file; changes ``model``.

    Places of another grid are resampled to the model's.

    Raises:
        ModelError: the file is missing, damaged, or of another size.
    """
    arrays = _read(path)
    config = model.config
    try:
        for n, layer in enumerate(model.transformer.layers):
            _fill(layer, arrays, f"Transformer/encoderblock_{n}", config.hidden)
        _norm(model.transformer.norm, arrays, "Transformer/encoder_norm")
        places = _places(arrays, tuple(side // config.stride for side in config.tile))
        kernel = torch.from_numpy(arrays["embedding/kernel"]).permute(3, 2, 0, 1)
        for block in model.blocks:
            context: Any = getattr(block, "context", None)
            if context is not None:
                context.tokens.embed.weight.copy_(kernel)
                context.tokens.embed.bias.copy_(torch.from_numpy(arrays["embedding/bias"]))
                context.tokens.places.copy_(places)
    except (KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path.name}: expected a Vision Transformer of {config.layers} layers, {config.heads} "
            f"heads and tokens of {config.hidden} over {16 * config.base_features} features; its "
            f"arrays do not fit ({error}). Use R50+ViT-B_16.npz with the paper's sizes."
        ) from error


def _read(path: Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: np.asarray(stored[name], np.float32) for name in stored.files}
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path.name}: expected an .npz of a Vision Transformer; it cannot be read ({error}). "
            "Copy it again, or leave it out: ResViT then begins at random."
        ) from error


def _fill(layer: Any, arrays: Arrays, root: str, size: int) -> None:
    for name in ("query", "key", "value", "out"):
        place = f"{root}/MultiHeadDotProductAttention_1/{name}"
        linear = getattr(layer, name)
        linear.weight.copy_(torch.from_numpy(arrays[f"{place}/kernel"]).reshape(size, size).t())
        linear.bias.copy_(torch.from_numpy(arrays[f"{place}/bias"]).reshape(size))
    for name, linear in (("Dense_0", layer.widen), ("Dense_1", layer.narrow)):
        linear.weight.copy_(torch.from_numpy(arrays[f"{root}/MlpBlock_3/{name}/kernel"]).t())
        linear.bias.copy_(torch.from_numpy(arrays[f"{root}/MlpBlock_3/{name}/bias"]))
    _norm(layer.norm0, arrays, f"{root}/LayerNorm_0")
    _norm(layer.norm1, arrays, f"{root}/LayerNorm_2")


def _norm(norm: Any, arrays: Arrays, root: str) -> None:
    norm.weight.copy_(torch.from_numpy(arrays[f"{root}/scale"]))
    norm.bias.copy_(torch.from_numpy(arrays[f"{root}/bias"]))


def _places(arrays: Arrays, grid: tuple[int, ...]) -> Tensor:
    """Return (1, tokens, hidden) learned places on a grid, without that of the class token."""
    stored = torch.from_numpy(arrays["Transformer/posembed_input/pos_embedding"])
    count, size = stored.shape[1:]
    side = round(count**0.5)
    stored = stored if side * side == count else stored[:, 1:]
    side = round(stored.shape[1] ** 0.5)
    square = stored.reshape(1, side, side, size).permute(0, 3, 1, 2)
    resized = F.interpolate(square, size=list(grid), mode="bilinear", align_corners=True)
    return resized.flatten(2).transpose(1, 2)
