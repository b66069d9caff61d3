"""The search for an alignment: several starts, coarse to fine, rigid then affine, and a verdict."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from core.registration.alignment import (
    AlignError,
    Alignment,
    AlignProgress,
    Matrix,
    Registration,
    from_parameters,
    inverted,
    moved,
)
from core.registration.methods import METHODS
from core.registration.pair import Pair, coverage, make_pair, which_is_swept
from core.registration.similarity import similarity
from core.registration.verdict import reason_to_doubt
from core.volume import Volume

STARTS = 13
"""Places the coarsest level begins from: the given one, and others around it."""
REACH_MM = 9.0
REACH_DEG = 9.0
"""How far around the given place the starts lie, along and about each axis."""
ELSEWHERE_MM = 5.0
"""Places this far apart are different answers."""
AGREE, MORE = 3, 33
"""When fewer starts than this end in the best place, this many more are tried."""
KEPT = (4, 2)
"""Places that go on from each level to the next."""


def search(
    fixed: Volume,
    moving: Volume,
    kind: str,
    start: Matrix,
    method: str,
    seed: int,
    progress: Callable[[AlignProgress], None],
    stop: Callable[[], None],
) -> Registration:
    """Register two volumes: as ``core.registration.register.register``, arguments and errors."""
    began = time.perf_counter()
    placed = moved(moving, start)
    fixed_is_swept = which_is_swept(fixed, placed)
    swept, other = (fixed, placed) if fixed_is_swept else (placed, fixed)
    levels = METHODS[method].levels
    again = KEPT[-1] if kind == "affine" and METHODS[method].coarse_affine else 0
    steps = _Steps(progress, stop, 1 + STARTS + sum(KEPT) + again)
    steps.say("laying out")
    fine = make_pair(swept, other, levels[-1])
    pairs = [*(fine.coarser(s) for s in levels[:-1]), fine]
    if coverage(pairs[0], np.eye(4)) < 0.1:
        raise AlignError(
            f"Less than a tenth of the field of view of {swept.source or 'the ultrasound'} lies "
            f"inside {other.source or 'the other volume'}; expected volumes that lie roughly on "
            "each other. Centre them first (--centre), or adjust them by hand."
        )
    steps.done()
    across, rival = _climb(method, pairs, kind, seed, steps)
    correction = inverted(across) if fixed_is_swept else across
    matrix = correction @ start
    before, after = similarity(fixed, moving, start), similarity(fixed, moving, matrix)
    reason = reason_to_doubt(fine, across, rival, before, after)
    return Registration(
        Alignment(matrix, kind, method),
        before,
        after,
        bool(reason),
        reason,
        time.perf_counter() - began,
    )


def _climb(
    method: str, pairs: list[Pair], kind: str, seed: int, steps: _Steps
) -> tuple[Matrix, float]:
    """Return the best map swept → other, and how near the best place elsewhere comes (0 to 1)."""
    refine, coarse_affine = METHODS[method].refine(), METHODS[method].coarse_affine
    plan = [(pairs[0], "rigid", KEPT[0]), (pairs[1], "rigid", KEPT[1])]
    plan += [(pairs[1], "affine", KEPT[1])] if kind == "affine" and coarse_affine else []
    plan += [(pairs[2], kind, KEPT[1])]
    places = [(across, 0.0) for across in starts(pairs[0].centre, seed)]
    rival = 0.0
    for level, (pair, freedom, keep) in enumerate(plan):

        def climb(
            begin: list[tuple[Matrix, float]], pair: Pair = pair, freedom: str = freedom
        ) -> list[tuple[Matrix, float]]:
            found = []
            for across, _ in begin:
                steps.say(f"{freedom}, {pair.grid.spacing[0]:g} mm")
                found.append(refine(pair, across, freedom, seed, steps.stop))
                steps.done()
            return sorted(found, key=lambda place: -place[1])

        refined = climb(places)
        if level == 0 and _agreeing(refined, pair) < AGREE:
            # Starts that all end in places of their own have hardly found the right one.
            more = [(across, 0.0) for across in starts(pair.centre, seed + 1, MORE)[1:]]
            steps.skip(-len(more))
            refined = sorted([*refined, *climb(more)], key=lambda place: -place[1])
        if level < 2 and freedom == "rigid":
            rival = max(rival, _rival(refined, pair))
        places = distinct(refined, pair)[:keep]
        steps.skip(keep - len(places))
    if not np.isfinite(places[0][1]):
        raise AlignError(
            "No start led to a place where the volumes overlap. Centre them first (--centre), or "
            "adjust them by hand."
        )
    return places[0][0], rival


def _agreeing(found: list[tuple[Matrix, float]], pair: Pair) -> int:
    """Return how many starts ended within half of ``ELSEWHERE_MM`` of the best place."""
    return sum(apart(found[0][0], across, pair) < ELSEWHERE_MM / 2 for across, _ in found)


def _rival(found: list[tuple[Matrix, float]], pair: Pair) -> float:
    """Return the similarity of the best place far from the best one, as a part of its own."""
    best, value = found[0]
    others = [v for across, v in found[1:] if apart(best, across, pair) > ELSEWHERE_MM]
    return max(others, default=0.0) / value if value > 0 else 1.0


def starts(centre: NDArray[np.float64], seed: int, many: int = STARTS) -> list[Matrix]:
    """Return the maps (4, 4) to begin from: none, then an even spread drawn from ``seed``."""
    random = np.random.default_rng(seed)
    # A Latin hypercube: along every axis and turn, each start has a slice of its own.
    slices = np.stack([random.permutation(many - 1) for _ in range(6)], axis=1)
    draws = 2 * (slices + random.random(slices.shape)) / (many - 1) - 1
    reach = np.array([REACH_MM] * 3 + [REACH_DEG] * 3)
    return [np.eye(4), *(from_parameters(draw * reach, centre) for draw in draws)]


def distinct(found: list[tuple[Matrix, float]], pair: Pair) -> list[tuple[Matrix, float]]:
    """Drop places that are within a voxel of a better one."""
    kept: list[tuple[Matrix, float]] = []
    for across, value in found:
        if all(apart(across, other, pair) > pair.grid.spacing[0] for other, _ in kept):
            kept.append((across, value))
    return kept


def apart(a: Matrix, b: Matrix, pair: Pair) -> float:
    """Return how far apart two maps put the field of view, mm (mean over its points)."""
    points = pair.points[:: max(1, int(pair.mask.sum()) // 500)]
    gap = points @ (a - b)[:3, :3].T + (a - b)[:3, 3]
    return float(np.linalg.norm(gap, axis=1).mean())


class _Steps:
    """Counts steps and estimates the time left."""

    def __init__(
        self, progress: Callable[[AlignProgress], None], stop: Callable[[], None], total: int
    ) -> None:
        self.stop = stop
        self._progress, self._total, self._done = progress, total, 0
        self._began = time.perf_counter()

    def say(self, stage: str) -> None:
        self.stop()
        self._stage = stage
        self._tell()

    def done(self) -> None:
        self._done += 1
        self._tell()

    def skip(self, steps: int) -> None:
        """Take off steps that are not needed: places that came together."""
        self._total -= steps

    def _tell(self) -> None:
        left = None
        if self._done > 1:
            pace = (time.perf_counter() - self._began) / self._done
            left = pace * max(0, self._total - self._done)
        self._progress(AlignProgress(self._stage, self._done, self._total, left))
