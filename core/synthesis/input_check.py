"""Whether an input looks, to the model, like the images it was trained on.

A few tiles of each input go through the model alone, before the whole volume does. What is measured
are the model's own quantities: the information it takes in at every level (KL, Eq. 8), how much it
trusts the input there, how well it gives the input back, by itself and by way of what it makes of
the other modalities, and what these look like.
Held-out cases and simulated wrong inputs have told how these vary
(:class:`core.models.typical.Typical`); what is more like the wrong ones is said.

What it can tell: another contrast, another part of the body, noise, scrambled or inverted voxels.
What it cannot: whether a familiar-looking input is made into the right image, a fault in a place
that no tile shows, and whether a lesion is true. No warning is no proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from core.errors import Cancelled
from core.models.base.network import Network
from core.models.bundle import Bundle
from core.models.mhvae.model import MHVAE, MHVAEOutput
from core.synthesis.input_warning import Checked
from core.synthesis.request import PreparedInput, Tile
from core.volume import Mask, Voxels

TILES = 8
"""Looked at for each input: one in each of so many slices."""
BATCH = 4
COVERED = 0.5
"""Of what the best tile of a slice shows of the field of view, from which another one may do."""
DETAIL = 48
"""Part of a tile's side that is the scale of detail: sulci, thin bright lines in a T2."""
LEAST = 64
"""Pixels of an image from which a tile says something about it."""


def never() -> bool:
    """Let a check run to its end."""
    return False


