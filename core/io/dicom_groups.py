"""Which DICOM images of one series belong to one volume, and what kind of series it is."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np

from core.io.dicom_tags import Image

# What tells apart several volumes that share a series and their positions, tried in this order.
_SPLITS: tuple[Callable[[Image], object], ...] = (
    lambda image: image.echo,
    lambda image: image.image_type,
    lambda image: image.temporal,
    lambda image: image.acquisition,
)
_SCREENSHOT = "1.2.840.10008.5.1.4.1.1.7"
_PLANNING = re.compile(r"locali[sz]er|scout|survey|3[- ]?(?:plane|pl)\b", re.IGNORECASE)
_PROJECTIONS = {"PROJECTION IMAGE", "MIP", "MNIP", "MIN IP", "MINIP", "MAX IP"}


def volumes(images: Sequence[Image]) -> tuple[list[list[Image]], int]:
    """Split the images of one series into groups of one volume each.

    Args:
        images: every image with one SeriesInstanceUID.

    Returns:
        The groups, in an order that does not depend on file names: each multi-frame file by
        itself, then stacks of slices (by direction, then by echo, type, time, acquisition), then
        what is left of single images as one group; and how many images were there twice.
    """
    kept, twice = _once(images)
    frames = [[image] for image in kept if image.multiframe is not None]
    stacks: list[list[Image]] = []
    singles: list[Image] = []
    for direction in _by_orientation([image for image in kept if image.multiframe is None]):
        for group in _apart(direction):
            if len(group) > 1:
                stacks.append(group)
            else:
                singles += group

    def first(group: list[Image]) -> tuple[int, str]:
        return min((image.instance or 0, image.uid) for image in group)

    found = sorted(frames, key=first) + sorted(stacks, key=first)
    return found + ([singles] if singles else []), twice


def left_out(groups: Sequence[Sequence[Image]], of: Sequence[Image]) -> int:
    """Return how many images a stack may lack: those that a damaged direction set apart from it.

    Args:
        groups: of one series, as :func:`volumes` gives them.
        of: the stack, one of them.

    Returns:
        Of the images in its size: all, when it is the only stack; else those that lie where its
        next slices would.
    """
    size = (of[0].rows, of[0].columns)
    others = [one for one in groups if one is not of]
    alone = all(len(one) < 2 or scattered(one) for one in others)
    return sum(
        (image.rows, image.columns) == size
        and image.frames == 1
        and (alone or _continues(of, image))
        for one in others
        for image in one
    )


def _continues(stack: Sequence[Image], image: Image) -> bool:
    """Tell whether an image lies where the next slices of a stack would, a whole step on."""
    if image.position is None or any(one.position is None for one in stack):
        return False
    points = np.array([one.position for one in stack], dtype=np.float64)
    along = np.linalg.svd(points - points.mean(axis=0))[2][0]
    depths = np.sort(points @ along)
    step = float(np.median(np.diff(depths)))
    offset = np.asarray(image.position, dtype=np.float64) - points.mean(axis=0)
    away = float(np.linalg.norm(offset - (offset @ along) * along))
    beyond = float(np.asarray(image.position) @ along)
    gap = max(depths[0] - beyond, beyond - depths[-1])
    steps = gap / step if step > 0 else 0.0
    return away < 0.1 * step and 0.9 < steps <= len(stack) and abs(steps - round(steps)) < 0.1


def scattered(group: Sequence[Image]) -> bool:
    """Tell whether a group is what was left of single images, not a stack."""
    return len(_by_orientation(group)) > 1


def nature(image: Image) -> tuple[str, str]:
    """Say what a series is when it is no original acquisition.

    Returns:
        As ``Header.nature``, and the sentence that says why; both empty for an original.
    """
    words = [word.upper().strip() for word in image.image_type]
    named = "\\".join(image.image_type)
    if "LOCALIZER" in words or _PLANNING.search(image.description):
        why = f"image type {named}" if "LOCALIZER" in words else "by its description"
        return "localizer", f"A localizer ({why}): made for planning the others."
    if _PROJECTIONS & set(words):
        return "projection", f"A projection (image type {named}): made from another series."
    if image.sop_class == _SCREENSHOT:
        return "derived", "A screenshot or scan (secondary capture)."
    if words[:1] == ["DERIVED"]:
        return "derived", f"Derived (image type {named}): computed from other images."
    return "", ""


def _once(images: Sequence[Image]) -> tuple[list[Image], int]:
    """Drop copies: one SOP instance, at one place; the larger file is the whole one."""
    best: dict[object, Image] = {}
    for n, image in enumerate(images):
        # Some tools give all slices one identifier; those are no copies of each other.
        key = (image.uid, image.instance, image.position) if image.uid else n
        known = best.get(key)
        if known is None or image.path.stat().st_size > known.path.stat().st_size:
            best[key] = image
    return list(best.values()), len(images) - len(best)


def _by_orientation(images: Sequence[Image]) -> list[list[Image]]:
    groups: list[list[Image]] = []
    for image in images:
        for group in groups:
            a, b = group[0].orientation, image.orientation
            if (a is None and b is None) or (
                a and b and max(abs(x - y) for x, y in zip(a, b, strict=True)) < 5e-3
            ):
                group.append(image)
                break
        else:
            groups.append([image])
    return groups


def _apart(images: list[Image]) -> list[list[Image]]:
    """Separate volumes that lie at the same positions (echoes, magnitude and phase, …)."""

    def doubled(group: Sequence[Image]) -> bool:
        seen = Counter(tuple(np.round(image.position or (0, 0, 0), 2)) for image in group)
        return max(seen.values()) > 1

    if not doubled(images):
        return [images]
    for key in _SPLITS:
        parts: dict[object, list[Image]] = defaultdict(list)
        for image in images:
            parts[key(image)].append(image)
        if len(parts) > 1 and not any(doubled(part) for part in parts.values()):
            return list(parts.values())
    return [images]
