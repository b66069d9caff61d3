"""Runs a model over the tiles of a prepared case, slice after slice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from core.case import Case
from core.errors import Cancelled
from core.models.base.network import Network
from core.models.bundle import Bundle
from core.synthesis.backends import Pass, build_pass
from core.synthesis.input_check import checked_input
from core.synthesis.input_warning import KEY
from core.synthesis.noise import tile_noise
from core.synthesis.request import (
    PreparedInput,
    Request,
    Synthesis,
    SynthesisError,
    Tile,
    provenance,
)
from core.volume import Volume, Voxels

Region = tuple[slice, slice, slice]


class OutOfMemory(SynthesisError):
    """The device has not enough memory for the batch."""


@dataclass(frozen=True)
class Progress:
    """Where a synthesis stands.

    Attributes:
        stage: what is being done, for people.
        done: tiles finished.
        total: tiles altogether.
        seconds_left: estimate from the pace so far; ``None`` until there is one.
        regions: blocks of the model's grid whose values just changed.
    """

    stage: str
    done: int
    total: int
    seconds_left: float | None = None
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True, eq=False)
class Shares:
    """How much each expert weighed in the fused posterior of one slice.

    Attributes:
        index: slice along the stacking axis of the model's grid.
        experts: ``"prior"`` first, then the inputs in the model's order.
        maps: level number l (L … 1) → (experts, a, b) float32 over the model's grid without its
            stacking axis; sums to 1 over experts inside computed tiles, 0 elsewhere.
    """

    index: int
    experts: tuple[str, ...]
    maps: Mapping[int, Voxels]


class Engine:
    """A loaded model, ready to synthesise.

    Args:
        model: the network of ``bundle``.
        bundle: its description.
        device: one of :func:`core.synthesis.backends.devices`.
    """

    def __init__(self, model: Network, bundle: Bundle, device: str = "cpu") -> None:
        self.bundle = bundle
        self.device = device
        self.model = model
        self.network: Pass = build_pass(model, bundle, device)

    def run(
        self,
        case: Case,
        prepared: PreparedInput,
        request: Request,
        *,
        into: Mapping[str, Voxels] | None = None,
        each: Mapping[str, Sequence[Voxels]] | None = None,
        check: Callable[[PreparedInput], PreparedInput] | None = None,
        progress: Callable[[Progress], None] = lambda _: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Synthesis:
        """Synthesise every tile of a prepared case.

        Args:
            case: the volumes, for provenance.
            prepared: the layout made from ``case`` and ``request``.
            request: what to synthesise.
            into: target → (i, j, k) float32 array on ``prepared.grid`` that receives values in the
                target's units as soon as they exist (shared memory, say); made here when absent.
            each: target → one array like those of ``into`` for every sample, which receive the
                single samples; they are not kept when absent.
            check: looks at the input (:meth:`check`, say) when the first slice is whole; gives the
                case with what it found.
            progress: called after every batch.
            cancelled: asked before every batch.

        Raises:
            Cancelled: ``cancelled`` said so.
            OutOfMemory: the batch does not fit the device.
        """
        started = time.perf_counter()
        shape = prepared.grid.shape
        out = into or {m: np.zeros(shape, np.float32) for m in request.targets}
        spread = {m: np.zeros(shape, np.float32) for m in request.targets if request.samples > 1}
        slices = _SliceBuffers(prepared, request, out, spread, each or {})
        done, first = 0, sum(t.index == prepared.tiles[0].index for t in prepared.tiles)
        for batch in _batches(prepared.tiles, request.batch):
            if cancelled():
                raise Cancelled
            if check is not None and done >= first:
                prepared, check = check(prepared), None
            images = self._synthesise(prepared, request, batch)
            regions = slices.add(batch, images)
            done += len(batch)
            pace = (time.perf_counter() - started) / done
            total = len(prepared.tiles)
            progress(Progress("synthesising", done, total, pace * (total - done), regions))
        if check is not None:
            prepared = check(prepared)
        marks = {
            m: {
                **provenance(case, self.bundle, request, m),
                "computed_on": self.device,
                **({KEY: dict(prepared.checked)} if prepared.checked else {}),
            }
            for m in request.targets
        }
        return Synthesis(
            volumes={
                m: Volume(out[m], prepared.grid, m, f"synthetic {m}", synthetic=True)
                for m in request.targets
            },
            spread={
                m: Volume(values, prepared.grid, m, f"sigma of {m}", synthetic=True)
                for m, values in spread.items()
            },
            fov=prepared.fov,
            provenance={**marks[request.targets[0]], "targets": marks},
            timings={"synthesise": time.perf_counter() - started},
        )

    def check(
        self, prepared: PreparedInput, cancelled: Callable[[], bool] = lambda: False
    ) -> PreparedInput:
        """Return the case with what its inputs look like to the model, in warnings and record.

        Raises:
            Cancelled: ``cancelled`` said so.
        """
        return checked_input(self.model, self.bundle, prepared, cancelled)

    def _synthesise(
        self, prepared: PreparedInput, request: Request, batch: Sequence[Tile]
    ) -> dict[str, Voxels]:
        """Return target → (samples, tiles, height, width) in the model's range."""
        calibrated = self.bundle.sampling_of(prepared.images)
        factors = calibrated.factors if calibrated else ()
        made_for = self.model, self.bundle.preprocessing, prepared.tiling
        noises = [
            tile_noise(*made_for, batch, request.seed, n, factors) if request.temperature else None
            for n in range(request.samples)
        ]
        try:
            return self.network(
                self._inputs(prepared, batch), request.targets, request.temperature, noises
            )
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
                raise
            raise OutOfMemory(
                f"{len(batch)} tiles of {self.bundle.config.tile} pixels did not fit the memory of "
                f"{self.device}. Use a smaller batch, or the CPU."
            ) from error

    def _inputs(self, prepared: PreparedInput, batch: Sequence[Tile]) -> dict[str, Voxels]:
        inputs = {}
        for m, image in prepared.images.items():
            planes = prepared.slices(image)
            tiles = [prepared.tiling.cut(planes[t.index], t.origin, -1.0) for t in batch]
            inputs[m] = np.stack(tiles)[:, None]
        return inputs

    def shares(self, prepared: PreparedInput, request: Request, index: int) -> Shares:
        """Compute the experts' precision shares over one slice, on the mean path.

        Raises:
            SynthesisError: the slice has nothing inside the field of view, or the model's family
                knows no experts.
        """
        if not self.bundle.config.levels:
            raise SynthesisError(
                f"{self.bundle.name} is a {self.bundle.config.family} model, which fuses no "
                "experts; there are no shares to show. Choose an MHVAE."
            )
        tiles = [t for t in prepared.tiles if t.index == index]
        if not tiles:
            raise SynthesisError(
                f"Slice {index} lies outside the field of view; there are no experts to compare. "
                "Move the cursor into the image."
            )
        levels = self.bundle.config.levels
        height, width = prepared.tiling.plane
        experts = ("prior", *prepared.images)
        sums = {
            level: np.zeros((len(experts), height, width), np.float32)
            for level in range(1, levels + 1)
        }
        total = np.zeros((height, width), np.float32)
        for batch in _batches(tiles, request.batch):
            with torch.inference_mode():
                inputs = {m: torch.from_numpy(x) for m, x in self._inputs(prepared, batch).items()}
                answer = self.model(
                    inputs,
                    temperature=0.0,
                    outputs=(),
                    kl=False,
                    shares=True,
                )
            for n, tile in enumerate(batch):
                inner, outer = prepared.tiling.overlap(tile.origin)
                weight = prepared.tiling.window[inner]
                total[outer] += weight
                for row, maps in enumerate(answer.shares):
                    full = torch.nn.functional.interpolate(maps[:, n : n + 1], prepared.tiling.tile)
                    values = full[:, 0].cpu().numpy()[:, inner[0], inner[1]]
                    sums[levels - row][:, outer[0], outer[1]] += weight * values
        safe = np.maximum(total, 1e-6)
        on_grid = prepared.slicing.volume
        return Shares(
            index,
            experts,
            {
                level: np.ascontiguousarray(
                    on_grid((s / safe)[:, None]).squeeze(1 + prepared.axis), np.float32
                )
                for level, s in sums.items()
            },
        )


