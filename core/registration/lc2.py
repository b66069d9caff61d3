"""Registration by LC2: in every small block the iUS is a mix of the T2 and of its edges.

LC2 (linear correlation of linear combination; Wein et al. 2013, Fuerst et al. 2014) is the part of
the ultrasound's local variance that a·T2 + b·|∇T2| + c explains, with a, b and c free in every
block. The ultrasound's points stay put here, so the best map is a separable least-squares problem:
a, b and c have a closed form, and few Gauss-Newton steps over the map lead to the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.registration.alignment import Matrix
from core.registration.pair import Pair
from core.volume import Voxels

BLOCK_MM = (4.0, 4.0)
"""Side of a block: this many mm plus this many voxels' widths; coarse images need more."""
POINTS = 10_000
"""Points of the field of view that one step looks at."""
FILLED = 0.3
"""A block counts when this part of it lies inside the field of view, and later inside the T2."""
STRAIN = 4.0
"""LC2 that a strain of 1 costs (0.01 for 5 %); keeps an affine map from chasing speckle."""
EVEN = 0.5
"""How evenly blocks count: 0 by their variance (as published), 1 all alike."""
RIDGE = 1e-3
ITERATIONS = 30

Array = NDArray[np.float64]


def refine(
    pair: Pair, across: Matrix, kind: str, seed: int, stop: Callable[[], None]
) -> tuple[Matrix, float]:
    """Climb to the nearest maximum of LC2 (Levenberg-Marquardt with projected coefficients).

    Args:
        pair: at one spacing.
        across: (4, 4) RAS+ mm, swept → other, to begin from.
        kind: ``"rigid"`` or ``"affine"``.
        seed: unused; nothing is drawn.
        stop: raises to end the search.

    Returns:
        The map found, and its LC2, 0 to 1.
    """
    del seed
    problem = _problem(pair)
    best = problem.at(across)
    damping = 1e-2
    for _ in range(ITERATIONS):
        stop()
        normal, slope = problem.slope(best, kind)
        diagonal = np.diag(np.diag(normal) + 1e-9 * np.trace(normal) + 1e-12)
        previous = best
        while best is previous and damping < 1e4:
            move = _solved(normal + damping * diagonal, slope)
            trial = problem.at(problem.moved(best.across, move, kind))
            if trial.value > best.value:
                best, damping = trial, max(damping / 5, 1e-4)
            else:
                damping *= 5
        steps = np.linalg.norm((best.world - previous.world)[::40], axis=1)
        if best is previous or steps.mean() < 0.02 * pair.grid.spacing[0]:
            break
    return best.across, best.value


@dataclass(frozen=True, eq=False)
class _Place:
    """What one map makes of the problem; n points in k blocks, two features."""

    across: Matrix
    value: float
    world: Array  # (n, 3) where the points land in the other volume, mm
    valid: Array  # (n,) 1 where the point counts
    counts: Array  # (k,) points that count
    features: Array  # (n, 2) block means taken off
    mix: Array  # (k, 2) coefficients a, b
    gram: Array  # (k, 2, 2)
    residual: Array  # (n,)


