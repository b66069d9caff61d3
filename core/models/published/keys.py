"""The tensors of the authors' checkpoints by name: their keys, in both styles, and ours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.modalities import TABLE
from core.models.mhvae.config import MHVAEConfig

NAMES = {one.authors: one.name for one in TABLE if one.authors}
"""The authors' modality names in lower case → ours."""

_WEIGHT_NORM = {
    "weight_g": "parametrizations.weight.original0",
    "weight_v": "parametrizations.weight.original1",
}
_ENCODER = re.compile(r"(first_conv|conv_blocks_context|td)\.([^.]+)\.(.+)")
_RENAMES = (
    (r"^bottleneck_(down|up)\.linear\.", r"bottleneck_\1.linear."),
    (r"^tu\.(\d+)\.conv_1\.", r"levels.\1.up.conv."),
    (r"^conv_blocks_localization\.(\d+)\.conv_0\.", r"levels.\1.cell.widen."),
    (r"^conv_blocks_localization\.(\d+)\.dw_conv_1\.", r"levels.\1.cell.depthwise."),
    (r"^conv_blocks_localization\.(\d+)\.se_2\.se\.0\.", r"levels.\1.cell.gates.squeeze."),
    (r"^conv_blocks_localization\.(\d+)\.se_2\.se\.2\.", r"levels.\1.cell.gates.excite."),
    (r"^conv_blocks_localization\.(\d+)\.conv_2\.", r"levels.\1.cell.narrow."),
    (r"^qz\.(\d+)\.conv_([01])\.", r"levels.\1.posterior.conv\2."),
    (r"^qz\.(\d+)\.se\.se\.0\.", r"levels.\1.posterior.gates.squeeze."),
    (r"^qz\.(\d+)\.se\.se\.2\.", r"levels.\1.posterior.gates.excite."),
    (r"^qz\.(\d+)\.last_conv\.", r"levels.\1.posterior.last."),
    (r"^pz\.(\d+)\.", r"levels.\1.prior."),
)
DECODER = re.compile(r"final_blocks\.([^.]+)\.(res|convt2|convt3)\.(.+)")
"""Which image decoder, which part of it, which tensor."""


@dataclass(frozen=True)
class Inferred:
    """What the shapes tell; ``modalities`` are our names, ``own_names`` the file's.

    ``hierarchical`` is false for their ablation, an MVAE without conditional priors.
    """

    own_names: tuple[str, ...]
    modalities: tuple[str, ...]
    base_features: int
    max_features: int
    pools: int
    bottleneck_pixels: int
    final_features: int
    final_blocks: int
    numbered_decoders: bool
    hierarchical: bool = True


def modern(key: str) -> str:
    """Return a key in the 2025 style."""
    stem, _, leaf = key.rpartition(".")
    return f"{stem}.{_WEIGHT_NORM[leaf]}" if leaf in _WEIGHT_NORM else key


def rename(
    key: str, inferred: Inferred, decoders: Sequence[str], config: MHVAEConfig
) -> str | None:
    """Return our key, an empty string for a tensor that is not used, ``None`` when unknown."""
    if not config.squeeze_excitation and re.match(
        r"(conv_blocks_context\.[^.]+\.\d+\.se|conv_blocks_localization\.\d+\.se_2)\.", key
    ):
        return ""
    if match := _ENCODER.fullmatch(key):
        room, own, rest = match.groups()
        if own not in inferred.own_names:
            return None
        prefix = f"encoders.{inferred.modalities[inferred.own_names.index(own)]}"
        if room == "first_conv":
            return f"{prefix}.first.{rest}"
        if room == "td":
            return f"{prefix}.down.{rest}"
        depth, _, leaf = rest.partition(".")
        leaf = re.sub(r"^conv_([01])\.", r"conv\1.", leaf)
        leaf = re.sub(r"^se\.se\.0\.", "gates.squeeze.", leaf)
        leaf = re.sub(r"^se\.se\.2\.", "gates.excite.", leaf)
        return f"{prefix}.cells.{depth}.{leaf}"
    if match := DECODER.fullmatch(key):
        return _rename_decoder(match[1], match[2], match[3], inferred, decoders)
    for pattern, replacement in _RENAMES:
        if re.match(pattern, key):
            place = re.sub(pattern, replacement, key)
            return place if inferred.hierarchical else place.replace(".posterior.", ".head.")
    return None


def _rename_decoder(
    which: str, room: str, rest: str, inferred: Inferred, decoders: Sequence[str]
) -> str | None:
    if which.isdigit() and inferred.numbered_decoders:
        names: Sequence[str] = decoders
        position = int(which)
    else:
        names, position = inferred.modalities, -1
        if which in inferred.own_names:
            position = inferred.own_names.index(which)
    if not 0 <= position < len(names):
        return None
    prefix = f"image_decoders.{names[position]}"
    if room != "res":
        return f"{prefix}.{'conv0' if room == 'convt2' else 'conv1'}.{rest}"
    index, _, leaf = rest.partition(".")
    if leaf in ("weight", "bias"):  # a 1x1 conv that changes the width comes first
        return f"{prefix}.enter.{leaf}"
    shift = 1 if inferred.final_features != inferred.base_features // 2 else 0
    inner = re.fullmatch(r"conv_block\.([15])\.(weight|bias)", leaf)
    if inner is None:
        return None
    return f"{prefix}.blocks.{int(index) - shift}.conv{inner[1] == '5':d}.{inner[2]}"
