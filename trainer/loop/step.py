"""One optimiser step of an MHVAE: all subsets of Eq. 9, backward after each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.models.mhvae.model import MHVAEOutput
from trainer.loop.losses import draw_subset, kl_per_level, subsets_of_step
from trainer.loop.schedule import Weights
from trainer.loop.stepper import BaseStepper, Fake, Piece
from trainer.loop.terms import Terms, add
from trainer.loop.tiles import Batch


class Stepper(BaseStepper):
    """Finds the gradients of Eq. 9 for an MHVAE or MVAE."""

    def generator(
        self, batch: Batch, first: int, step: int, weights: Weights
    ) -> tuple[Terms, list[Fake]]:
        """Add the gradients of Eq. 9; see :meth:`BaseStepper.generator`."""
        modalities = self.plan.model.modalities
        seed = [self.plan.seed, 4, step]
        subsets = subsets_of_step(modalities, self.presence, self.plan.loss.subsets, seed)
        if self.plan.loss.subset_odds:
            subsets = draw_subset(subsets, self.plan.loss.subset_odds, seed)
        factors = {s: self._temperature(step, n, weights.mean_path) for n, s in enumerate(subsets)}
        has = {s: self._has(batch, s) for s in subsets}
        judged = [s for s in subsets if factors[s] > 0]
        piece = self._piece(batch, first, step, weights, subsets, judged)

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

    def _loss(
        self,
        piece: Piece,
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
        size, share = self.plan.data.batch, piece.share[rows]
        assert out.kl is not None
        kl = kl_per_level(out.kl, piece.batch.fov[0].numel())
        loss = piece.weights.beta * (kl.sum(0) * share).sum()
        add(terms, "weighted/kl", float(loss.detach()))
        for level, value in enumerate((kl.detach().sum(1) / size).tolist()):
            add(terms, f"kl/{'+'.join(subset)}/{len(kl) - level}", value, len(rows) / size)
        loss = loss + self._image_loss(piece, rows, subset, out.images, terms, fakes, sampled)
        add(terms, "loss", float(loss.detach()))
        return loss

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


def _pick(maps: Sequence[Tensor], owners: Tensor, rows: Tensor) -> list[Tensor]:
    """Select from features computed for ``owners`` those of ``rows``."""
    if len(owners) == len(rows):
        return list(maps)
    places = torch.searchsorted(owners, rows)
    return [x[places] for x in maps]