class _Problem:
    """The field of view's points in blocks, and the other image's features to sample."""

    def __init__(self, pair: Pair) -> None:
        spacing = float(pair.grid.spacing[0])
        side = max(3, round((BLOCK_MM[0] + BLOCK_MM[1] * spacing) / spacing))
        voxels, labels = _blocks(pair, side)
        _, self._first, self._block = np.unique(labels, return_index=True, return_inverse=True)
        self._sizes = np.diff(np.append(self._first, len(labels))).astype(float)
        self._points = pair.grid.to_world(voxels)
        self._centre = self._points.mean(0)
        values = pair.swept[tuple(voxels.T)].astype(np.float64)
        self._swept = values - (self._sum(values) / self._sizes)[self._block]
        power = self._sum(self._swept**2) / self._sizes
        self._swept *= ((power + 0.05 * power.mean()) ** (-EVEN / 2))[self._block]
        self._total = float((self._swept**2).sum()) + 1e-12
        self._grid = pair.other_grid
        self._images, self._slopes = _features(pair, spacing)

    def at(self, across: Matrix) -> _Place:
        """Sample the features, fit a and b in every block, and say what that explains."""
        world = self._points @ across[:3, :3].T + across[:3, 3]
        samples = self._sample(self._images, world)
        valid = (samples[:, 2] > 0.5).astype(np.float64)
        counts = self._sum(valid)
        valid *= (counts >= FILLED * self._sizes)[self._block]
        counts = np.maximum(self._sum(valid), 1.0)
        features = self._centred(samples[:, :2], valid, counts)
        swept = self._centred(self._swept[:, None], valid, counts)[:, 0]
        gram = np.empty((len(counts), 2, 2))
        gram[:, 0, 0] = self._sum(features[:, 0] ** 2) + RIDGE * counts
        gram[:, 1, 1] = self._sum(features[:, 1] ** 2) + RIDGE * counts
        gram[:, 0, 1] = gram[:, 1, 0] = self._sum(features[:, 0] * features[:, 1])
        mix = _solved(gram, self._sum(features * swept[:, None])[..., None])[..., 0]
        residual = swept - (features * mix[self._block]).sum(1)
        explained = float((swept**2).sum() - (residual**2).sum())
        # Points that left the other image count as unexplained, so that nothing is won by leaving.
        value = explained / self._total - STRAIN * float((_strain(across) ** 2).sum())
        return _Place(across, value, world, valid, counts, features, mix, gram, residual)

    def slope(self, place: _Place, kind: str) -> tuple[Array, Array]:
        """Return the Gauss-Newton matrix (p, p) and the step's right side (p,)."""
        slopes = self._sample(self._slopes, place.world)
        mix = place.mix[self._block] * place.valid[:, None]
        along = mix[:, :1] * slopes[:, :3] + mix[:, 1:] * slopes[:, 3:]
        arm = place.world - self._pivot(place.across)
        if kind == "affine":
            turns = (along[:, :, None] * arm[:, None, :]).reshape(-1, 9)
        else:
            turns = np.cross(arm, along)
        jacobian = self._centred(np.hstack([along, turns]), place.valid, place.counts)
        # What other coefficients would make good does not count as a change (Golub & Pereyra).
        onto = np.stack(
            [self._sum(place.features[:, n : n + 1] * jacobian) for n in range(2)], axis=1
        )
        share = _solved(place.gram, onto)
        for n in range(2):
            jacobian -= place.features[:, n : n + 1] * share[self._block, n]
        normal, slope = jacobian.T @ jacobian, jacobian.T @ place.residual
        if kind == "affine":
            linear = place.across[:3, :3]
            units = np.eye(9).reshape(9, 3, 3)
            change = linear.T @ (units + units.transpose(0, 2, 1)) @ linear / 2
            effect = np.vstack([np.zeros((3, 9)), change.reshape(9, 9)])
            weight = STRAIN * self._total
            normal += weight * effect @ effect.T
            slope -= weight * effect @ _strain(place.across).ravel()
        return normal, slope

    def moved(self, across: Matrix, move: Array, kind: str) -> Matrix:
        """Return a map with a step (p,) of :meth:`slope`'s parameters put on top."""
        turn = np.eye(3) + move[3:].reshape(3, 3) if kind == "affine" else _rotation(move[3:])
        pivot = self._pivot(across)
        step = np.eye(4)
        step[:3, :3] = turn
        step[:3, 3] = pivot + move[:3] - turn @ pivot
        return np.asarray(step @ across)

    def _pivot(self, across: Matrix) -> Array:
        return np.asarray(across[:3, :3] @ self._centre + across[:3, 3])

    def _sum(self, values: Array) -> Array:
        """Add up (n, …) values block by block."""
        return np.asarray(np.add.reduceat(values, self._first, axis=0))

    def _centred(self, values: Array, valid: Array, counts: Array) -> Array:
        """Take each block's mean off (n, c) values; points that do not count become 0."""
        values = values * valid[:, None]
        means = self._sum(values) / counts[:, None]
        return np.asarray(values - means[self._block] * valid[:, None])

    def _sample(self, images: Voxels, world: Array) -> Array:
        """Interpolate (voxels, c) images linearly at (n, 3) positions; 0 outside."""
        shape = np.array(self._grid.shape)
        voxel = self._grid.to_voxel(world)
        inside = np.all((voxel >= 0) & (voxel <= shape - 1.001), axis=1)
        voxel[~inside] = 0
        low = voxel.astype(np.intp)
        part = (voxel - low).astype(np.float32)
        at = (low[:, 0] * shape[1] + low[:, 1]) * shape[2] + low[:, 2]
        out = np.zeros((len(world), images.shape[1]), np.float32)
        for corner in range(8):
            steps = np.array([corner >> 2, corner >> 1 & 1, corner & 1])
            weight = np.where(steps, part, 1 - part).prod(1) * inside
            here = images[at + (steps[0] * shape[1] + steps[1]) * shape[2] + steps[2]]
            out += here * weight[:, None].astype(np.float32)
        return out.astype(np.float64)


