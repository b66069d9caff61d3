"""What the steps of all families share: shares of a batch, losses of images, the discriminators."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from core.models.base.network import stacked
from trainer.loop.discriminator import Discriminator
from trainer.loop.losses import (
    adversarial,
    composite,
    feature_distance,
    known,
    local_mean,
    masked_l1,
    mean_score,
    pixel_weight,
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
        rows: (b,) the rows of the batch they were made of.
        subset: the inputs they were made from.
    """

    modality: str
    images: Tensor
    fov: Tensor
    weight: Tensor
    rows: Tensor
    subset: tuple[str, ...]


@dataclass(frozen=True)
class Piece:
    """Some rows of a step's batch, with what their loss needs.

    Attributes:
        batch: the rows.
        first: place of the first row in the whole batch, which decides its noise.
        step: number of the step.
        weights: the schedules now.
        share: (b,) weight of one subset of a row: 1 / (subsets the row can serve · batch).
        fake_share: modality → (b,) the same over the judged subsets that lack it.
    """

    batch: Batch
    first: int
    step: int
    weights: Weights
    share: Tensor
    fake_share: dict[str, Tensor]


class BaseStepper:
    """Finds the gradients of training steps; holds no state of its own.

    A family's stepper says by :meth:`generator` what is made of which subset.

    Args:
        model: the network.
        discriminators: modality → PatchGAN; empty without adversarial loss.
        plan: weights of the terms and size of the whole batch.
        presence: the sets of modalities that cases of the cohort have.
    """

    def __init__(
        self,
        model: nn.Module,
        discriminators: Mapping[str, Discriminator],
        plan: Plan,
        presence: set[tuple[str, ...]],
    ) -> None:
        self.model: Any = model
        self.discriminators = discriminators
        self.plan = plan
        self.presence = presence
        self.device = next(model.parameters()).device
        self.dtype = next(model.parameters()).dtype

    @abstractmethod
    def generator(
        self, batch: Batch, first: int, step: int, weights: Weights
    ) -> tuple[Terms, list[Fake]]:
        """Add the generator's gradients for some rows of the step's batch.

        Args:
            batch: the rows.
            first: place of the first row in the whole batch.
            step: number of the step.
            weights: the schedules now.

        Returns:
            terms of the loss, already divided by the whole batch, so that they add up over calls;
            and the images the discriminators will learn from.
        """

    def _piece(
        self,
        batch: Batch,
        first: int,
        step: int,
        weights: Weights,
        subsets: Sequence[tuple[str, ...]],
        judged: Sequence[tuple[str, ...]],
    ) -> Piece:
        size = self.plan.data.batch

        def share(chosen: Sequence[tuple[str, ...]]) -> Tensor:
            nothing = torch.zeros_like(batch.fov[:, 0, 0, 0])
            served = sum((self._has(batch, s).to(self.dtype) for s in chosen), nothing)
            return 1 / (served.clamp_min(1) * size)

        names = self.plan.model.modalities
        lacking = {m: share([s for s in judged if m not in s]) for m in names}
        return Piece(batch, first, step, weights, share(subsets), lacking)

    def _has(self, batch: Batch, subset: tuple[str, ...]) -> Tensor:
        return torch.stack([batch.present[m] for m in subset]).all(0)

    def _precision(self) -> torch.autocast:
        amp = self.plan.optimiser.amp and self.device.type == "cuda"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=amp)

    def _image_loss(
        self,
        piece: Piece,
        rows: Tensor,
        subset: tuple[str, ...],
        images: dict[str, Tensor],
        terms: Terms,
        fakes: list[Fake],
        judged: bool,
    ) -> Tensor:
        """Return one subset's L1 and adversarial terms; add what they say to both lists.

        Args:
            piece: the rows of a step and their weights.
            rows: (b,) those that have the subset.
            subset: the inputs.
            images: modality → (b, 1, H, W) that was made of them.
            terms, fakes: are added to.
            judged: whether discriminators look at these images.
        """
        plan, size = self.plan, self.plan.data.batch
        batch, share = piece.batch, piece.share[rows]
        fov, name = batch.fov[rows], "+".join(subset)
        loss = torch.zeros((), device=self.device, dtype=self.dtype)
        for m, image in images.items():
            seen = batch.present[m][rows].to(self.dtype)
            if not seen.any():
                continue
            target = (batch.images[m] if m in subset else batch.missing_target(m))[rows]
            only = plan.loss.known_only
            pixels = pixel_weight(fov, target, plan.loss.outside, m in subset, only)
            judging = piece.weights.gan > 0 and judged
            is_judged = judging and (m not in subset or plan.loss.gan_outputs == "all")
            compared = watched(image, terms, f"pull/l1/{m}") if is_judged else image
            aimed = target
            if is_judged and m not in subset and m in batch.expected:
                blurred = batch.has_expected[m][rows]
                compared, aimed = (self._averaged(x, fov, blurred) for x in (compared, target))
            l1 = plan.loss.l1 * (masked_l1(compared, aimed, pixels) * seen * share).sum()
            loss = loss + l1
            add(terms, "weighted/l1", float(l1.detach()))
            with torch.no_grad():
                for ending, aim, has in _aims(batch, m, m in subset):
                    view = known(fov, aim[rows]) if only else fov
                    area = view.mean(dim=(1, 2, 3)).clamp_min(1e-6)
                    there = has[rows].to(self.dtype) / size
                    mean = (masked_l1(image, aim[rows], view) / area * there).sum()
                    add(terms, f"l1/{name}/{m}{ending}", float(mean), float(there.sum()))
            if is_judged:
                loss = loss + self._judgement(piece, rows, subset, m, image, seen, terms)
            if judging and m not in subset:
                part = seen * piece.fake_share[m][rows]
                fakes.append(Fake(m, composite(image.detach(), fov), fov, part, rows, subset))
        return loss

    def _judgement(
        self,
        piece: Piece,
        rows: Tensor,
        subset: tuple[str, ...],
        m: str,
        image: Tensor,
        seen: Tensor,
        terms: Terms,
    ) -> Tensor:
        """Return the generator's adversarial term, and the distance of the critic's features."""
        loss, batch, size = self.plan.loss, piece.batch, self.plan.data.batch
        fov, share, name = batch.fov[rows], piece.share[rows], "+".join(subset)
        critic = self.discriminators[m].requires_grad_(False)
        shown = composite(watched(image, terms, f"pull/gan/{m}"), fov)
        maps = critic.maps(self._shown(batch, rows, subset, shown))
        judged = seen * sum(
            adversarial(scale[-1], fov, loss.gan_loss, real=True, generator=True) for scale in maps
        ) / len(maps)  # fmt: skip
        gan = piece.weights.gan * (judged * share).sum()
        add(terms, "weighted/gan", float(gan.detach()))
        told = float(judged.detach().sum()) / size
        add(terms, f"gan/{name}/{m}", told, float(seen.sum()) / size)
        if loss.feature_matching > 0:
            with torch.no_grad():
                real = composite(batch.images[m][rows], fov)
                theirs = critic.maps(self._shown(batch, rows, subset, real))
            apart = feature_distance(maps, theirs) * seen
            match = piece.weights.gan * loss.feature_matching * (apart * share).sum()
            add(terms, "weighted/features", float(match.detach()))
            gan = gan + match
        return gan

    def _shown(self, batch: Batch, rows: Tensor, subset: tuple[str, ...], image: Tensor) -> Tensor:
        """Return what a discriminator sees: the image, and its inputs where the plan says so."""
        if not self.plan.loss.gan_conditional:
            return image
        fov = batch.fov[rows]
        inputs = {m: composite(batch.images[m][rows], fov) for m in subset}
        return torch.cat([image, stacked(inputs, self.plan.model.modalities)], dim=1)

    def _averaged(self, image: Tensor, fov: Tensor, rows: Tensor) -> Tensor:
        mean = local_mean(image, fov, self.plan.loss.gan_blur)
        return torch.where(rows.view(-1, 1, 1, 1), mean, image)

    def discriminator(self, batch: Batch, fakes: Sequence[Fake]) -> Terms:
        """Add the discriminators' gradients, every missing target a negative.

        Half the loss is on real images, half on the fakes, which share it whatever their number.

        Args:
            batch: the rows the fakes were made of.
            fakes: what :meth:`generator` returned for them.
        """
        terms: Terms = {}
        for m, critic in self.discriminators.items():
            mine = [f for f in fakes if f.modality == m]
            rows = torch.nonzero(batch.present[m])[:, 0]
            if not mine or not len(rows):
                continue
            critic.requires_grad_(True)
            for real, shown in ((True, self._reals(batch, m, rows, mine)), (False, mine)):
                for f in shown:
                    with self._precision():
                        seen = self._shown(batch, f.rows, f.subset, f.images)
                        scores = [scale[-1] for scale in critic.maps(seen)]
                        judged = sum(
                            adversarial(s, f.fov, self.plan.loss.gan_loss, real=real)
                            for s in scores
                        ) / len(scores)  # fmt: skip
                        loss = 0.5 * (judged * f.weight).sum()
                    loss.backward()
                    mean = sum(mean_score(s.detach(), f.fov) for s in scores) / len(scores)
                    add(terms, f"d/{m}/loss", float(loss.detach()))
                    told = float((mean * f.weight).sum())
                    add(terms, f"d/{m}/{'real' if real else 'fake'}", told, float(f.weight.sum()))
        return terms

    def _reals(self, batch: Batch, m: str, rows: Tensor, fakes: Sequence[Fake]) -> Sequence[Fake]:
        """Return the real images: once, or beside the inputs of every fake if those are shown."""
        if self.plan.loss.gan_conditional:
            return [
                Fake(
                    m, composite(batch.images[m][f.rows], f.fov), f.fov, f.weight, f.rows, f.subset
                )
                for f in fakes
            ]
        fov = batch.fov[rows]
        size = self.plan.data.batch
        weight = torch.full((len(rows),), 1 / size, dtype=self.dtype, device=self.device)
        return [Fake(m, composite(batch.images[m][rows], fov), fov, weight, rows, (m,))]


def _aims(batch: Batch, m: str, is_input: bool) -> list[tuple[str, Tensor, Tensor]]:
    """Return what the log compares an image with: end of the name, target, rows that have it."""
    aims = [("", batch.images[m], batch.present[m])]
    if not is_input and m in batch.expected:
        aims.append((EXPECTED, batch.missing_target(m), batch.has_expected[m]))
    return aims
