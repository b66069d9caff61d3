"""What the plan of each family has of its own: the size of its network, the loss of its paper."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from core.models.base.config import OneWayConfig
from core.models.family import FAMILIES
from core.models.mhvae.config import MHVAEConfig
from trainer.errors import TrainerError
from trainer.plan.patches import fits
from trainer.plan.presets import preset
from trainer.plan.schema import LossPlan, Plan

SIZES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "quick": {
        "pix2pix": {"base_features": 32, "pools": 5},
        "spade": {"base_features": 8, "hidden": 32},
        "resvit": {"base_features": 16, "hidden": 192, "layers": 6, "heads": 6, "mlp": 768},
        "unet": {"base_features": 16},
    },
    "smoke": {
        "pix2pix": {"base_features": 8, "pools": 4},
        "spade": {"base_features": 4, "hidden": 8, "pools": 3},
        "resvit": {
            "base_features": 4, "hidden": 16, "layers": 2, "heads": 2, "mlp": 32, "blocks": 3,
            "transformers": (1, 3),
        },
        "unet": {"base_features": 4, "pools": 3},
    },
}  # fmt: skip
"""Preset → family → its network's settings; the papers' own sizes where nothing is said."""


OF_A_FAMILY = (
    "l1", "outside", "gan", "gan_start", "gan_conditional", "gan_loss", "gan_scales",
    "feature_matching",
)  # fmt: skip
"""Settings of the loss that every family has its own values for."""


OF_LATENTS = (
    "loss.beta", "loss.beta_ramp", "loss.subset_odds", "loss.mean_path", "loss.mean_path_first",
    "loss.expert_dropout", "loss.expert_dropout_levels",
)  # fmt: skip
"""Settings that only networks with a prior and experts heed."""


def without_effect(family: str) -> frozenset[str]:
    """Return the dotted names of settings that a family's training does not heed."""
    config = FAMILIES[family].config
    found = set() if issubclass(config, MHVAEConfig) else set(OF_LATENTS)
    if issubclass(config, OneWayConfig):
        found.add("loss.subsets")
    if family != "resvit":
        found.add("loss.transformers_start")
    return frozenset(found)


def with_family(plan: Plan, family: str, target: str = "") -> Plan:
    """Return the plan of another family: the same cases, tiles and length.

    Its network has the size that suits the plan's preset, and loss and optimiser are as its paper
    has them, as far as the plan's settings go.

    Args:
        plan: of any family.
        family: name in :data:`core.models.family.FAMILIES`.
        target: what a model of one direction makes; as before, or the first modality, when empty.

    Raises:
        TrainerError: a target is named of a family that makes all.
        ModelError: its network cannot have the plan's tile.
    """
    cls = FAMILIES[family].config
    one_way = issubclass(cls, OneWayConfig)
    if target and not one_way:
        raise TrainerError(
            f"A {family} model makes every modality; leave --target out, or choose a family of one "
            "direction."
        )
    if family == plan.family and not target:
        return plan
    usual = preset(plan.preset)
    o = plan.optimiser
    length = {name: getattr(o, name) for name in ("epochs", "steps", "budget_seconds")}
    optimiser = replace(usual.optimiser, **length, ema=o.ema)
    loss = replace(plan.loss, **{name: getattr(usual.loss, name) for name in OF_A_FAMILY})
    if family in _LOSSES:
        loss = _LOSSES[family](loss)
    if loss.gan_conditional:
        optimiser = replace(optimiser, kind="adam", rate=2e-4, rate_end=2e-5, clip=0.0)
    if family == "resvit":  # when its transformers join, it is worse for a while
        optimiser = replace(optimiser, diverge=0.0, give_up=0)
    old = plan.model
    if cls is type(old):
        model = old
    elif cls is type(usual.model):
        model = replace(usual.model, modalities=old.modalities, tile=old.tile)
    else:
        size = SIZES.get(plan.preset, {}).get(family, {})
        model = cls(modalities=old.modalities, tile=old.tile, **size)
    if isinstance(model, OneWayConfig):
        kept = old.target if isinstance(old, OneWayConfig) else old.modalities[0]
        model = replace(model, target=target or kept)
    while loss.gan_scales > 1 and not _fits(model.tile, loss):
        loss = replace(loss, gan_scales=loss.gan_scales - 1)
    return replace(
        plan, family=family, model=model, loss=loss, optimiser=optimiser, transformer_from=""
    )


def with_modalities(plan: Plan, modalities: tuple[str, ...]) -> Plan:
    """Return the plan for other modalities; the target of one direction stays among them."""
    model = plan.model
    if isinstance(model, OneWayConfig) and model.target not in modalities:
        return replace(plan, model=replace(model, modalities=modalities, target=modalities[0]))
    return replace(plan, model=replace(model, modalities=modalities))


def _fits(tile: tuple[int, int], loss: LossPlan) -> bool:
    """Tell whether the discriminator at the coarsest scale has patches to score."""
    coarse = loss.gan_scales - 1
    return fits((tile[0] >> coarse, tile[1] >> coarse), loss.gan_layers)


def _pix2pix(loss: LossPlan) -> LossPlan:
    """L1 of weight 100 beside a conditional GAN from the first step (Isola et al., Eq. 4)."""
    return replace(
        loss, l1=100.0, gan=1.0, gan_start=0.0, gan_conditional=True, gan_loss="cross_entropy"
    )


def _spade(loss: LossPlan) -> LossPlan:
    """Hinge, two scales and feature matching (Park et al., 3 and appendix A).

    Their distance of VGG features needs weights that are not ours to ship; L1 of its weight, 10,
    is in its place.
    """
    return replace(
        loss, l1=10.0, gan=1.0, gan_start=0.0, gan_conditional=True, gan_loss="hinge",
        gan_scales=2, feature_matching=10.0,
    )  # fmt: skip


def _resvit(loss: LossPlan) -> LossPlan:
    """L1 of weight 100 on missing and given images; conditional GAN (Dalmaz et al., III-C)."""
    return replace(
        loss, l1=100.0, gan=1.0, gan_start=0.0, gan_conditional=True, gan_loss="lsgan", outside=1.0
    )


def _unet(loss: LossPlan) -> LossPlan:
    """L1 alone."""
    return replace(loss, gan=0.0)


_LOSSES = {"pix2pix": _pix2pix, "spade": _spade, "resvit": _resvit, "unet": _unet}
