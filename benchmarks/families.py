"""What the generators of all families cost, and whether they compute what their authors' code does.

Usage: python benchmarks/families.py [--resvit CHECKOUT] [--spade CHECKOUT]. Prints parameters and
multiply-adds at the papers' sizes with 192x192 and 256x256 tiles, one channel in and one out,
beside what was published. With a copy of the authors' repository (icon-lab/ResViT, NVlabs/SPADE;
neither is part of this project) their weights at random are copied into ours, and the largest
difference of the two images is printed, in double precision, for batch norms of random statistics
(ResViT) and instance norms (SPADE).
"""

from __future__ import annotations

import argparse
import importlib
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from core.models.base.config import ModelConfig
from core.models.cost import macs, parameters
from core.models.family import FAMILIES
from core.models.inference import for_inference
from core.models.mhvae.config import MHVAEConfig
from core.models.pix2pix.config import Pix2PixConfig
from core.models.resvit.config import ResViTConfig
from core.models.resvit.model import ResViT
from core.models.spade.config import SPADEConfig
from core.models.spade.model import SPADE
from core.models.unet.config import UNetConfig
from core.models.weights import build

PUBLISHED = {
    "mhvae": "293 M, 487 G (Dorent et al.)",
    "resvit": "123.4 M, 119.7 G at 256x256 (the authors' code, counted)",
}


def configs(side: int) -> list[ModelConfig]:
    tile = (side, side)
    return [
        MHVAEConfig(tile=tile),
        MHVAEConfig(tile=tile, hierarchical=False),
        Pix2PixConfig(tile=tile, pools=8 if side == 256 else 6),
        SPADEConfig(tile=tile),
        ResViTConfig(("T2",), tile),
        UNetConfig(tile=tile),
    ]


def table() -> None:
    print(f"{'':10}{'tile':>6}{'parameters, M':>16}{'multiply-adds, G':>18}  published")
    for side in (192, 256):
        for config in configs(side):
            with torch.device("meta"):
                count = parameters(build(config)) / 1e6
            target = config.modalities[0]
            cost = macs(config, (config.modalities[-1],), (target,)) / 1e9
            told = PUBLISHED.get(config.family, "")
            title = FAMILIES[config.family].title
            print(f"{title:10}{side:>6}{count:>16.2f}{cost:>18.2f}  {told}")


class Settings(dict[str, Any]):
    """A dictionary whose entries are attributes, as their configurations are."""

    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__


def _named(text: str, pairs: Mapping[str, str]) -> str:
    for old, new in pairs.items():
        text = re.sub(old, new, text)
    return text


RESVIT = {
    r"^encoder_1\.1": "encoder.0", r"^encoder_1\.2": "encoder.1",
    r"^encoder_2\.0": "encoder.3", r"^encoder_2\.1": "encoder.4",
    r"^encoder_3\.0": "encoder.6", r"^encoder_3\.1": "encoder.7",
    r"^decoder_1\.": "decoder.", r"^decoder_2\.0": "decoder.3", r"^decoder_2\.1": "decoder.4",
    r"^decoder_3\.1": "decoder.6",
    r"^transformer_encoder\.layer\.": "transformer.layers.",
    r"^transformer_encoder\.encoder_norm": "transformer.norm",
    r"attention_norm": "norm0", r"ffn_norm": "norm1", r"ffn\.fc1": "widen", r"ffn\.fc2": "narrow",
    r"\.attn\.": ".",
    r"downsample": "context.down", r"upsample": "context.up",
    r"embeddings\.patch_embeddings": "context.tokens.embed",
    r"embeddings\.positional_encoding": "context.tokens.places",
    r"cc\.skip": "context.compress.skip", r"cc\.block": "context.compress.cells",
    r"residual_cnn\.0\.conv_block\.1\.": "residual.cells.0.",
    r"residual_cnn\.0\.conv_block\.2\.": "residual.cells.1.",
    r"residual_cnn\.0\.conv_block\.5\.": "residual.cells.3.",
    r"residual_cnn\.0\.conv_block\.6\.": "residual.cells.4.",
}  # fmt: skip
SPADE_NAMES = {
    r"^fc\.": "first.", r"^head_0\.": "head.", r"^G_middle_": "middle.", r"^up_": "up.",
    r"^conv_img\.": "last.", r"conv_(\d)": r"conv\1", r"conv_s": "conv_skip",
    r"norm_(\d)": r"norm\1", r"norm_s": "norm_skip", r"mlp_shared\.0": "shared",
    r"mlp_gamma": "scale", r"mlp_beta": "shift",
}  # fmt: skip


