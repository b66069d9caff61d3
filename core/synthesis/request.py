"""From a case and a request to what the network sees, and from its answer to volumes.

No torch in here: :mod:`core.synthesis.synthesize` runs the network over what
:func:`prepare_input` lays out.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from core.case import Case
from core.errors import UserError
from core.grid import Grid
from core.image.brain_mask import brain_mask
from core.image.intensity import Normaliser
from core.image.preprocess import Measured, image_on, measure, working_grid
from core.image.resample import resample_inside, resample_mask
from core.marks import SAMPLING, synthetic_notice
from core.models.bundle import Bundle
from core.models.slicing import Slicing
from core.synthesis.tiles import Tiling
from core.synthesis.view import Block, View, block_of, forget_parts, view_of, whole_view
from core.version import __version__
from core.volume import Mask, Volume, Voxels

UNKNOWN_UNITS = Normaliser(0.0, 255.0)
"""Units of a synthetic volume whose modality the patient has no real volume of."""


class SynthesisError(UserError):
    """A case and a request that cannot lead to a synthesis."""


@dataclass(frozen=True)
class Request:
    """What to synthesise, and how.

    Attributes:
        subset: input modalities (π); the other volumes of the case are not shown to the model.
        targets: modalities wanted; those of the subset come back as reconstructions.
        temperature: factor on the latent standard deviations; 0 is the deterministic mean path.
        samples: number of draws; their mean is the result, their standard deviation the spread.
        seed: of the noise; unused at temperature 0.
        fov: ``"auto"`` (a swept modality's own field of view if the case has one, else a brain
            mask), ``"whole"`` (the whole grid), or a mask volume (non-zero is inside), which is
            then the field of view of swept inputs too.
        batch: tiles per network pass; does not change the result.
        focus: RAS mm position whose tile is computed first, then its slice, then outward.
    """

    subset: tuple[str, ...]
    targets: tuple[str, ...]
    temperature: float = 0.0
    samples: int = 1
    seed: int = 0
    fov: Literal["auto", "whole"] | Volume = "auto"
    batch: int = 4
    focus: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.samples < 1 or self.batch < 1:
            raise SynthesisError(
                f"Samples and batch must be at least 1; found {self.samples} and {self.batch}."
            )
        if not 0 <= self.temperature <= 10:
            raise SynthesisError(
                f"The temperature must lie between 0 and 10; found {self.temperature:g}."
            )
        if self.samples > 1 and self.temperature == 0:
            raise SynthesisError(
                "Several samples at temperature 0 would all be the same; use a temperature above 0."
            )


@dataclass(frozen=True)
class Tile:
    """One piece of work: slice ``index`` along the stacking axis, tile origin (row, column)."""

    index: int
    origin: tuple[int, int]


@dataclass(frozen=True, eq=False)
class PreparedInput:
    """A case laid out for the network.

    Attributes:
        grid: canonical (RAS+) grid at the model's spacing, cut to what the tiles see.
        slicing: how an array on ``grid`` becomes the model's slices.
        images: input modality → (i, j, k) float32 in [-1, 1] on ``grid``, background -1.
        fov: (i, j, k) bool on ``grid``: where to synthesise.
        normalisers: modality → map between model range and the volume's units.
        tiling: tiles of one slice.
        tiles: the work, in order.
        reference: grid of the volume that decided ``grid``, in the file's own storage order.
        warnings: sentences about the inputs' scales and fields of view.
        checked: input → what :mod:`core.synthesis.input_check` found, for provenance; empty where
            nothing was looked at.
    """

    grid: Grid
    slicing: Slicing
    images: Mapping[str, Voxels]
    fov: Mask
    normalisers: Mapping[str, Normaliser]
    tiling: Tiling
    tiles: tuple[Tile, ...]
    reference: Grid
    warnings: tuple[str, ...] = ()
    checked: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def axis(self) -> int:
        """Array axis along which slices are stacked."""
        return self.slicing.axis

    def slices(self, array: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
        """View an (i, j, k) array as (slice, height, width)."""
        return self.slicing.slices(array)


@dataclass(frozen=True, eq=False)
class Synthesis:
    """The result of running a model on a case.

    Attributes:
        volumes: target → synthetic volume on the model's grid, background 0.
        spread: target → per-voxel standard deviation over samples; empty for a single pass.
        fov: where there is an image, on the model's grid.
        provenance: JSON-ready record written beside every saved file.
        timings: stage → seconds.
    """

    volumes: Mapping[str, Volume]
    spread: Mapping[str, Volume]
    fov: Mask
    provenance: Mapping[str, Any]
    timings: Mapping[str, float] = field(default_factory=dict)


def prepare_input(case: Case, bundle: Bundle, request: Request) -> PreparedInput:
    """Lay a case out on the model's grid.

    The reference grid is that of the first volume in the model's order of modalities (the iUS when
    there is one), turned to RAS+ and brought to the model's spacing; of it, the part that the tiles
    over the field of view see.

    Raises:
        ModelError: the subset or a target is not the model's.
        CaseError: the volumes do not overlap.
        SynthesisError: an input is missing from the case, nothing lies in the field of view, or
            noise is asked of a model that has none.
        PreprocessError: a volume would be larger than any head on the model's grid.
        IntensityError: an input is empty or constant.
    """
    config = bundle.config
    config.check(request.subset, request.targets)
    if request.temperature and not config.levels:
        raise SynthesisError(
            f"{bundle.name} is a {config.family} model, which makes one image of an input and has "
            "no noise to draw others with. Use one sample at temperature 0, or an MHVAE."
        )
    return lay_out(case, bundle, request)


def lay_out(case: Case, bundle: Bundle, request: Request) -> PreparedInput:
    """Do the same for a request that no model need be able to serve, to look at the volumes."""
    config = bundle.config
    missing = [m for m in request.subset if m not in case.volumes]
    if missing:
        raise SynthesisError(
            f"The case has no {', '.join(missing)} volume to use as input; it has "
            f"{', '.join(case.volumes) or 'none'}. Load it, or choose other inputs."
        )
    case.check_overlap()
    mask = request.fov if isinstance(request.fov, Volume) else None
    swept = bundle.preprocessing.swept
    facts = {
        m: _facts(case.volumes[m], bundle.preprocessing.percentiles, mask if m in swept else None)
        for m in config.modalities
        if m in case.volumes
    }
    normalisers = {m: f.normaliser for m, f in facts.items()}
    first = next(iter(facts))
    grid = _model_grid(facts[first].volume, bundle.preprocessing.spacing)
    view = _target_view(bundle, request, facts, grid)
    if not view.mask.any():
        raise SynthesisError(
            "The field of view is empty on the model's grid: nothing to synthesise. Give a mask "
            "that overlaps the input (--fov FILE), or use the whole grid (--fov whole)."
        )
    slicing = bundle.preprocessing.slicing
    block = block_of(view, grid, slicing, config.tile, max(config.stride // 2, 1))
    return PreparedInput(
        grid=block.grid,
        slicing=slicing,
        images={m: _image(f, block.grid) for m, f in facts.items() if m in request.subset},
        fov=block.fov,
        normalisers={m: normalisers.get(m, UNKNOWN_UNITS) for m in config.modalities},
        tiling=block.tiling,
        tiles=_order(block, slicing, request.focus),
        reference=case.volumes[first].grid,
        warnings=tuple(text for one in facts.values() for text in one.warnings),
    )


# A window asks for many layouts of the same volumes (every toggle of an input is one, every move of
# the cursor another), so each step remembers its last answers. Volumes, measures and grids never
# change; each is its own key.
@lru_cache(maxsize=4)
def _facts(volume: Volume, percentiles: tuple[float, float], mask: Volume | None) -> Measured:
    if mask is None:
        return measure(volume, percentiles)
    given = mask.canonical()
    field = resample_mask(given.voxels > 0, given.grid, volume.grid.canonical())
    return measure(volume, percentiles, field)


@lru_cache(maxsize=2)
def _model_grid(reference: Volume, spacing: tuple[float, float, float]) -> Grid:
    return working_grid(reference, spacing)


@lru_cache(maxsize=3)
def _image(facts: Measured, grid: Grid) -> Voxels:
    image, _ = image_on(facts, grid)
    image.setflags(write=False)
    return image


@lru_cache(maxsize=2)
def _swept(facts: Measured, grid: Grid) -> View:
    return _read_only(view_of(facts.field, facts.volume.grid, grid))


@lru_cache(maxsize=2)
def _brain(facts: Measured, grid: Grid) -> View:
    volume = facts.volume
    return _read_only(view_of(brain_mask(volume), volume.grid, grid))


def _read_only(view: View) -> View:
    view.mask.setflags(write=False)
    return view


def forget_volumes() -> None:
    """Let go of volumes and of what was worked out from them; the next layout starts anew."""
    for remembered in (_facts, _model_grid, _image, _swept, _brain):
        remembered.cache_clear()
    forget_parts()


def _target_view(
    bundle: Bundle, request: Request, facts: Mapping[str, Measured], grid: Grid
) -> View:
    if isinstance(request.fov, Volume):
        mask = request.fov.canonical()
        return view_of(mask.voxels > 0, mask.grid, grid)
    if request.fov == "whole":
        return whole_view(grid)
    for m in bundle.preprocessing.swept:
        if m in facts:
            return _swept(facts[m], grid)
    return _brain(next(iter(facts.values())), grid)


def _order(
    block: Block, slicing: Slicing, focus: tuple[float, float, float] | None
) -> tuple[Tile, ...]:
    """Order the tiles that count in the field of view: the focused one, its slice, then outward."""
    grid, tiling = block.grid, block.tiling
    planes = slicing.slices(block.fov)
    centre = (np.array(grid.shape) - 1) / 2 if focus is None else grid.to_voxel(focus)
    at = np.clip(np.round(centre), 0, np.array(grid.shape) - 1)
    along, row, column = slicing.pixel(at, grid.shape)
    half = np.array(tiling.tile) / 2

    work: list[tuple[tuple[float, float], Tile]] = []
    for index in np.flatnonzero(planes.any(axis=(1, 2))):
        away = abs(int(index) - along)
        for origin in tiling.origins:
            _, outer = tiling.overlap(origin)
            if (planes[index][outer] & tiling.counts[origin]).any():
                middle = np.array(origin) + half - 0.5
                aside = float(np.hypot(middle[0] - row, middle[1] - column))
                work.append(((away, aside), Tile(int(index), origin)))
    return tuple(tile for _, tile in sorted(work, key=lambda item: item[0]))


def _sampling(bundle: Bundle, request: Request, target: str) -> dict[str, Any]:
    """Return the factors that samples were drawn with, and whether this target was measured."""
    found = bundle.sampling_of(request.subset) if request.temperature else None
    if found is None:
        return {}
    measured = {"measured_on": found.measured_on} if found.target == target else {}
    return {SAMPLING: {"factors": list(found.factors), **measured}}


def provenance(case: Case, bundle: Bundle, request: Request, target: str) -> dict[str, Any]:
    """Record how a synthetic volume came to be: the marks of a saved file (no names, no paths)."""
    return {
        "synthetic": True,
        "notice": synthetic_notice(bundle.intended_use),
        "modality": target,
        "kind": "reconstruction" if target in request.subset else "synthesis",
        "inputs": {
            m: {
                "shape": list(case.volumes[m].grid.shape),
                "spacing_mm": [round(float(s), 4) for s in case.volumes[m].grid.spacing],
            }
            for m in request.subset
        },
        "subset": list(request.subset),
        "seed": request.seed,
        "temperature": request.temperature,
        "samples": request.samples,
        **_sampling(bundle, request, target),
        "field_of_view": request.fov if isinstance(request.fov, str) else "mask",
        "model": {"name": bundle.name, "sha256": bundle.sha256},
        "trained_on": bundle.card.get("trained_on", "not stated"),
        "program": f"MHVAE Studio {__version__}",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "id": uuid.uuid4().hex,
    }


def on_grid(synthesis: Synthesis, grid: Grid) -> Synthesis:
    """Bring every volume of a synthesis onto another grid, for example the input's own."""

    def moved(volume: Volume) -> Volume:
        values, _ = resample_inside(volume.voxels, synthesis.fov, volume.grid, canonical)
        return replace(volume, voxels=_to_storage(values, grid), grid=grid)

    canonical = grid.canonical()
    any_volume = next(iter(synthesis.volumes.values()))
    fov = resample_mask(synthesis.fov, any_volume.grid, canonical)
    return replace(
        synthesis,
        volumes={m: moved(v) for m, v in synthesis.volumes.items()},
        spread={m: moved(v) for m, v in synthesis.spread.items()},
        fov=np.asarray(_to_storage(fov, grid)),
    )


def _to_storage(array: np.ndarray[Any, Any], grid: Grid) -> np.ndarray[Any, Any]:
    """Undo ``Volume.canonical``: RAS+ order back to a grid's own storage order."""
    order, flipped = grid.canonical_order
    steps = tuple(slice(None, None, -1 if flip else 1) for flip in flipped)
    return np.ascontiguousarray(array[steps].transpose(np.argsort(order)))