_LAST: list[tuple[Pair, _Problem]] = []


def _problem(pair: Pair) -> _Problem:
    """Lay out a problem, or return the last pair's: every start climbs the same hill."""
    if not _LAST or _LAST[0][0] is not pair:
        _LAST[:] = [(pair, _Problem(pair))]
    return _LAST[0][1]


def _blocks(pair: Pair, side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the voxels (n, 3) that count and their blocks' numbers (n,), sorted by block."""
    voxels = np.argwhere(pair.mask)
    block = (voxels - voxels.min(0)) // side
    many = block.max(0) + 1
    labels = (block[:, 0] * many[1] + block[:, 1]) * many[2] + block[:, 2]
    filled = np.bincount(labels) >= FILLED * side**3
    if not filled.any():
        filled[:] = True
    chosen = np.flatnonzero(filled[labels])
    chosen = chosen[np.argsort(labels[chosen], kind="stable")]
    thinned = np.linspace(0, len(chosen) - 1, min(POINTS, len(chosen))).astype(np.int64)
    chosen = chosen[thinned]
    return voxels[chosen], labels[chosen]


def _features(pair: Pair, spacing: float) -> tuple[Voxels, Voxels]:
    """Return (voxels, 3): T2, its edges, 1 inside; and (voxels, 6): the slopes of the first two."""
    images = [
        (v - np.float32(v[pair.inside].mean())) / np.float32(v[pair.inside].std() + 1e-12)
        for v in (pair.other, pair.edges)
    ]
    slopes = [slope for image in images for slope in np.gradient(image, np.float32(spacing))]
    flat = [v.reshape(-1).astype(np.float32) for v in (*images, pair.inside, *slopes)]
    return np.stack(flat[:3], axis=1), np.stack(flat[3:], axis=1)


def _solved(matrix: Array, right: Array) -> Array:
    return np.asarray(np.linalg.solve(matrix, right), dtype=np.float64)


def _strain(across: Matrix) -> Array:
    """Return how a map stretches and shears space: (3, 3), 0 for a rigid one."""
    linear = across[:3, :3]
    return np.asarray((linear.T @ linear - np.eye(3)) / 2)


def _rotation(turn: Array) -> Array:
    """Return the rotation of a (3,) vector: its length in radians about its direction."""
    angle = float(np.linalg.norm(turn))
    if angle < 1e-12:
        return np.eye(3)
    x, y, z = turn / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
