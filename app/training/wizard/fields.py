"""How people read and write a plan's settings; what each means stands in the plan's schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from core.errors import UserError
from core.schema import Setting
from trainer.plan.families import without_effect
from trainer.plan.schema import Plan, settings_for


class FieldError(UserError):
    """A value that a setting cannot have."""


def fields_of(family: str) -> dict[str, Setting]:
    """Return the settings the form shows; other steps decide the rest, or they follow of others.

    A setting that the family's training does not heed is no setting.
    """
    idle = without_effect(family)
    every = settings_for(family).items()
    return {name: one for name, one in every if one.label and name not in idle}


FIELDS = fields_of("mhvae")


def sections(family: str = "mhvae") -> dict[str, list[Setting]]:
    """Return the form's headings with the settings of a family's plan."""
    found: dict[str, list[Setting]] = {"Data": [], "Model": [], "Loss": []}
    for one in fields_of(family).values():
        found.setdefault(one.group, []).append(one)
    return found


def values_of(plan: Plan) -> dict[str, Any]:
    """Return every setting's value by its dotted name."""
    values = plan.to_dict()
    found = {}
    for name in fields_of(plan.family):
        section, _, last = name.rpartition(".")
        found[name] = (values[section] if section else values)[last]
    return found


def value_of(plan: Plan, name: str) -> Any:
    """Return one setting's value by its dotted name."""
    return values_of(plan)[name]


def shown(value: Any) -> str:
    """Return a setting's value as people write it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {number:g}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(shown(v) for v in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def read(name: str, text: str, family: str = "mhvae") -> Any:
    """Read what was typed for a setting of a family's plan.

    Raises:
        FieldError: says what was expected.
    """
    one, text = settings_for(family)[name], text.strip()
    try:
        return one.check(_parsed(one, text))
    except ValueError:
        expected = "yes or no" if isinstance(one.default, bool) else one.expected
        raise FieldError(f"{one.label}: expected {expected}; found {text!r}.") from None


def _parsed(one: Setting, text: str) -> Any:
    """Return typed text as a value of about the right kind; the setting judges it."""
    if one.choices or isinstance(one.default, str):
        return text
    if isinstance(one.default, bool):
        return {"yes": True, "no": False}.get(text)
    if isinstance(one.default, Mapping):
        pairs = [part.split(":") for part in text.split(",") if part.strip()]
        return {key.strip(): json.loads(value) for key, value in pairs}
    if isinstance(one.default, tuple):
        return [json.loads(part) for part in text.split(",")]
    return json.loads(text) if text else None


def tooltip(one: Setting, default: Any) -> str:
    """Return what a setting's tooltip says."""
    unit = f" Unit: {one.unit}." if one.unit else ""
    told = "" if one.choices or isinstance(one.default, bool) else f" It is {one.expected}."
    usual = shown(default) or "none"
    return f"{one.about}{unit}{told} Default: {usual}. Paper: {one.paper}."


def length(plan: Plan) -> str:
    """Say how long a plan trains."""
    o = plan.optimiser
    if o.budget_seconds > 0:
        return (
            f"{o.budget_seconds / 3600:g} hours"
            if o.budget_seconds >= 3600
            else (f"{o.budget_seconds / 60:g} minutes")
        )
    return f"{o.steps} steps" if o.steps else f"{o.epochs} epochs"


def summary(plan: Plan) -> str:
    """Describe a plan in one line."""
    height, width = plan.model.tile
    gan = f"GAN from {plan.loss.gan_start:.0%} of the run" if plan.loss.gan > 0 else "no GAN"
    return (
        f"tiles of {height}x{width} pixels at {max(plan.data.spacing):g} mm, "
        f"{plan.model.words}, batch {plan.data.batch}, {length(plan)}, {gan}"
    )
