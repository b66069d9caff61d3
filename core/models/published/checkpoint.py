"""Import of the checkpoints the paper's authors publish (``CP_main_*.pth``).

They are plain state dicts of tensors in one of two key styles: the 2023 code writes weight norms as
``weight_g``/``weight_v`` and numbers its image decoders, the 2025 code writes parametrizations and
names them. Most of the architecture can be read off the shapes; the rest has to be stated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from core.models.base.config import ModelError
from core.models.bundle import Bundle, Preprocessing
from core.models.mhvae.config import MHVAEConfig
from core.models.mhvae.model import MHVAE
from core.models.published.keys import DECODER, NAMES, Inferred, modern, rename
from core.models.slicing import Slicing
from core.models.weights import build


@dataclass(frozen=True)
class Unstated:
    """What a checkpoint's shapes do not tell. ``None`` means nobody has said yet.

    Attributes:
        tile: height and width in pixels.
        spacing: mm per pixel of the data it was trained on (isotropic).
        orientation: where its slices' rows, columns and number count up to, see
            :mod:`core.models.slicing`. The authors' script takes the last axis of its files,
            whatever that shows, so there is no default.
        squeeze_excitation: whether the cells used their gates.
        residual: whether the cells were residual.
        last_activation: ``"tanh"`` or ``"identity"``.
        clamp: bound of means and log-variances.
        decoders: our names of the image decoders in file order (2023 files number them).
    """

    tile: tuple[int, int] | None = None
    spacing: float | None = None
    orientation: str | None = None
    squeeze_excitation: bool | None = None
    residual: bool | None = None
    last_activation: str | None = None
    clamp: float | None = None
    decoders: tuple[str, ...] | None = None

    def with_authors_defaults(self, inferred: Inferred) -> Unstated:
        """Fill what is unstated from the defaults of the authors' training script and paper."""
        side = round(inferred.bottleneck_pixels**0.5) << inferred.pools
        return Unstated(
            tile=self.tile or (side, side),
            spacing=self.spacing or 0.5,
            orientation=self.orientation,
            squeeze_excitation=_first(self.squeeze_excitation, True),
            residual=_first(self.residual, True),
            last_activation=self.last_activation or "tanh",
            clamp=self.clamp or 10.0,
            decoders=self.decoders or inferred.modalities,
        )


def _first(value: bool | None, default: bool) -> bool:
    return default if value is None else value


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read a checkpoint's tensors; nothing in the file is executed.

    Raises:
        ModelError: missing, not a PyTorch file, or not a plain dictionary of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path.name}: there is no such checkpoint; check the path.")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the restricted unpickler fails in many ways on foreign bytes
        raise ModelError(
            f"{path.name}: expected a checkpoint with plain weights (CP_main_*.pth), found a file "
            "that is damaged or holds other Python objects. Nothing was loaded; download it again "
            "from the authors' repository."
        ) from error
    if (
        not isinstance(state, Mapping)
        or not state
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items())
    ):
        raise ModelError(
            f"{path.name}: expected a dictionary of tensors, found something else. Only the "
            "generator's checkpoint (CP_main_*.pth) can be imported."
        )
    return {modern(k): v for k, v in state.items()}


def infer(
    state: Mapping[str, Tensor], name: str, modalities: Sequence[str] | None = None
) -> Inferred:
    """Read the architecture off a checkpoint's shapes.

    Args:
        state: tensors from :func:`read_checkpoint`.
        name: file name for messages.
        modalities: our names for the file's modalities, in the file's order; derived when absent.

    Raises:
        ModelError: the checkpoint is of another architecture.
    """
    own = tuple(k.split(".")[1] for k in state if re.fullmatch(r"first_conv\.[^.]+\.weight", k))
    of_first = re.escape(own[0]) if own else ""
    pools = len([k for k in state if re.fullmatch(rf"td\.{of_first}\.\d+\.weight", k)])
    needed = (
        "bottleneck_up.linear.parametrizations.weight.original1",
        "bottleneck_down.linear.parametrizations.weight.original1",
    )
    if not own or not pools or any(k not in state for k in needed):
        raise ModelError(
            f"{name}: expected an MHVAE or MVAE checkpoint with first_conv, bottleneck and td "
            f"weights; found {len(state)} tensors beginning with {next(iter(state))}. Choose "
            "CP_main_*.pth of the authors' MHVAE or MMHVAE repository."
        )
    ours = tuple(modalities or (NAMES.get(n.lower(), n) for n in own))
    if len(ours) != len(own):
        raise ModelError(
            f"{name}: the checkpoint has the modalities {', '.join(own)}; expected as many names, "
            f"found {', '.join(ours)}."
        )
    base = int(state[f"first_conv.{own[0]}.weight"].shape[0])
    widest = int(state[needed[0]].shape[1]) // 2
    deepest = min(base << pools, widest)
    decoders = sorted({m[1] for k in state if (m := DECODER.match(k))})
    first = f"final_blocks.{decoders[0]}" if decoders else ""
    if not decoders or f"{first}.convt2.weight" not in state:
        raise ModelError(f"{name}: the checkpoint has no image decoders (final_blocks).")
    blocks = {k.split(".")[3] for k in state if k.startswith(f"{first}.res.") and "conv_block" in k}
    return Inferred(
        own_names=own,
        modalities=ours,
        base_features=base,
        max_features=widest,
        pools=pools,
        bottleneck_pixels=int(state[needed[1]].shape[1]) // deepest,
        final_features=int(state[f"{first}.convt2.weight"].shape[0]),
        final_blocks=len(blocks),
        numbered_decoders=all(d.isdigit() for d in decoders),
        hierarchical=any(k.startswith("pz.") for k in state),
    )


