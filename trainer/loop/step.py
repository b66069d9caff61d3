"""One optimiser step: all subsets of Eq. 9, backward after each, then the discriminators."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from core.models.mhvae.model import MHVAEOutput
from trainer.loop.discriminator import PatchDiscriminator
from trainer.loop.losses import (
    composite,
    draw_subset,
    kl_per_level,
    local_mean,
    lsgan,
    masked_l1,
    mean_score,
    pixel_weight,
    subsets_of_step,
    watched,
)
from trainer.loop.schedule import Weights
from trainer.loop.terms import EXPECTED, Terms, add
from trainer.loop.tiles import Batch
from trainer.plan.schema import Plan


@dataclass(frozen=True)
class Fake:
    """Images of a missing modality, kept for its discriminator.

    Attributes:
        modality: which one.
        images: (b, 1, H, W), background -1.
        fov: (b, 1, H, W).
        weight: (b,) part of the discriminator's loss; over a row's fakes it adds up to 1 / batch.
    """

    modality: str
    images: Tensor
    fov: Tensor
    weight: Tensor


@dataclass(frozen=True)
class _Piece:
    """Some rows of a step's batch, with what their loss needs.

    Attributes:
        batch: the rows.
        first: place of the first row in the whole batch, which decides its noise.
        step: number of the step.
        weights: β and λ_GAN now.
        share: (b,) weight of one subset of a row: 1 / (subsets the row can serve · batch).
        fake_share: modality → (b,) the same over the sampled subsets that lack it.
    """

    batch: Batch
    first: int
    step: int
    weights: Weights
    share: Tensor
    fake_share: dict[str, Tensor]


class Stepper:
    """Finds the gradients of training steps; holds no state of its own.

    Args:
        model: an MHVAE or MVAE.
        discriminators: modality → PatchGAN; empty without adversarial loss.
        plan: weights of the terms and size of the whole batch.
        presence: the sets of modalities that cases of the cohort have.
    """

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
            first: place of the first row in the whole batch.
            step: number of the step.
            weights: β and λ_GAN now.

        Returns:
            terms of the loss, already divided by the whole batch, so that they add up over calls;
            and the images the discriminators will learn from.
        """
        modalities, size = self.plan.model.modalities, self.plan.data.batch
        seed = [self.plan.seed, 4, step]
        subsets = subsets_of_step(modalities, self.presence, self.plan.loss.subsets, seed)
        if self.plan.loss.subset_odds:
            subsets = draw_subset(subsets, self.plan.loss.subset_odds, seed)
        factors = {s: self._temperature(step, n, weights.mean_path) for n, s in enumerate(subsets)}
        has = {s: torch.stack([batch.present[m] for m in s]).all(0) for s in subsets}

        def share(chosen: list[tuple[str, ...]]) -> Tensor:
            nothing = torch.zeros_like(batch.fov[:, 0, 0, 0])
            served = sum((has[s].to(self.dtype) for s in chosen), nothing)
            return 1 / (served.clamp_min(1) * size)

        judged = [s for s in subsets if factors[s] > 0]
        lacking = {m: share([s for s in judged if m not in s]) for m in modalities}
        piece = _Piece(batch, first, step, weights, share(subsets), lacking)

        # The contracting path does not depend on the subset: run it once, collect the gradients of
        # its features over the subsets, and go back through it once.
        used = [m for m in modalities if any(m in s for s in subsets)]
        owners = {m: torch.nonzero(batch.present[m])[:, 0] for m in used}
        owners = {m: rows for m, rows in owners.items() if len(rows)}
        with self._precision():
            features = {m: self.model.encoders[m](batch.images[m][r]) for m, r in owners.items()}
        leaves = {m: [f.detach().requires_grad_() for f in fs] for m, fs in features.items()}
        terms: Terms = {}
        fakes: list[Fake] = []
        for number, subset in enumerate(subsets):
            rows = torch.nonzero(has[subset])[:, 0]
            if len(rows):
                chosen = {m: _pick(leaves[m], owners[m], rows) for m in subset}
                temperature = factors[subset]
                places = [first + int(r) for r in rows]
                with self._precision():
                    out = self.model.decode(
                        chosen,
                        len(rows),
                        like=batch.fov,
                        temperature=temperature,
                        noise=self._noise([step, number], places) if temperature else None,
                        without=self._dropped(step, number),
                    )
                    loss = self._loss(piece, rows, subset, out, terms, fakes, temperature > 0)
                loss.backward()
        reached = [
            (feature, leaf.grad)
            for m in features
            for feature, leaf in zip(features[m], leaves[m], strict=True)
            if leaf.grad is not None
        ]
        torch.autograd.backward([f for f, _ in reached], [g for _, g in reached])
        return terms, fakes

    def _precision(self) -> torch.autocast:
        amp = self.plan.optimiser.amp and self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=amp)

    def _loss(
        self,
        piece: _Piece,
        rows: Tensor,
        subset: tuple[str, ...],
        out: MHVAEOutput,
        terms: Terms,
        fakes: list[Fake],
        sampled: bool,
    ) -> Tensor:
        """Return one subset's loss; add what it says to ``terms`` and ``fakes``.

        The discriminators judge samples alone: the mean path is the expected image, which looks
        like no single one.
        """
        plan, size = self.plan, self.plan.data.batch
        fov, share = piece.batch.fov[rows], piece.share[rows]
        name = "+".join(subset)
        assert out.kl is not None
        kl = kl_per_level(out.kl, fov[0].numel())
        loss = piece.weights.beta * (kl.sum(0) * share).sum()
        add(terms, "weighted/kl", float(loss.detach()))
        for level, value in enumerate((kl.detach().sum(1) / size).tolist()):
            add(terms, f"kl/{name}/{len(kl) - level}", value, len(rows) / size)
        for m, image in out.images.items():
            seen = piece.batch.present[m][rows].to(self.dtype)
            if not seen.any():
                continue
            batch = piece.batch
            target = (batch.images[m] if m in subset else batch.missing_target(m))[rows]
            pixels = pixel_weight(fov, target, plan.loss.outside, m in subset)
            judging = piece.weights.gan > 0 and sampled
            adversarial = judging and (m not in subset or plan.loss.gan_outputs == "all")
            compared = watched(image, terms, f"pull/l1/{m}") if adversarial else image
            aimed = target
            if adversarial and m not in subset and m in batch.expected:
                blurred = batch.has_expected[m][rows]
                compared, aimed = (self._averaged(x, fov, blurred) for x in (compared, target))
            l1 = plan.loss.l1 * (masked_l1(compared, aimed, pixels) * seen * share).sum()
            loss = loss + l1
            add(terms, "weighted/l1", float(l1.detach()))
            with torch.no_grad():
                area = fov.mean(dim=(1, 2, 3)).clamp_min(1e-6)
                for ending, aim, has in _aims(piece.batch, m, m in subset):
                    there = has[rows].to(self.dtype) / size
                    mean = (masked_l1(image, aim[rows], fov) / area * there).sum()
                    add(terms, f"l1/{name}/{m}{ending}", float(mean), float(there.sum()))
            if adversarial:
                critic = self.discriminators[m].requires_grad_(False)
                shown = watched(image, terms, f"pull/gan/{m}")
                judged = lsgan(critic(composite(shown, fov)), fov, 1.0) * seen
                gan = piece.weights.gan * (judged * share).sum()
                loss = loss + gan
                add(terms, "weighted/gan", float(gan.detach()))
                told = float(judged.detach().sum()) / size
                add(terms, f"gan/{name}/{m}", told, float(seen.sum()) / size)
            if judging and m not in subset:
                part = seen * piece.fake_share[m][rows]
                fakes.append(Fake(m, composite(image.detach(), fov), fov, part))
        add(terms, "loss", float(loss.detach()))
        return loss

    def _averaged(self, image: Tensor, fov: Tensor, rows: Tensor) -> Tensor:
        mean = local_mean(image, fov, self.plan.loss.gan_blur)
        return torch.where(rows.view(-1, 1, 1, 1), mean, image)

    def _temperature(self, step: int, number: int, mean_path: float) -> float:
        """Return 0 for the part of the passes that follow the mean path, else 1."""
        random = np.random.default_rng([self.plan.seed, 5, step, number])
        return 0.0 if random.random() < mean_path else 1.0

    def _dropped(self, step: int, number: int) -> range:
        """Return the levels at which a pass has the prior alone; mostly none."""
        loss = self.plan.loss
        random = np.random.default_rng([self.plan.seed, 6, step, number])
        dropped = random.random() < loss.expert_dropout
        return range(1, 1 + loss.expert_dropout_levels * dropped)

    def _noise(self, place: Sequence[int], rows: Sequence[int]) -> list[Tensor]:
        """Draw each row's noise from its own seed, so that splitting a batch changes nothing."""
        drawn = []
        for row in rows:
            seeds = np.random.SeedSequence([self.plan.seed, 3, *place, row])
            generator = torch.Generator(self.device)
            generator.manual_seed(int(seeds.generate_state(1, np.uint64)[0] >> np.uint64(1)))
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
        """Add the discriminators' gradients: LSGAN, every missing target a negative.

        Half the loss is on real images, half on the fakes, which share it whatever their number.

        Args:
            batch: the rows the fakes were made of.
            fakes: what :meth:`generator` returned for them.
        """
        terms: Terms = {}
        size = self.plan.data.batch
        for m, critic in self.discriminators.items():
            mine = [f for f in fakes if f.modality == m]
            rows = torch.nonzero(batch.present[m])[:, 0]
            if not mine or not len(rows):
                continue
            critic.requires_grad_(True)
            fov = batch.fov[rows]
            weight = torch.full((len(rows),), 1 / size, dtype=self.dtype, device=self.device)
            real = Fake(m, composite(batch.images[m][rows], fov), fov, weight)
            for goal, name, shown in ((1.0, "real", [real]), (0.0, "fake", mine)):
                for f in shown:
                    with self._precision():
                        scores = critic(f.images)
                        loss = 0.5 * (lsgan(scores, f.fov, goal) * f.weight).sum()
                    loss.backward()
                    mean = (mean_score(scores.detach(), f.fov) * f.weight).sum()
                    add(terms, f"d/{m}/loss", float(loss.detach()))
                    add(terms, f"d/{m}/{name}", float(mean), float(f.weight.sum()))
        return terms


def _pick(maps: Sequence[Tensor], owners: Tensor, rows: Tensor) -> list[Tensor]:
    """Select from features computed for ``owners`` those of ``rows``."""
    if len(owners) == len(rows):
        return list(maps)
    places = torch.searchsorted(owners, rows)
    return [x[places] for x in maps]


def _aims(batch: Batch, m: str, is_input: bool) -> list[tuple[str, Tensor, Tensor]]:
    """Return what the log compares an image with: end of the name, target, rows that have it."""
    aims = [("", batch.images[m], batch.present[m])]
    if not is_input and m in batch.expected:
        aims.append((EXPECTED, batch.missing_target(m), batch.has_expected[m]))
    return aims
