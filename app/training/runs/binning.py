"""Curves with any number of points, as many as a screen can show: smoothed, then binned."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK = 16
"""Points whose smallest and largest value are kept, so that a long curve is drawn from those."""


def smooth(values: NDArray[np.floating], width: int) -> Floats:
    """Return the mean of each value with its neighbours.

    Args:
        values: (n,); what is not finite counts as absent.
        width: how many values a mean takes; near the ends fewer, the same on both sides.

    Returns:
        (n,); what is not finite becomes NaN, so a curve begins and ends where it did.
    """
    exact = np.asarray(values, np.float64)
    if width <= 1 or len(exact) < 3:
        return exact.copy()
    finite = np.isfinite(exact)
    sums = np.concatenate(([0.0], np.cumsum(np.where(finite, exact, 0.0))))
    counts = np.concatenate(([0], np.cumsum(finite)))
    place = np.arange(len(exact))
    # Shrinking at both ends alike: a one-sided mean would bend the curve's beginning.
    half = np.minimum(np.minimum(place, len(exact) - 1 - place), width // 2)
    low, high = place - half, place + half + 1
    number = counts[high] - counts[low]
    total = sums[high] - sums[low]
    return np.divide(total, number, out=np.full(len(exact), np.nan), where=finite)


def extremes(
    x: Floats, least: Floats, most: Floats, low: float, high: float, pixels: int
) -> tuple[Floats, Floats]:
    """Return at most 2 · ``pixels`` + 4 points that draw like the whole curve does.

    Args:
        x: (n,) growing.
        least, most: (n,) smallest and largest value at x; the same array for a plain curve.
        low, high: the part of x on screen.
        pixels: its width.

    Returns:
        x and y of the smallest and largest value in every pixel column, in order, and of one point
        beyond either side, so that the line leaves the screen.
    """
    first = max(0, int(np.searchsorted(x, low)) - 1)
    last = min(len(x), int(np.searchsorted(x, high, side="right")) + 1)
    plain = least is most
    x, least, most = x[first:last], least[first:last], most[first:last]
    if len(x) > 2 * max(1, pixels):
        column = np.floor((x - low) * (max(1, pixels) / max(high - low, 1e-12)))
        starts = np.concatenate(([0], np.flatnonzero(np.diff(column)) + 1))
        x = x[starts]
        least, most = np.fmin.reduceat(least, starts), np.fmax.reduceat(most, starts)
    elif plain:
        return x.copy(), least.copy()  # what is drawn must not change with what is kept
    points, values = np.repeat(x, 2), np.empty(2 * len(x))
    values[::2], values[1::2] = least, most
    return points, values


class CurveData:
    """One smoothed curve that grows at its end; growing by little costs little."""

    def __init__(self) -> None:
        self.length = 0
        self._width = 1
        self._raw = _Buffer()
        self._x = _Buffer()
        self._y = _Buffer()
        self._chunk_x, self._least, self._most = _Buffer(), _Buffer(), _Buffer()

    def clear(self) -> None:
        """Forget everything."""
        self.length = 0

    def extend(self, x: NDArray[np.number], y: NDArray[np.floating], width: int = 1) -> None:
        """Append points and smooth anew what they reach.

        Args:
            x: (n,) growing, beyond what is there.
            y: (n,).
            width: values in a mean; another one than before smooths all anew.
        """
        start = self.length
        self._x.put(start, x)
        self._raw.put(start, y)
        self.length += len(x)
        if width != self._width:
            self._width, start = width, 0
        elif not len(x):
            return
        # The last means had fewer neighbours than they have now.
        start = max(0, start - width)
        begin = max(0, start - width)
        smoothed = smooth(self._raw.of(begin, self.length), width)
        self._y.put(start, smoothed[start - begin :])
        self._bin(start // CHUNK)

    def points(self, low: float, high: float, pixels: int) -> tuple[Floats, Floats]:
        """Return what to draw of x from ``low`` to ``high`` on ``pixels`` columns."""
        x, y = self.x, self._y.of(0, self.length)
        seen = int(np.searchsorted(x, high) - np.searchsorted(x, low))
        if seen > 2 * CHUNK * pixels:
            count = -(-self.length // CHUNK)
            starts, least, most = (b.of(0, count) for b in (self._chunk_x, self._least, self._most))
            return extremes(starts, least, most, low, high, pixels)
        return extremes(x, y, y, low, high, pixels)

    @property
    def x(self) -> Floats:
        """All x, (n,); a view."""
        return self._x.of(0, self.length)

    def at(self, place: float) -> tuple[float, float] | None:
        """Return the point whose x is nearest to a place; ``None`` without any."""
        if not self.length:
            return None
        x = self.x
        after = min(int(np.searchsorted(x, place)), self.length - 1)
        if after and place - x[after - 1] < x[after] - place:
            after -= 1
        return float(x[after]), float(self._y.of(after, after + 1)[0])

    def _bin(self, chunk: int) -> None:
        begin = chunk * CHUNK
        y = self._y.of(begin, self.length)
        starts = np.arange(0, len(y), CHUNK)
        if len(starts):
            self._chunk_x.put(chunk, self._x.of(begin, self.length)[::CHUNK])
            self._least.put(chunk, np.fmin.reduceat(y, starts))
            self._most.put(chunk, np.fmax.reduceat(y, starts))


class _Buffer:
    """Numbers in an array that is made larger by halves rather than at every point."""

    def __init__(self) -> None:
        self._data = np.empty(256)

    def put(self, start: int, values: NDArray[np.number]) -> None:
        end = start + len(values)
        if end > len(self._data):
            larger = np.empty(max(end, len(self._data) * 3 // 2))
            larger[:start] = self._data[:start]
            self._data = larger
        self._data[start:end] = values

    def of(self, start: int, end: int) -> Floats:
        return self._data[start:end]
