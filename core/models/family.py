"""The families of models: what each is called, how it is configured, where its network is.

A family is a configuration (:class:`core.models.base.config.ModelConfig`, read without torch), a
network (:class:`core.models.base.network.Network`) and, to train it, the losses of a step
(:mod:`trainer.loop.families`). docs/developer.md adds one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.models.base.config import ModelConfig, ModelError
from core.models.mhvae.config import MHVAEConfig
from core.models.pix2pix.config import Pix2PixConfig
from core.models.resvit.config import ResViTConfig
from core.models.spade.config import SPADEConfig
from core.models.unet.config import UNetConfig


@dataclass(frozen=True)
class Family:
    """One kind of network.

    Attributes:
        title: what people call it.
        config: its configuration.
        network: ``module:class`` of the network, imported when one is built, because a header is
            read without torch.
        source: where it is described.
    """

    title: str
    config: type[ModelConfig]
    network: str
    source: str


FAMILIES: Mapping[str, Family] = {
    "mhvae": Family(
        "MHVAE", MHVAEConfig, "core.models.mhvae.model:MHVAE", "Dorent et al., MICCAI 2023"
    ),
    "mvae": Family(
        "MVAE", MHVAEConfig, "core.models.mhvae.mvae:MVAE", "Wu and Goodman, NeurIPS 2018"
    ),
    "pix2pix": Family(
        "Pix2Pix", Pix2PixConfig, "core.models.pix2pix.model:Pix2Pix", "Isola et al., CVPR 2017"
    ),
    "spade": Family(
        "SPADE", SPADEConfig, "core.models.spade.model:SPADE", "Park et al., CVPR 2019"
    ),
    "resvit": Family(
        "ResViT", ResViTConfig, "core.models.resvit.model:ResViT", "Dalmaz et al., IEEE TMI 2022"
    ),
    "unet": Family(
        "U-Net", UNetConfig, "core.models.unet.model:UNet", "Ronneberger et al., MICCAI 2015"
    ),
}
"""Name → family; the name stands in plans and model files."""


def family_of(name: str) -> Family:
    """Return a family by name.

    Raises:
        ModelError: there is none of that name.
    """
    if name not in FAMILIES:
        raise ModelError(
            f"There is no family of models called {name!r}; known are {', '.join(FAMILIES)}. The "
            "file was probably written by a newer version; update the program."
        )
    return FAMILIES[name]


def config_from_dict(values: Mapping[str, Any], name: str | None = None) -> ModelConfig:
    """Rebuild the configuration of a family; without a name it is an MHVAE or MVAE.

    Raises:
        ModelError: no such family, or a field is unknown or has an impossible value.
    """
    config = family_of(name or "mhvae").config.from_dict(values)
    if name and config.family != name:
        raise ModelError(f"The model says it is of family {name}, its settings {config.family}.")
    return config
