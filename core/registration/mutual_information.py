"""Registration by Mattes' mutual information with SimpleITK, one resolution at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from core.registration.alignment import Matrix, nearest_rotation
from core.registration.pair import Pair
from core.volume import Voxels

BINS = 32
POINTS = 30_000
"""Voxels of the field of view that one step looks at."""

_LOCK = threading.Lock()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep SimpleITK to one thread: sums of several come in any order, one gives one answer.

    The setting is global to the process, and parts of the optimiser listen to nothing else.
    """
    import SimpleITK

    sitk: Any = SimpleITK
    with _LOCK:
        threads = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
        try:
            yield
        finally:
            sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(threads)


def refine(
    pair: Pair, across: Matrix, kind: str, seed: int, stop: Callable[[], None]
) -> tuple[Matrix, float]:
    """Climb to the nearest maximum of mutual information.

    The working grids lie along the world's axes, so SimpleITK's physical space is the world here
    and needs no change of signs.

    Args:
        pair: at one spacing; steps begin at about one voxel.
        across: (4, 4) RAS+ mm, swept → other, to begin from.
        kind: ``"rigid"`` or ``"affine"``.
        seed: of the choice of voxels.
        stop: raises to end the search.

    Returns:
        The map found, and its mutual information (nats, by SimpleITK's estimate).
    """
    import SimpleITK

    sitk: Any = SimpleITK  # it ships types in part only
    spacing = float(pair.grid.spacing[0])
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetMetricFixedMask(_image(pair.mask.astype(np.uint8), pair, swept=True))
    method.SetMetricMovingMask(_image(pair.inside.astype(np.uint8), pair, swept=False))
    method.SetMetricSamplingStrategy(method.RANDOM)
    share = min(1.0, POINTS / max(1, int(pair.mask.sum())))
    method.SetMetricSamplingPercentage(share * pair.mask.mean(), seed + 1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=spacing,
        minStep=0.02 * spacing,
        numberOfIterations=80,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = _transform(sitk, across, kind, pair)
    method.SetInitialTransform(transform, inPlace=True)
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            stop()
        except BaseException as error:  # it must not pass through SimpleITK
            caught.append(error)
            method.StopRegistration()

    method.AddCommand(sitk.sitkIterationEvent, ask)
    images = _image(pair.swept, pair, swept=True), _image(pair.other, pair, swept=False)
    try:
        with _one_thread():
            method.Execute(*images)
        value = -float(method.GetMetricValue())
    except RuntimeError:
        # All points left the other image: this start leads nowhere.
        value = -np.inf
    if caught:
        raise caught[0]
    return _matrix(transform), value


def _image(array: Voxels | np.ndarray[Any, Any], pair: Pair, *, swept: bool) -> Any:
    import SimpleITK

    sitk: Any = SimpleITK
    grid = pair.grid if swept else pair.other_grid
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    image.SetSpacing(grid.spacing.tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())
    return image


def _transform(sitk: Any, across: Matrix, kind: str, pair: Pair) -> Any:
    centre = pair.centre
    if kind == "affine":
        transform = sitk.AffineTransform(3)
        linear = across[:3, :3]
    else:
        transform = sitk.VersorRigid3DTransform()
        linear = nearest_rotation(across[:3, :3])
    transform.SetCenter(centre.tolist())
    transform.SetMatrix(linear.ravel().tolist())
    transform.SetTranslation((across[:3, :3] @ centre + across[:3, 3] - centre).tolist())
    return transform


def _matrix(transform: Any) -> Matrix:
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre = np.array(transform.GetCenter())
    out = np.eye(4)
    out[:3, :3] = linear
    out[:3, 3] = centre + np.array(transform.GetTranslation()) - linear @ centre
    return out