def check_inputs(
    model: Network, bundle: Bundle, prepared: PreparedInput, cancelled: Callable[[], bool] = never
) -> tuple[Checked, ...]:
    """Compare every input of a prepared case with what the model was trained on.

    Returns:
        One entry for each input the model's file can judge, in the model's order; none where the
        file was never calibrated.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    found = []
    if not isinstance(model, MHVAE):
        return ()
    for m in prepared.images:
        typical = bundle.typical.get(m)
        values = quantities(model, prepared, m, cancelled) if typical is not None else {}
        if typical is not None and set(typical.quantities) <= set(values):
            score, unusual = typical.score(values), typical.loudest(values)
            found.append(Checked(m, score, typical.limit, unusual, typical.cases))
    return tuple(found)


def checked_input(
    model: Network, bundle: Bundle, prepared: PreparedInput, cancelled: Callable[[], bool] = never
) -> PreparedInput:
    """Return the case with what the check found: among its warnings, and for provenance.

    Raises:
        Cancelled: ``cancelled`` said so.
    """
    found = check_inputs(model, bundle, prepared, cancelled)
    sentences = [c.sentence for c in found if c.unlike]
    return replace(
        prepared,
        checked={c.modality: c.record() for c in found},
        warnings=(*prepared.warnings, *sentences),
    )


def quantities(
    model: MHVAE,
    prepared: PreparedInput,
    modality: str,
    cancelled: Callable[[], bool] = never,
) -> dict[str, float]:
    """Measure the model's own quantities on a few tiles of one input, on the mean path.

    Args:
        model: on the CPU.
        prepared: holds the input's image.
        modality: which one; the model is shown no other.
        cancelled: asked before every few tiles.

    Returns:
        name → mean over the tiles; empty where the input has nothing in the field of view.
    """
    image = prepared.slices(prepared.images[modality])
    inside = prepared.slices(prepared.fov)
    tiles, planes = [], []
    for tile in looked_at(prepared, image):
        view = prepared.tiling.cut(image[tile.index], tile.origin, -1.0)
        seen = prepared.tiling.cut(inside[tile.index].astype(np.float32), tile.origin, 0.0) > 0
        if (seen & (view > -1)).sum() >= LEAST:
            tiles.append(view)
            planes.append(seen & (view > -1))
    rows: list[dict[str, float]] = []
    with torch.inference_mode():
        for start in range(0, len(tiles), BATCH):
            if cancelled():
                raise Cancelled
            batch = np.stack(tiles[start : start + BATCH])[:, None]
            told = model({modality: torch.from_numpy(batch)}, temperature=0.0, shares=True)
            others = {m: x.clamp(-1, 1) for m, x in told.images.items() if m != modality}
            back = None
            if others:
                again = model(others, temperature=0.0, outputs=(modality,), kl=False)
                back = again.images[modality]
            for n, plane in enumerate(planes[start : start + BATCH]):
                rows.append(_of_tile(told, back, n, modality, batch[n, 0], plane))
    return {name: float(np.mean([r[name] for r in rows])) for name in rows[0]} if rows else {}


def looked_at(prepared: PreparedInput, image: Voxels) -> list[Tile]:
    """Choose tiles: slices at even shares of the field of view, in each one that is well filled.

    The choice depends on the layout and on where there is an image, never on a focus.
    """
    planes = prepared.slices(prepared.fov)
    area = planes.sum(axis=(1, 2), dtype=np.float64)
    reached = np.cumsum(area) / area.sum()
    by_slice: dict[int, list[Tile]] = {}
    for tile in prepared.tiles:
        by_slice.setdefault(tile.index, []).append(tile)
    chosen = []
    for n in range(TILES):
        index = int(np.searchsorted(reached, (n + 0.5) / TILES))
        shown = planes[index] & (image[index] > -1)
        covers = {
            t.origin: int(shown[prepared.tiling.overlap(t.origin)[1]].sum())
            for t in by_slice.get(index, ())
        }
        best = max(covers.values(), default=0)
        good = sorted(o for o, cover in covers.items() if cover and cover >= COVERED * best)
        if good:
            chosen.append(Tile(index, good[n % len(good)]))
    return chosen


def _of_tile(
    told: MHVAEOutput, back: Tensor | None, n: int, modality: str, image: Voxels, inside: Mask
) -> dict[str, float]:
    """Return the quantities of tile ``n`` of a batch.

    Args:
        told: of the input alone.
        back: (B, 1, H, W), the input as the model makes it of what it made of the input.
        n: number of the tile.
        modality: of the input.
        image, inside: (H, W), the input and where it counts.
    """
    assert told.kl is not None
    levels = len(told.kl)
    values: dict[str, float] = {}
    for row, (kl, share) in enumerate(zip(told.kl[:, n], told.shares, strict=True)):
        trust = float(share[1, n].mean())
        values[f"information at level {levels - row}"] = float(np.log(float(kl) + 1e-6))
        values[f"weight of the input at level {levels - row}"] = float(
            np.log((trust + 1e-6) / (1 - trust + 1e-6))
        )
    made = {m: x[n, 0].clamp(-1, 1).numpy()[inside] for m, x in told.images.items()}
    own, again = image[inside], made.pop(modality)
    error = float(np.abs(own - again).mean())
    values["error of the reconstruction"] = float(np.log(error + 1e-3))
    values["error over contrast"] = float(np.log((error + 1e-3) / (float(own.std()) + 1e-3)))
    values["mean of the reconstruction"] = float(again.mean())
    values["contrast of the reconstruction"] = float(np.log(float(again.std()) + 1e-3))
    values["skew of the reconstruction"] = _skew(again)
    whole = told.images[modality][n, 0].clamp(-1, 1).numpy()
    detail = whole - ndimage.gaussian_filter(whole, max(whole.shape) / DETAIL)
    values["skew of the reconstruction's detail"] = _skew(detail[inside])
    if back is not None:
        there = back[n, 0].clamp(-1, 1).numpy()[inside]
        values["likeness there and back"] = _correlation(own, there)
        values["error there and back"] = float(np.log(np.abs(own - there).mean() + 1e-3))
    for m, other in made.items():
        values[f"mean of the {m} made of it"] = float(other.mean())
        values[f"contrast of the {m} made of it"] = float(np.log(float(other.std()) + 1e-3))
        values[f"likeness of the {m} made of it"] = _correlation(again, other)
    return values


def _skew(image: Voxels) -> float:
    """Return how much further the bright values lie from the median than the dark, -1 to 1."""
    low, middle, high = (float(v) for v in np.percentile(image, (5, 50, 95)))
    return (high + low - 2 * middle) / (high - low + 1e-3)


def _correlation(one: Voxels, other: Voxels) -> float:
    a, b = one - one.mean(), other - other.mean()
    return float((a * b).mean() / (float(one.std()) * float(other.std()) + 1e-6))
