"""Begin a run from a model: its weights, and with them its architecture and preprocessing."""

from __future__ import annotations

from dataclasses import replace

from core.models.bundle import Bundle
from trainer.plan.schema import Plan


def begin_from(plan: Plan, bundle: Bundle) -> Plan:
    """Return the plan with the model's weights, architecture, spacing, plane and percentiles."""
    used = bundle.preprocessing
    return replace(
        plan,
        start_from=str(bundle.path.resolve()) if bundle.path else bundle.name,
        model=bundle.config,
        family="mhvae" if bundle.config.hierarchical else "mvae",
        data=replace(
            plan.data, spacing=used.spacing, plane=used.plane, percentiles=used.percentiles
        ),
    )
