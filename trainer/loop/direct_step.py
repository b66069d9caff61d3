"""One optimiser step of a network that makes one image of an input: L1, and a discriminator."""

from __future__ import annotations

import torch

from trainer.loop.losses import subsets_of_step
from trainer.loop.schedule import Weights
from trainer.loop.stepper import BaseStepper, Fake
from trainer.loop.terms import Terms, add
from trainer.loop.tiles import Batch


class DirectStepper(BaseStepper):
    """Finds the gradients of Pix2Pix, SPADE and plain networks: every direction they serve."""

    def generator(
        self, batch: Batch, first: int, step: int, weights: Weights
    ) -> tuple[Terms, list[Fake]]:
        """See :meth:`BaseStepper.generator`; subsets that lack nothing teach no synthesis."""
        config = self.plan.model
        seed = [self.plan.seed, 4, step]
        every = subsets_of_step(config.modalities, self.presence, self.plan.loss.subsets, seed)
        made = {s: [m for m in config.modalities if config.serves(s, m)] for s in every}
        subsets = [s for s in every if set(made[s]) - set(s)]
        piece = self._piece(batch, first, step, weights, subsets, subsets)
        terms: Terms = {}
        fakes: list[Fake] = []
        for number, subset in enumerate(subsets):
            rows = torch.nonzero(self._has(batch, subset))[:, 0]
            if not len(rows):
                continue
            self._seed(step, number, first)
            with self._precision():
                inputs = {m: batch.images[m][rows] for m in subset}
                images = self.model.synthesise(inputs, made[subset])
                loss = self._image_loss(piece, rows, subset, images, terms, fakes, True)
            if loss.requires_grad:  # else no row has a target
                loss.backward()
            add(terms, "loss", float(loss.detach()))
        return terms, fakes

    def _seed(self, step: int, number: int, first: int) -> None:
        """Let a resumed run drop out what it would have dropped out."""
        place = (self.plan.seed * 7 + step) * 1009 + number * 499 + first
        torch.manual_seed(place % 2**63)


class ResViTStepper(DirectStepper):
    """ResViT's two stages (Dalmaz et al. 2022, III-D): convolutions, then transformers as well."""

    def generator(
        self, batch: Batch, first: int, step: int, weights: Weights
    ) -> tuple[Terms, list[Fake]]:
        """See :meth:`BaseStepper.generator`."""
        self.model.with_transformers.fill_(float(weights.part >= self.plan.loss.transformers_start))
        return super().generator(batch, first, step, weights)
