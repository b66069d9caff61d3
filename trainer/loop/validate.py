"""Look at the model on the same held-out tiles over and over: numbers and pictures."""

from __future__ import annotations

import math
from itertools import combinations
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from core.files import replacing
from core.image.metrics import ssim
from core.marks import RESEARCH_USE, WORD
from core.models.base.network import Network
from core.models.slicing import Slicing
from trainer.loop.losses import composite, known
from trainer.loop.terms import EXPECTED
from trainer.loop.tiles import Batch


def run_subsets(model: nn.Module, batch: Batch) -> dict[tuple[str, ...], dict[str, Tensor]]:
    """Synthesise every modality from every subset that the model serves (temperature 0)."""
    network = cast(Network, model)
    config, names = network.config, list(batch.images)
    results = {}
    with torch.no_grad():
        for size in range(1, len(names) + 1):
            for subset in combinations(names, size):
                made = [m for m in names if config.serves(subset, m)]
                if made:
                    images = network.synthesise({m: batch.images[m] for m in subset}, made)
                    results[subset] = {m: composite(x, batch.fov) for m, x in images.items()}
    return results


def synthesised(model: nn.Module, tiles: Batch) -> dict[tuple[str, ...], dict[str, Tensor]]:
    """Do the same tile by tile, so that memory stays small."""
    results: dict[tuple[str, ...], dict[str, Tensor]] = {}
    for row in range(len(tiles.fov)):
        for subset, images in run_subsets(model, tiles.rows(row, row + 1)).items():
            for m, image in images.items():
                old = results.setdefault(subset, {}).get(m)
                results[subset][m] = image if old is None else torch.cat((old, image))
    return results


def scores(
    batch: Batch,
    results: dict[tuple[str, ...], dict[str, Tensor]],
    known_only: bool = True,
) -> dict[str, float]:
    """Return mean masked PSNR (dB, range 2), SSIM and L1 per subset and modality.

    Only rows that have the subset's and the target's images count. Where rows have an expected echo
    of a modality that is no input, PSNR and L1 against it are there as well, named with
    ``.expected``, for example ``"l1/T2>iUS.expected"``. Where an image is background inside the
    field of view nothing is known and nothing scored, unless ``known_only`` is false.
    """
    found: dict[str, float] = {}
    for subset, images in results.items():
        for m, image in images.items():
            rows = torch.stack([batch.present[n] for n in {*subset, m}]).all(0)
            view = known(batch.fov, batch.images[m]) if known_only else batch.fov
            rows &= view.sum(dim=(1, 2, 3)) > 0
            if not rows.any():
                continue
            fov = view[rows]
            name = f"{'+'.join(subset)}>{m}"
            found |= _distances(name, image[rows], batch.images[m][rows], fov)
            if m in batch.expected and m not in subset and (rows & batch.has_expected[m]).any():
                with_it = rows & batch.has_expected[m]
                target = batch.missing_target(m)[with_it]
                found |= _distances(name + EXPECTED, image[with_it], target, view[with_it])
            truth, made = _slices(batch.images[m][rows]), _slices(image[rows])
            likeness = ssim(truth, made, _slices(fov > 0))
            if np.isfinite(likeness):  # a view smaller than SSIM's window has none
                found[f"ssim/{name}"] = likeness
    return found


def _distances(name: str, image: Tensor, target: Tensor, fov: Tensor) -> dict[str, float]:
    area = fov.sum(dim=(1, 2, 3))
    difference = (image - target) * fov
    square = (difference**2).sum(dim=(1, 2, 3)) / area
    return {
        f"psnr/{name}": float((10 * torch.log10(4 / square.clamp_min(1e-10))).mean()),
        f"l1/{name}": float((difference.abs().sum(dim=(1, 2, 3)) / area).mean()),
    }


def _slices(images: Tensor) -> NDArray[Any]:
    """Turn (b, 1, H, W) into (H, W, b)."""
    return np.moveaxis(images[:, 0].cpu().numpy(), 0, -1)


def summary(found: dict[str, float]) -> float:
    """Return one number to compare checkpoints by: mean PSNR of images that were not an input.

    Where there is an expected echo, it is what such an image is compared with. Not a number where
    no image was missing: reconstructions say nothing about it.
    """
    missing = []
    for name in found:
        kind, _, direction = name.partition("/")
        inputs, _, target = direction.partition(">")
        if kind == "psnr" and not target.endswith(EXPECTED) and target not in inputs.split("+"):
            missing.append(found.get(name + EXPECTED, found[name]))
    return float(np.mean(missing)) if missing else math.nan


def preview(
    batch: Batch,
    results: dict[tuple[str, ...], dict[str, Tensor]],
    count: int,
    path: Path,
    title: str,
    slicing: Slicing,
) -> None:
    """Write a PNG: one row per tile; the inputs, then every result, marked as synthetic.

    Whatever way the model's slices lie, they are drawn as the plane's usual orientation has them.
    """
    columns = [(m, x) for m, x in batch.images.items()]
    for subset, images in results.items():
        columns += [(f"{'+'.join(subset)} > {m}", x) for m, x in images.items()]
    rows = min(count, len(batch.fov))
    height, width = slicing.upright(batch.fov[0, 0].cpu().numpy()).shape
    zoom = max(1, round(128 / width))
    top, left = 14, 0
    sheet = Image.new("L", (len(columns) * width * zoom, top * 2 + rows * height * zoom))
    draw = ImageDraw.Draw(sheet)
    beyond = f" beyond the first {len(batch.images)} columns"
    marks = [f"{title}  {WORD}{where}; {RESEARCH_USE}" for where in (beyond, "")]
    fit = [mark for mark in marks if draw.textlength(mark) < sheet.width - 2]
    draw.text((2, 1), (fit or [f"{WORD} {RESEARCH_USE}"])[0], 255)
    for number, (name, shown) in enumerate(columns):
        left = number * width * zoom
        draw.text((left + 2, top), name, 255)
        for row in range(rows):
            image = slicing.upright(shown[row, 0].float().cpu().numpy())
            picture = Image.fromarray(_grey(image))
            picture = picture.resize((width * zoom, height * zoom), Image.Resampling.NEAREST)
            sheet.paste(picture, (left, 2 * top + row * height * zoom))
    with replacing(path) as part:
        sheet.save(part, format="PNG")


def _grey(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Turn (H, W) in [-1, 1] into 8-bit, the first axis (left to right) across, head up."""
    values = np.rot90(image)
    return np.clip(np.rint((values + 1) * 127.5), 0, 255).astype(np.uint8)
