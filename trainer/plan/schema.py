"""The plan of a run: every choice of a training, with a unit and a default, as one JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from core.models.base.config import ModelConfig
from core.models.family import FAMILIES
from core.models.mhvae.config import MHVAEConfig
from core.schema import BIG, Setting, faults, setting, settings_of, taken
from trainer.errors import TrainerError
from trainer.plan.migration import SCHEMA, migrated
from trainer.plan.sections import DataPlan, LogPlan, LossPlan, OptimiserPlan

__all__ = [
    "PRIVATE", "SETTINGS", "DataPlan", "LogPlan", "LossPlan", "OptimiserPlan", "Plan",
    "load_plan", "plan_from_dict", "settings_for",
]  # fmt: skip

PRIVATE = ("cohort", "start_from", "exclude", "transformer_from")
"""Settings that name files or cases; they never leave the machine."""
LENGTH = "Length and speed"


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run; :data:`SETTINGS` says what each setting means and may be."""

    cohort: Annotated[
        str,
        setting(about="Folder or CSV of the cases, on this machine only: never part of a bundle."),
    ] = ""
    exclude: Annotated[
        tuple[str, ...], setting(about="Ids of cases that were looked at and rejected.")
    ] = ()
    preset: Annotated[str, setting(about="Name of the preset it began as.")] = "paper"
    family: Annotated[
        str,
        setting("Family", "Which network is trained. mhvae and mvae, the one-level model of the "
                "paper's ablation, share their settings; every other family has its own.",
                paper="Table 1", group="Model", choices=tuple(FAMILIES)),
    ] = "mhvae"  # fmt: skip
    model: ModelConfig = field(default_factory=MHVAEConfig)
    data: DataPlan = field(default_factory=DataPlan)
    loss: LossPlan = field(default_factory=LossPlan)
    optimiser: OptimiserPlan = field(default_factory=OptimiserPlan)
    log: LogPlan = field(default_factory=LogPlan)
    start_from: Annotated[
        str, setting(about="Model file to begin with; empty for random weights.")
    ] = ""  # fmt: skip
    transformer_from: Annotated[
        str,
        setting(about="Local file with ImageNet weights for ResViT's transformer "
                "(R50+ViT-B_16.npz); empty for random ones."),
    ] = ""  # fmt: skip
    grow: Annotated[
        bool,
        setting(about="start_from is one level coarser; its weights become the inner levels."),
    ] = False  # fmt: skip
    seed: Annotated[
        int,
        setting("Seed", "Of weights, order, augmentation and noise.", group=LENGTH, ge=0, le=BIG),
    ] = 0  # fmt: skip
    threads: Annotated[
        int,
        setting("Threads", "For the network and for preparing cases; 0: all cores.", group=LENGTH,
                ge=0, le=4096),
    ] = 0  # fmt: skip
    device: Annotated[
        str,
        setting("Device", "auto takes a GPU if there is one.", group=LENGTH,
                choices=("auto", "cpu", "cuda")),
    ] = "auto"  # fmt: skip

    def __post_init__(self) -> None:
        wrong = faults(self)
        for name in SECTIONS:
            wrong += faults(getattr(self, name), f"{name}.")
        if not wrong:
            wrong = self._contradictions()
        if wrong:
            raise TrainerError("The training plan cannot be used: " + "; ".join(wrong) + ".")
        wanted = FAMILIES[self.family].config
        if not isinstance(self.model, wanted):
            raise TrainerError(
                f"The training plan is of family {self.family}, but describes a model of family "
                f"{self.model.family}. Choose one."
            )
        if isinstance(self.model, MHVAEConfig):
            model = replace(self.model, hierarchical=self.family == "mhvae")
            object.__setattr__(self, "model", model)
        levels, deepest = self.loss.expert_dropout_levels, self.model.levels - 1
        if levels > max(0, deepest):
            told = f"loss.expert_dropout_levels is {levels}; of the model's"
            raise TrainerError(
                f"{told} {self.model.levels} levels the coarsest must keep its experts."
            )

    def _contradictions(self) -> list[str]:
        """Say which settings do not go together."""
        data, o = self.data, self.optimiser
        held = data.validation + data.test
        slicing = data.slicing
        checks = [
            (
                slicing.plane == data.plane,
                f"data.orientation must be one of {data.plane} slices; found "
                f"{slicing.orientation}, which is {slicing.plane}",
            ),
            (bool(self.start_from) or not self.grow, "grow needs a model in start_from"),
            (
                self.family == "resvit" or not self.transformer_from,
                f"transformer_from is for a resvit; the family is {self.family}",
            ),
            (
                held < 1,
                f"data.validation and data.test must leave patients for training, together below "
                f"1; found {held:g}",
            ),
            (
                data.percentiles[0] < data.percentiles[1],
                "data.percentiles must be a lower and a higher number from 0 to 100; found "
                f"{list(data.percentiles)}",
            ),
            (
                o.rate_end <= o.rate,
                f"optimiser.rate_end must be at most optimiser.rate, {o.rate:g}; found "
                f"{o.rate_end:g}",
            ),
            (
                bool(o.epochs or o.steps or o.budget_seconds),
                "one of optimiser.epochs, optimiser.steps and optimiser.budget_seconds must be "
                "above 0; found 0",
            ),
            (
                not self.loss.subset_odds or sum(self.loss.subset_odds.values()) > 0,
                "loss.subset_odds must hold a number above 0; found none",
            ),
        ]
        return [sentence for ok, sentence in checks if not ok]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready values, with the schema version."""
        values = asdict(self)
        values["model"] = self.model.to_dict()
        return {"schema": SCHEMA, **values}

    def save(self, path: Path) -> None:
        """Write the plan as JSON."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def override(self, settings: Mapping[str, Any]) -> Plan:
        """Return a plan with some fields changed, named with dots: ``{"data.batch": 4}``."""
        values = self.to_dict()
        family = FAMILIES.get(settings.get("family", self.family))
        if family is not None and not isinstance(self.model, family.config):
            values["model"] = family.config(self.model.modalities).to_dict()
        for name, value in settings.items():
            *sections, last = name.split(".")
            place = values
            for section in sections:
                place = place.get(section, {})
            if not isinstance(place, dict) or last not in place:
                raise TrainerError(f"A training plan has no setting called {name!r}.")
            place[last] = value
        return plan_from_dict(values, "The changed plan")


