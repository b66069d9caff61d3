"""The terms of the training loss, one number per row of the batch.

Every term is divided by the tile's pixels (for the adversarial one: by the score map's cells), not
by the pixels inside the field of view: with less to see, likelihood and information shrink alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainer.errors import TrainerError
from trainer.loop.terms import Terms, add


def subsets_of_step(
    modalities: Sequence[str], present: Iterable[tuple[str, ...]], extra: int, seed: Sequence[int]
) -> list[tuple[str, ...]]:
    """Choose the subsets π of one step (Eq. 9).

    One or two modalities: all non-empty subsets. More: every set of modalities some case has, the
    singles, and ``extra`` of the others, drawn by ``seed``.
    """
    every = [s for n in range(len(modalities), 0, -1) for s in combinations(modalities, n)]
    if len(modalities) <= 2:
        return every
    sets = {tuple(m for m in modalities if m in names) for names in present}
    always = [s for s in every if len(s) in (1, len(modalities)) or s in sets]
    others = [s for s in every if s not in always]
    random = np.random.default_rng(list(seed))
    chosen = random.permutation(len(others))[:extra]
    return always + [others[int(i)] for i in sorted(chosen)]


def draw_subset(
    subsets: Sequence[tuple[str, ...]], odds: Mapping[str, float], seed: Sequence[int]
) -> list[tuple[str, ...]]:
    """Draw one of the step's subsets, by the odds of its name (``"iUS+T2"``; unnamed ones: 0).

    Raises:
        TrainerError: no subset of the model has odds above zero.
    """
    names = ["+".join(s) for s in subsets]
    weights = np.array([max(0.0, float(odds.get(name, 0.0))) for name in names])
    if weights.sum() <= 0:
        raise TrainerError(
            f"loss.subset_odds names {', '.join(odds)}; expected odds above zero for at least one "
            f"of {', '.join(names)}."
        )
    random = np.random.default_rng([*seed, 1])
    return [subsets[int(random.choice(len(names), p=weights / weights.sum()))]]


def masked_l1(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return (B,) Σ weight·|output - target| over the tile's pixels; all are (B, 1, H, W)."""
    return ((output - target).abs() * weight).mean(dim=(1, 2, 3))


def pixel_weight(
    fov: Tensor, target: Tensor, outside: float, is_input: bool, known_only: bool = True
) -> Tensor:
    """Return the L1's weight per pixel: 1 in the field of view; ``outside`` in the rest of the
    modality's own mask where the modality is an input; 0 elsewhere.

    Where the target is background inside the field of view, nothing is known of it: the weight is 0
    there too, unless ``known_only`` is false.
    """
    inside = known(fov, target) if known_only else fov
    if not is_input or outside == 0:
        return inside
    return torch.where((fov == 0) & (target > -1), outside, inside)


def known(fov: Tensor, target: Tensor) -> Tensor:
    """Return the part of a field of view in which an image is no background."""
    return fov * (target > -1)


def local_mean(image: Tensor, fov: Tensor, sigma: float) -> Tensor:
    """Return (B, 1, H, W) means under a Gaussian, of the pixels in the field of view alone.

    Args:
        image: (B, 1, H, W).
        fov: (B, 1, H, W), 1 inside.
        sigma: width of the Gaussian, pixels; 0 changes nothing.
    """
    if sigma == 0:
        return image
    reach = math.ceil(3 * sigma)
    place = torch.arange(-reach, reach + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (place / sigma) ** 2)
    kernel = kernel / kernel.sum()

    def smooth(x: Tensor) -> Tensor:
        x = F.conv2d(x, kernel.view(1, 1, -1, 1), padding=(reach, 0))
        return F.conv2d(x, kernel.view(1, 1, 1, -1), padding=(0, reach))

    return smooth(image * fov) / smooth(fov).clamp_min(1e-6)


def kl_per_level(kl: Tensor, pixels: int) -> Tensor:
    """Turn (L, B) nats per row into nats per pixel of the tile."""
    return kl / pixels


def composite(image: Tensor, fov: Tensor) -> Tensor:
    """Show only the field of view, background -1, so that its shape cannot betray a fake."""
    return torch.where(fov > 0, image, -1.0)


def mean_score(scores: Tensor, fov: Tensor) -> Tensor:
    """Return (B,) a discriminator's mean score inside the field of view, all there is to judge."""
    weight = F.adaptive_avg_pool2d(fov, (scores.shape[2], scores.shape[3]))
    total = weight.sum(dim=(1, 2, 3)).clamp_min(1e-6)
    return (scores * weight).sum(dim=(1, 2, 3)) / total


def adversarial(
    scores: Tensor, fov: Tensor, kind: str, *, real: bool, generator: bool = False
) -> Tensor:
    """Return (B,) the adversarial loss over the cells, each weighted by its part of the view.

    Args:
        scores: (B, 1, h, w) of a discriminator.
        fov: (B, 1, H, W) of the image it judged.
        kind: ``"lsgan"``, (score - goal)² (Mao et al. 2017); ``"cross_entropy"`` of the score as a
            logit (Goodfellow et al. 2014); ``"hinge"`` (Lim and Ye 2017).
        real: whether the scores should say that the image is real.
        generator: whether the generator learns from it; only a hinge tells the two apart.
    """
    sign = 1.0 if real else -1.0
    if kind == "lsgan":
        cells = (scores - float(real)) ** 2
    elif kind == "cross_entropy":
        cells = F.softplus(-sign * scores)
    else:
        cells = -scores if generator else F.relu(1 - sign * scores)
    weight = F.adaptive_avg_pool2d(fov, (scores.shape[2], scores.shape[3]))
    return (cells * weight).mean(dim=(1, 2, 3))


def feature_distance(made: Sequence[Sequence[Tensor]], real: Sequence[Sequence[Tensor]]) -> Tensor:
    """Return (B,) the mean L1 between a discriminator's maps of two images (Wang et al. 2018).

    Args:
        made: per scale the maps of all its layers, the scores last, of what a generator made.
        real: the same of the real images.
    """
    apart = [
        (a - b).abs().mean(dim=(1, 2, 3))
        for mine, theirs in zip(made, real, strict=True)
        for a, b in zip(mine[:-1], theirs[:-1], strict=True)
    ]
    return torch.stack(apart).sum(0) / len(made)


def watched(image: Tensor, terms: Terms, name: str) -> Tensor:
    """Return the image for one term of the loss; how hard that pulls at it comes to ``terms``.

    That is the norm of its gradient, per row. Two terms' pulls at the same images tell the balance
    between them, which their values do not.
    """
    view = image.view_as(image)
    if view.requires_grad:
        view.register_hook(lambda g: add(terms, name, float(g.flatten(1).norm(dim=1).sum())))
    return view
