"""How a case is to be aligned before it is used: headers, a transform file, a registration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.registration.alignment import Alignment, AlignProgress, Registration, inverted, moved
from core.registration.methods import DEFAULT_METHOD
from core.registration.register import centred, check_overlap, register
from core.registration.similarity import similarity
from core.registration.verdict import less_similar
from core.volume import Volume


@dataclass(frozen=True)
class AlignmentChoice:
    """What to do with one moving volume.

    Attributes:
        kind: ``"rigid"`` or ``"affine"`` to search, ``"none"`` to take the start as it is.
        method: of the search.
        transform: ITK transform to begin from (or to apply); None for the headers.
        inverse: whether the transform was made for the other direction.
        centre: whether to bring the middles of both images together first.
        seed: of the search.
        start: where the search begins without a transform: a 4×4 matrix row by row, moving →
            fixed, RAS+ mm; the headers' positions when empty.
    """

    kind: str = "none"
    method: str = DEFAULT_METHOD
    transform: Path | None = None
    inverse: bool = False
    centre: bool = False
    seed: int = 0
    start: tuple[float, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything would be moved at all."""
        return self.kind != "none" or self.transform is not None or self.centre


Search = Callable[..., Registration]
"""Called as ``core.registration.register.register`` is."""


def starting_alignment(choice: AlignmentChoice, fixed: Volume, moving: Volume) -> Alignment:
    """Return where the search begins, or what is applied as it is.

    Raises:
        AlignError: the transform cannot be used.
    """
    from core.registration.transforms import read_transform

    start = Alignment(np.eye(4), "header")
    if choice.start:
        start = Alignment(np.array(choice.start, dtype=np.float64).reshape(4, 4), "manual")
    if choice.transform is not None:
        start = read_transform(choice.transform, choice.inverse)
    if choice.centre:
        matrix = centred(fixed, moved(moving, start.matrix)).matrix @ start.matrix
        start = Alignment(matrix, "centred", start.source)
    return start


def align(
    choice: AlignmentChoice,
    fixed: Volume,
    moving: Volume,
    *,
    search: Search = register,
    progress: Callable[[AlignProgress], None] | None = None,
) -> Registration:
    """Align one volume as chosen; nothing is resampled.

    Raises:
        AlignError: see ``core.registration.register.register``; or the applied map
            leaves no overlap.
    """
    start = starting_alignment(choice, fixed, moving)
    if choice.kind == "none":
        return applied(start, fixed, moving)
    return search(
        fixed,
        moving,
        kind=choice.kind,
        start=start.matrix,
        method=choice.method,
        seed=choice.seed,
        progress=progress,
    )


def applied(start: Alignment, fixed: Volume, moving: Volume) -> Registration:
    """Take a map without a search; doubtful when the images agree less, or better turned round.

    Raises:
        AlignError: the map leaves no overlap.
    """
    check_overlap(fixed, moved(moving, start.matrix))
    before = similarity(fixed, moving, np.eye(4))
    after = similarity(fixed, moving, start.matrix)
    reason = ""
    if start.kind == "file":
        turned = similarity(fixed, moving, inverted(start.matrix))
        if turned > after:
            reason = (
                f"The other direction of {start.source} fits better (mutual information "
                f"{turned:.3f} against {after:.3f}); look at the picture, and try with --inverse "
                "switched."
            )
    reason = reason or less_similar(before, after)
    return Registration(start, before, after, bool(reason), reason, 0.0)


def record(result: Registration) -> dict[str, object]:
    """Return a registration as JSON values; the matrix is moving → fixed, RAS+ mm."""
    alignment = result.alignment
    return {
        "kind": alignment.kind,
        "source": alignment.source,
        "matrix": alignment.matrix.tolist(),
        "before": round(result.before, 6),
        "after": round(result.after, 6),
        "doubtful": result.doubtful,
        "reason": result.reason,
        "seconds": round(result.seconds, 2),
    }