def _batches(tiles: Sequence[Tile], size: int) -> list[Sequence[Tile]]:
    """Cut the work into batches; the first tile goes alone, so that it is on screen at once."""
    return [tiles[:1]] + [tiles[n : n + size] for n in range(1, len(tiles), size)]


class _SliceBuffers:
    """Blends tiles into slices and writes slices into the output arrays.

    Only slices that still wait for tiles hold buffers, so memory does not grow with the volume.
    """

    def __init__(
        self,
        prepared: PreparedInput,
        request: Request,
        out: Mapping[str, Voxels],
        spread: Mapping[str, Voxels],
        each: Mapping[str, Sequence[Voxels]],
    ) -> None:
        self.prepared = prepared
        self.request = request
        self.out = {m: prepared.slices(a) for m, a in out.items()}
        self.spread = {m: prepared.slices(a) for m, a in spread.items()}
        self.each = {m: [prepared.slices(a) for a in arrays] for m, arrays in each.items()}
        self.fov = prepared.slices(prepared.fov)
        self.waiting = Counter(t.index for t in prepared.tiles)
        self.sums: dict[int, dict[str, Voxels]] = {}
        self.weights: dict[int, Voxels] = {}

    def add(self, batch: Sequence[Tile], images: Mapping[str, Voxels]) -> tuple[Region, ...]:
        """Blend a batch in and publish what changed."""
        plane = self.prepared.tiling.plane
        touched: dict[int, list[tuple[slice, slice]]] = {}
        for n, tile in enumerate(batch):
            inner, outer = self.prepared.tiling.overlap(tile.origin)
            weight = self.prepared.tiling.window[inner]
            if tile.index not in self.sums:
                shape = (self.request.samples, *plane)
                self.sums[tile.index] = {m: np.zeros(shape, np.float32) for m in images}
                self.weights[tile.index] = np.zeros(plane, np.float32)
            self.weights[tile.index][outer] += weight
            for m, values in images.items():
                block = values[:, n][:, inner[0], inner[1]]
                self.sums[tile.index][m][:, outer[0], outer[1]] += weight * block
            touched.setdefault(tile.index, []).append(outer)
        regions: list[Region] = []
        for index, areas in touched.items():
            self._publish(index)
            self.waiting[index] -= len(areas)
            if self.waiting[index] == 0:
                del self.sums[index], self.weights[index]
            regions += [self._region(index, area) for area in areas]
        return tuple(regions)

    def _publish(self, index: int) -> None:
        weight = np.maximum(self.weights[index], 1e-6)
        inside = self.fov[index] & (self.weights[index] > 0)
        for m, total in self.sums[index].items():
            blended = total / weight
            normaliser = self.prepared.normalisers[m]
            self.out[m][index] = normaliser.inverse(blended.mean(axis=0), inside)
            for sample, one in zip(blended, self.each.get(m, ()), strict=False):
                one[index] = normaliser.inverse(sample, inside)
            if m in self.spread:
                sigma = normaliser.inverse_deviation(blended.std(axis=0, ddof=1))
                self.spread[m][index] = np.where(inside, sigma, np.float32(0))

    def _region(self, index: int, area: tuple[slice, slice]) -> Region:
        return self.prepared.slicing.block(index, area, self.prepared.grid.shape)