def convert(
    state: Mapping[str, Tensor],
    name: str,
    inferred: Inferred,
    stated: Unstated,
) -> tuple[MHVAEConfig, dict[str, Tensor]]:
    """Return our configuration and state dict for a checkpoint.

    Raises:
        ModelError: something cannot be inferred and was not stated, or a tensor is not understood.
    """
    open_questions = _open_questions(inferred, stated)
    if open_questions:
        raise ModelError(
            f"{name}: the weights do not tell {', '.join(open_questions)}. State them, or accept "
            "the defaults of the authors' training script with --authors-defaults; the orientation "
            "has none."
        )
    assert stated.tile is not None
    config = MHVAEConfig(
        modalities=inferred.modalities,
        tile=stated.tile,
        base_features=inferred.base_features,
        max_features=inferred.max_features,
        pools=inferred.pools,
        final_features=inferred.final_features,
        final_blocks=inferred.final_blocks,
        fusion="authors",
        clamp=stated.clamp or 10.0,
        squeeze_excitation=bool(stated.squeeze_excitation),
        residual=bool(stated.residual),
        last_activation=stated.last_activation or "tanh",
        hierarchical=inferred.hierarchical,
    )
    if config.bottleneck[0] * config.bottleneck[1] != inferred.bottleneck_pixels:
        raise ModelError(
            f"{name}: a tile of {list(config.tile)} pixels gives a bottleneck of "
            f"{config.bottleneck[0] * config.bottleneck[1]} pixels, the weights have "
            f"{inferred.bottleneck_pixels}. State the tile the model was trained with."
        )
    decoders = stated.decoders if inferred.numbered_decoders else inferred.modalities
    assert decoders is not None
    renamed = {}
    for key, tensor in state.items():
        new = rename(key, inferred, decoders, config)
        if new is None:
            raise ModelError(
                f"{name}: the tensor {key} belongs to no part of an "
                f"{'MHVAE' if inferred.hierarchical else 'MVAE'} this program knows. Nothing was "
                "imported."
            )
        if new:
            renamed[new] = tensor
    with torch.device("meta"):
        expected = {k: tuple(v.shape) for k, v in build(config).state_dict().items()}
    found = {k: tuple(v.shape) for k, v in renamed.items()}
    if expected != found:
        wrong = sorted(set(expected.items()) ^ set(found.items()))[0]
        raise ModelError(
            f"{name}: the weights do not fit the architecture they suggest (first at {wrong[0]}, "
            f"{wrong[1]}). Nothing was imported."
        )
    return config, renamed


def _open_questions(inferred: Inferred, stated: Unstated) -> list[str]:
    asked: dict[str, object] = {
        f"the tile's height and width (--tile; the bottleneck has {inferred.bottleneck_pixels} "
        "pixels)": stated.tile,
        "the spacing of the training data (--spacing)": stated.spacing,
        "the orientation of its slices (--orientation, or --orientation-of an image it was trained "
        "on)": stated.orientation,
        "whether squeeze-and-excitation was on (--squeeze-excitation)": stated.squeeze_excitation,
        "whether the cells were residual (--residual)": stated.residual,
        "the last activation (--last-activation)": stated.last_activation,
        "the clamp (--clamp)": stated.clamp,
    }
    if inferred.numbered_decoders:
        asked["which modality each numbered image decoder makes (--decoders)"] = stated.decoders
    return [question for question, answer in asked.items() if answer is None]


def import_checkpoint(
    path: str | os.PathLike[str],
    *,
    modalities: Sequence[str] | None = None,
    stated: Unstated | None = None,
    authors_defaults: bool = False,
) -> tuple[Bundle, MHVAE]:
    """Turn an authors' checkpoint, of an MHVAE or of their MVAE, into a bundle and a model.

    Args:
        path: the ``.pth`` file.
        modalities: our names for its modalities, in the file's order.
        stated: what the weights do not tell.
        authors_defaults: fill the rest, but the orientation, from the authors' training script.

    Raises:
        ModelError: see :func:`read_checkpoint`, :func:`infer`, :func:`convert`.
    """
    path = Path(path)
    state = read_checkpoint(path)
    inferred = infer(state, path.name, modalities)
    said = stated or Unstated()
    if authors_defaults:
        said = said.with_authors_defaults(inferred)
    config, tensors = convert(state, path.name, inferred, said)
    model = cast(MHVAE, build(config))
    model.load_state_dict(tensors)
    spacing, slicing = said.spacing or 0.5, Slicing(said.orientation or "")
    bundle = Bundle(
        config=config,
        preprocessing=Preprocessing(
            (spacing, spacing, spacing), slicing.plane, orientation=slicing.orientation
        ),
        name=path.stem,
        card={
            "summary": "Imported checkpoint of the paper's authors (Dorent et al.).",
            "trained_on": "the authors' data (ReMIND), as they describe it; not by this program",
            "assumed": "authors' defaults" if authors_defaults else "stated at import",
            "licence": "see the authors' repository",
        },
    )
    return bundle, model.eval()
