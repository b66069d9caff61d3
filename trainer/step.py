"""One optimiser step: all subsets of Eq. 9, backward after each, then the discriminators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainer.dataset import Batch
from trainer.discriminator import PatchDiscriminator
from trainer.losses import (
    composite,
    kl_per_level,
    lsgan,
    masked_l1,
    pixel_weight,
    subsets_of_step,
)
from trainer.plan import Plan

Terms = dict[str, float]


@dataclass(frozen=True)
class Weights:
    """The plan's schedules at one point of the run."""

    rate: float
    beta: float
    gan: float

    @classmethod
    def at(cls, plan: Plan, step: int, part: float) -> Weights:
        """Return learning rate, β and λ_GAN after ``part`` (0…1) of the run."""
        o, loss = plan.optimiser, plan.loss
        cosine = o.rate_end + (o.rate - o.rate_end) * 0.5 * (1 + math.cos(math.pi * min(part, 1)))
        return cls(
            rate=cosine * min(1.0, (step + 1) / max(1, o.warmup)),
            beta=loss.beta * min(1.0, part / loss.beta_ramp if loss.beta_ramp > 0 else 1.0),
            gan=loss.gan if part >= loss.gan_start else 0.0,
        )


@dataclass(frozen=True)
class Fake:
    """Images of a missing modality, kept for the discriminator."""

    modality: str
    images: Tensor
    fov: Tensor
    weight: Tensor