SECTIONS: dict[str, type] = {
    "data": DataPlan,
    "model": MHVAEConfig,
    "loss": LossPlan,
    "optimiser": OptimiserPlan,
    "log": LogPlan,
}
TITLES = {
    "data": "Data", "model": "Model", "loss": "Loss", "optimiser": LENGTH, "log": "What is kept",
}  # fmt: skip


def sections_of(family: str) -> dict[str, type]:
    """Return the groups of settings of a plan; that of the model is the family's own."""
    known = FAMILIES.get(family)
    return {**SECTIONS, "model": known.config} if known else SECTIONS


def settings_for(family: str) -> dict[str, Setting]:
    """Return every setting of a family's plan by its dotted name, in the order of its fields."""
    own, sections = settings_of(Plan), sections_of(family)
    found = {}
    for name in (f.name for f in fields(Plan)):
        if name in own:
            found[name] = own[name]
            continue
        for last, one in settings_of(sections[name]).items():
            dotted, group = f"{name}.{last}", one.group or TITLES[name]
            found[dotted] = replace(one, name=dotted, group=group)
    return found


def plan_from_dict(values: Mapping[str, Any], where: str) -> Plan:
    """Rebuild a plan from :meth:`Plan.to_dict`; settings that are missing get their defaults.

    Raises:
        TrainerError: names every setting that is unknown or impossible, and what it may be.
        ModelError: the model's settings do not go together.
    """
    values = migrated(values, where)
    built, wrong = taken(Plan, values)
    if any(sentence.startswith("family ") for sentence in wrong):  # what its model may hold, then?
        raise TrainerError(f"{where} cannot be used as a training plan: {'; '.join(wrong)}.")
    unknown = sorted(set(values) - set(settings_of(Plan)) - set(SECTIONS))
    for name, cls in sections_of(values.get("family", "mhvae")).items():
        given = values.get(name, {})
        if not isinstance(given, Mapping):
            wrong.append(f"{name} must be a group of settings; found {given!r}")
            continue
        section, more = taken(cls, given, f"{name}.")
        wrong += more
        unknown += sorted(f"{name}.{n}" for n in set(given) - set(settings_of(cls)))
        if not more:
            built[name] = cls(**section)
    if unknown:
        raise TrainerError(
            f"{where} holds settings this version does not know: {', '.join(unknown)}. "
            "Correct the name, or update the program."
        )
    if wrong:
        raise TrainerError(f"{where} cannot be used as a training plan: {'; '.join(wrong)}.")
    return Plan(**built)


def load_plan(path: Path) -> Plan:
    """Read ``plan.json``; raises TrainerError when it is missing, not JSON or not a plan."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainerError(f"{path.name} cannot be read as a training plan: {error}.") from error
    if not isinstance(values, Mapping):
        raise TrainerError(f"{path.name} cannot be read as a training plan: it holds no settings.")
    return plan_from_dict(values, path.name)


SETTINGS = settings_for("mhvae")
"""Every setting of an MHVAE's plan by its dotted name, in the order of its fields."""
