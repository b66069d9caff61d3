"""Begin a run from a model: its weights, and with them its architecture and preprocessing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.errors import UserError
from core.models.bundle import Bundle, header
from core.models.mhvae.config import MHVAEConfig
from trainer.errors import TrainerError
from trainer.plan.schema import Plan

GENTLE = 2e-4
"""Learning rate that changes what a model knows without wiping it out."""
WARMUP = 200
"""Steps in which the optimiser's moments, which a model file does not hold, are found again."""


def begin_from(plan: Plan, bundle: Bundle) -> Plan:
    """Return the plan with the model's weights, architecture, spacing, plane and percentiles.

    Learning rate, warm-up, β and the mean path do not begin as from random weights: a high rate
    would wipe out what the model knows, and β that begins at 0 would let it forget its prior.
    """
    same = _take_on(plan, bundle)
    o, loss = same.optimiser, same.loss
    rate = min(o.rate, GENTLE)
    gentle = replace(
        o, rate=rate, rate_end=min(o.rate_end, rate / 10), warmup=max(o.warmup, WARMUP)
    )
    if o.steps:
        gentle = replace(gentle, warmup=min(gentle.warmup, max(o.warmup, o.steps // 10)))
    return replace(same, optimiser=gentle, loss=replace(loss, beta_ramp=0.0, mean_path_first=0.0))


def _take_on(plan: Plan, bundle: Bundle) -> Plan:
    used = bundle.preprocessing
    return replace(
        plan,
        start_from=str(bundle.path.resolve()) if bundle.path else bundle.name,
        grow=False,
        model=bundle.config,
        family=bundle.config.family,
        data=replace(
            plan.data,
            spacing=used.spacing,
            plane=used.plane,
            orientation=None if used.slicing.usual else used.orientation,
            percentiles=used.percentiles,
        ),
    )


def grow_from(plan: Plan, bundle: Bundle) -> Plan:
    """Return the plan of a model one level finer than ``bundle``, which takes over its weights.

    Half the spacing, twice the tile, one pooling more, and half the features at full resolution, so
    that every inner level keeps its width.

    Raises:
        TrainerError: it is no MHVAE, or its features cannot be halved.
    """
    coarse = bundle.config
    if not isinstance(coarse, MHVAEConfig):
        raise TrainerError(
            f"{bundle.name} is a {coarse.family} model; only an MHVAE or MVAE can grow by a level."
        )
    if coarse.base_features % 4:
        raise TrainerError(
            f"{bundle.name} cannot grow by a level: it has {coarse.base_features} features at full "
            "resolution; expected a multiple of 4, so that half of them is an even number."
        )
    same = _take_on(plan, bundle)
    left, right, up = same.data.spacing
    return replace(
        same,
        grow=True,
        model=_grown(coarse),
        data=replace(same.data, spacing=(left / 2, right / 2, up / 2)),
    )


def _grown(coarse: MHVAEConfig) -> MHVAEConfig:
    return replace(
        coarse,
        pools=coarse.pools + 1,
        tile=(2 * coarse.tile[0], 2 * coarse.tile[1]),
        base_features=coarse.base_features // 2,
    )


def check_start(plan: Plan) -> None:
    """Look whether the model a new run begins from is what its plan needs, before work begins.

    Raises:
        TrainerError: says what was expected and what the model has.
        ModelError: its file cannot be read.
    """
    bundle = header(plan.start_from)
    if plan.grow:
        _check_coarser(plan, bundle)
    elif bundle.config != plan.model:
        raise TrainerError(
            f"{Path(plan.start_from).name} has another architecture than the plan. "
            "Take the plan's model settings from that model."
        )


def seen_before(plan: Plan) -> tuple[str, ...]:
    """Return the hashes of the images that the model a run begins with was trained on.

    What a model was fitted to stays in its weights, whatever it is trained on afterwards. Empty
    when the run begins with no model, or its model says nothing.
    """
    try:
        data = header(plan.start_from).card.get("data") if plan.start_from else None
    except UserError:  # deleted since the run began
        return ()
    return tuple(data.get("images", ())) if isinstance(data, dict) else ()


def _check_coarser(plan: Plan, bundle: Bundle) -> None:
    fine, coarse, used = plan.model, bundle.config, bundle.preprocessing
    if not isinstance(fine, MHVAEConfig) or not isinstance(coarse, MHVAEConfig):
        raise TrainerError(
            f"A {fine.family} model cannot grow from a {coarse.family} one; only MHVAEs and MVAEs "
            "grow."
        )
    height, width = fine.tile
    axes = [axis for axis in range(3) if axis != plan.data.slicing.axis]
    wanted = [2 * plan.data.spacing[axis] for axis in axes]
    there = [used.spacing[axis] for axis in axes]
    checks = {
        "the modalities": (fine.modalities, coarse.modalities),
        "the family": (fine.hierarchical, coarse.hierarchical),
        "the plane": (plan.data.plane, used.plane),
        "the orientation": (plan.data.slicing.orientation, used.orientation),
        "poolings": (fine.pools - 1, coarse.pools),
        "the tile": ((height // 2, width // 2), coarse.tile),
        "the spacing": ([round(mm, 6) for mm in wanted], [round(mm, 6) for mm in there]),
    }
    wrong = [
        f"{name}: expected {expected}, found {found}"
        for name, (expected, found) in checks.items()
        if expected != found
    ]
    if wrong:
        raise TrainerError(
            f"{bundle.name} is not one level coarser than the plan ({'; '.join(wrong)}). Choose "
            "another model, or let --grow decide the plan's model."
        )