class Stepper:
    """Runs training steps on a model and its discriminators; holds no state of its own."""

    def __init__(
        self,
        model: nn.Module,
        discriminators: dict[str, PatchDiscriminator],
        plan: Plan,
        presence: set[tuple[str, ...]],
    ) -> None:
        self.model: Any = model
        self.discriminators = discriminators
        self.plan = plan
        self.presence = presence
        self.device = next(model.parameters()).device
        self.dtype = next(model.parameters()).dtype

    def generator(
        self, batch: Batch, first: int, step: int, weights: Weights
    ) -> tuple[Terms, list[Fake]]:
        """Add the gradients of Eq. 9 for some rows of the step's batch.

        Args:
            batch: the rows.
            first: place of the first row in the whole batch, which decides its noise.
            step: number of the step.
            weights: β and λ_GAN now.

        Returns:
            terms of the loss, already divided by the whole batch, so that they add up over calls;
            and the images the discriminators will learn from.
        """
        modalities = self.plan.model.modalities
        subsets = subsets_of_step(
            modalities, self.presence, self.plan.loss.subsets, [self.plan.seed, 4, step]
        )
        has = {s: torch.stack([batch.present[m] for m in s]).all(0) for s in subsets}
        # Each row averages over the subsets it can serve, and the batch over its rows.
        count = torch.stack(list(has.values())).sum(0).to(self.dtype)
        share = 1 / (count * self.plan.data.batch)

        # The contracting path does not depend on the subset: run it once, collect the gradients of
        # its features over the subsets, and go back through it once.
        owners = {m: torch.nonzero(batch.present[m])[:, 0] for m in modalities}
        owners = {m: rows for m, rows in owners.items() if len(rows)}
        features = {m: self.model.encoders[m](batch.images[m][r]) for m, r in owners.items()}
        leaves = {m: [f.detach().requires_grad_() for f in fs] for m, fs in features.items()}
        terms: Terms = {}
        fakes: list[Fake] = []
        for number, subset in enumerate(subsets):
            rows = torch.nonzero(has[subset])[:, 0]
            if not len(rows):
                continue
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self._amp):
                chosen = {m: _pick(leaves[m], owners[m], rows) for m in subset}
                loss, kept = self._subset_loss(
                    batch, rows, first, number, subset, chosen, share, step, weights, terms
                )
            loss.backward()
            fakes += kept
        reached = [
            (feature, leaf.grad)
            for m in features
            for feature, leaf in zip(features[m], leaves[m], strict=True)
            if leaf.grad is not None
        ]
        torch.autograd.backward([f for f, _ in reached], [g for _, g in reached])
        return terms, fakes

    @property
    def _amp(self) -> bool:
        return self.plan.optimiser.amp and self.device.type == "cuda"

    def _subset_loss(
        self,
        batch: Batch,
        rows: Tensor,
        first: int,
        number: int,
        subset: tuple[str, ...],
        features: dict[str, list[Tensor]],
        share: Tensor,
        step: int,
        weights: Weights,
        terms: Terms,
    ) -> tuple[Tensor, list[Fake]]:
        plan = self.plan
        noise = self._noise([step, number], [first + int(r) for r in rows])
        out = self.model.decode(features, len(rows), like=batch.fov, noise=noise)
        fov, weight = batch.fov[rows], share[rows]
        name = "+".join(subset)
        kl = kl_per_level(out.kl, fov[0].numel())
        loss = weights.beta * (kl.sum(0) * weight).sum()
        for level, value in enumerate((kl.detach().sum(1) / plan.data.batch).tolist()):
            _add(terms, f"kl/{name}/{len(kl) - level}", value)
        fakes = []
        for m, image in out.images.items():
            seen = batch.present[m][rows].to(self.dtype)
            if not seen.any():
                continue
            target = batch.images[m][rows]
            pixels = pixel_weight(fov, target, plan.loss.outside, m in subset)
            loss = loss + plan.loss.l1 * (masked_l1(image, target, pixels) * seen * weight).sum()
            with torch.no_grad():
                area = fov.mean(dim=(1, 2, 3)).clamp_min(1e-6)
                mean = masked_l1(image, target, fov) / area * seen / plan.data.batch
                _add(terms, f"l1/{name}/{m}", float(mean.sum()))
            if weights.gan > 0 and (m not in subset or plan.loss.gan_outputs == "all"):
                critic = self.discriminators[m].requires_grad_(False)
                judged = lsgan(critic(composite(image, fov)), fov, 1.0) * seen
                loss = loss + weights.gan * (judged * weight).sum()
                _add(terms, f"gan/{name}/{m}", float(judged.detach().sum()) / plan.data.batch)
            if self.discriminators and m not in subset:
                fakes.append(Fake(m, composite(image.detach(), fov), fov, seen * weight))
        _add(terms, "loss", float(loss.detach()))
        return loss, fakes

    def _noise(self, place: Sequence[int], rows: Sequence[int]) -> list[Tensor]:
        """Draw each row's noise from its own seed, so that splitting a batch changes nothing."""
        drawn = []
        for row in rows:
            seeds = np.random.SeedSequence([self.plan.seed, 3, *place, row])
            generator = torch.Generator(self.device).manual_seed(
                int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1))
            )
            drawn.append(
                [
                    torch.empty(shape, device=self.device, dtype=self.dtype).normal_(
                        generator=generator
                    )
                    for shape in self.model.noise_shapes(1)
                ]
            )
        return [torch.cat(level) for level in zip(*drawn, strict=True)]

    def discriminator(self, batch: Batch, fakes: Sequence[Fake]) -> Terms:
        """Add the discriminators' gradients: LSGAN with every missing target as a negative."""
        terms: Terms = {}
        for m, critic in self.discriminators.items():
            mine = [f for f in fakes if f.modality == m]
            rows = torch.nonzero(batch.present[m])[:, 0]
            if not mine or not len(rows):
                continue
            critic.requires_grad_(True)
            fov = batch.fov[rows]
            scores = critic(composite(batch.images[m][rows], fov))
            real = lsgan(scores, fov, 1.0).sum() / self.plan.data.batch
            total = sum(float(f.weight.sum()) for f in mine)
            real = real * 0.5
            real.backward()
            fake = 0.0
            means = []
            for f in mine:
                judged = critic(f.images)
                loss = 0.5 * (lsgan(judged, f.fov, 0.0) * f.weight).sum() / max(total, 1e-12)
                loss = loss * (len(rows) / self.plan.data.batch)
                loss.backward()
                fake += float(loss.detach())
                means.append(float(judged.detach().mean()))
            part = len(rows) / self.plan.data.batch
            _add(terms, f"d/{m}/loss", float(real.detach()) + fake)
            _add(terms, f"d/{m}/real", float(scores.detach().mean()) * part)
            _add(terms, f"d/{m}/fake", sum(means) / len(means) * part)
        return terms


def _pick(maps: Sequence[Tensor], owners: Tensor, rows: Tensor) -> list[Tensor]:
    """Select from features computed for ``owners`` those of ``rows``."""
    if len(owners) == len(rows):
        return list(maps)
    places = torch.searchsorted(owners, rows)
    return [x[places] for x in maps]


def _add(terms: Terms, name: str, value: float) -> None:
    terms[name] = terms.get(name, 0.0) + value


def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the averaged weights towards the model's; faster at the start, when they are far."""
    decay = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)