def randomised(model: nn.Module) -> nn.Module:
    """Give every weight and every running statistic a value that shows when it is misplaced."""
    generator = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.is_floating_point():
            drawn = torch.randn(value.shape, generator=generator) * 0.05
            value.copy_(drawn.abs() + 0.5 if "running_var" in name else drawn + value * 0.5)
    return model.double().eval()


def resvit() -> float:
    sys.modules["ml_collections"] = types.SimpleNamespace(ConfigDict=Settings)  # type: ignore[assignment]
    theirs = importlib.import_module("models.residual_transformers")

    other = randomised(theirs.ResViT(theirs.CONFIGS["Res-ViT-B_16"], 1, 256, 1))
    print(f"ResViT, their parameters: {parameters(other) / 1e6:.2f} M")
    ours = ResViT(ResViTConfig(("T2",), (256, 256), norm="batch")).double().eval()
    state: dict[str, Tensor] = {"with_transformers": torch.ones(())}
    for name, value in other.state_dict().items():
        if ".transformer." in name:
            continue  # the shared one once more
        number = re.match(r"art_(\d)\.", name)
        if number:
            name = f"blocks.{int(number[1]) - 1}.{name[number.end() :]}"
        state[_named(name, RESVIT)] = value
    ours.load_state_dict(state)
    x = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    with torch.no_grad():
        return float((other(x) - ours(x)).abs().max())


def spade() -> float:
    batch = types.SimpleNamespace(SynchronizedBatchNorm2d=nn.BatchNorm2d)
    for name, module in (
        ("torchvision", types.ModuleType("torchvision")),
        ("dill", types.ModuleType("dill")),
        ("models.networks.sync_batchnorm", batch),
    ):
        sys.modules[name] = module  # type: ignore[assignment]
    theirs = importlib.import_module("models.networks.generator")

    options = Settings(
        ngf=64, semantic_nc=1, norm_G="spadeinstance3x3", num_upsampling_layers="normal",
        use_vae=False, crop_size=256, aspect_ratio=1.0,
    )  # fmt: skip
    other = randomised(theirs.SPADEGenerator(options))
    print(f"SPADE, their parameters (three channels out): {parameters(other) / 1e6:.2f} M")
    ours = for_inference(SPADE(SPADEConfig(tile=(256, 256))).eval()).double()
    state = {_named(name, SPADE_NAMES): value for name, value in other.state_dict().items()}
    for name in ("last.weight", "last.bias"):
        state[name] = state[name][:1]  # theirs makes three channels
    ours.load_state_dict(state)
    x = torch.rand(1, 1, 256, 256, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    with torch.no_grad():
        return float((other(x)[:, :1] - ours(x)).abs().max())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--resvit", type=Path, metavar="CHECKOUT")
    parser.add_argument("--spade", type=Path, metavar="CHECKOUT")
    args = parser.parse_args()
    for name, checkout, compare in (
        ("ResViT", args.resvit, resvit),
        ("SPADE", args.spade, spade),
    ):
        if checkout:
            sys.path.insert(0, str(checkout))
            for loaded in [n for n in sys.modules if n.split(".")[0] in ("models", "util")]:
                del sys.modules[loaded]
            print(f"{name}: largest difference of images on [-1, 1]: {compare():.1e}")
            sys.path.pop(0)
    table()


if __name__ == "__main__":
    main()
