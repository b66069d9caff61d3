"""What is shown and how: the values the session holds, as frozen dataclasses without behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from app.state.record import Result
from core.grid import Grid
from core.registration.alignment import Alignment
from core.schema import rebuilt
from core.volume import Volume

Vector = NDArray[np.float64]
"""(3,) float64: a position or displacement in RAS+ millimetres."""

Window = tuple[float, float]
"""The values shown as the first and the last colour of the map (low, high)."""


class Kind(StrEnum):
    """What a layer's voxels are."""

    REAL = "real"
    SYNTHETIC = "synthetic"
    DIFFERENCE = "difference"
    SIGMA = "sigma"
    SHARE = "share"
    LABEL = "label"


DEFAULT_COLORMAPS = {
    Kind.DIFFERENCE: "diverging",
    Kind.SIGMA: "inferno",
    Kind.SHARE: "viridis",
    Kind.LABEL: "labels",
}
COLORMAPS = (
    "viridis", "cividis", "inferno", "magma", "gray", "gray inverted", "diverging", "labels",
)  # fmt: skip
"""The maps that the viewer has; a test holds them against it."""
KIND_WORDS = {Kind.REAL: "", Kind.SIGMA: "σ"}


class Plane(StrEnum):
    """The three planes of the reference frame."""

    AXIAL = "axial"
    CORONAL = "coronal"
    SAGITTAL = "sagittal"


class Layout(StrEnum):
    """How the panes are arranged."""

    PLANES = "planes"  # three planes of one volume
    COLUMNS = "columns"  # one plane, a column per volume
    GRID = "grid"  # three planes x columns
    SINGLE = "single"  # one pane, maximised


class Compare(StrEnum):
    """How the counterpart is laid over the active volume."""

    OFF = "off"
    BLEND = "blend"
    SWIPE = "swipe"
    REVEAL = "reveal"
    CHECKER = "checker"
    FLICKER = "flicker"
    DIFFERENCE = "difference"


class Convention(StrEnum):
    """Which side of the screen shows the patient's left in axial and coronal planes."""

    RADIOLOGICAL = "radiological"  # the patient's left on the right of the screen
    NEUROLOGICAL = "neurological"  # the patient's left on the left of the screen


class Interpolation(StrEnum):
    """How values between voxel centres are shown."""

    LINEAR = "linear"
    NEAREST = "nearest"


class MousePreset(StrEnum):
    """Which gesture does what; the tables are in ``app.viewer.key_bindings``."""

    SLICER = "Slicer"
    ITK_SNAP = "ITK-SNAP"
    PACS = "PACS"


@dataclass(frozen=True, eq=False)
class Placement:
    """Where a volume was put, and how well it lies there.

    Attributes:
        header: its grid as the file says.
        alignment: what was done to it since.
        before, after: similarity to what it was aligned to, before and with this alignment, higher
            is better; None while unknown.
        doubtful: why the alignment should not be trusted, in a sentence; empty otherwise.
    """

    header: Grid
    alignment: Alignment
    before: float | None = None
    after: float | None = None
    doubtful: str = ""


class Tool(StrEnum):
    """What the left button does in the viewers besides its usual gesture."""

    NONE = ""
    MOVE = "move"  # drag the moving volume
    LANDMARKS = "landmarks"  # place and drag point pairs
    WINDOW = "window"  # adjust window and level
    PROBE = "probe"  # place a virtual probe


@dataclass(frozen=True)
class Label:
    """One number of a label map: what it is called, and whether it is drawn."""

    value: int
    name: str
    shown: bool = True


@dataclass(frozen=True, eq=False)
class Layer:
    """One volume in the window, and how it is drawn.

    Attributes:
        id: unique name inside the session, e.g. ``"real-1"``.
        volume: voxels, grid and modality; the voxels may be a view of shared memory that another
            process fills (then the writer's side calls ``Session.touch``).
        kind: what the voxels are.
        name: what the window calls the layer.
        colormap: a name from ``app.viewer.colormaps.NAMES``.
        window: values of the first and the last colour, in the volume's units.
        auto: the robust window, computed once per volume.
        opacity: 0..1; how strongly the layer covers what lies below it.
        visible: the eye.
        available: whether the model may see it (real volumes only).
        outline: draw a label map as outlines besides its fill.
        field_of_view: (i, j, k) bool on the volume's own grid, drawn as an outline; or None.
        placement: how the volume was moved from the position in its file; None where it was not.
        result: the synthesis it is a part of; None for other volumes.
        sample: which single sample of the result it is, from 1; 0 for everything else.
        live: it is still being made.
        labels: what a label map holds; empty for images.
    """

    id: str
    volume: Volume
    kind: Kind
    name: str
    colormap: str
    window: Window
    auto: Window
    opacity: float = 1.0
    visible: bool = True
    available: bool = True
    outline: bool = True
    field_of_view: NDArray[np.bool_] | None = None
    placement: Placement | None = None
    result: Result | None = None
    sample: int = 0
    live: bool = False
    labels: tuple[Label, ...] = ()

    @property
    def hidden_labels(self) -> frozenset[int]:
        """The numbers of a label map that are not drawn."""
        return frozenset(x.value for x in self.labels if not x.shown)

    @property
    def header(self) -> Grid:
        """The volume's grid as its file says."""
        return self.placement.header if self.placement else self.volume.grid

    @property
    def modality(self) -> str:
        """The modality of the volume (for a difference or σ map: of what it is about)."""
        return self.volume.modality

    @property
    def is_image(self) -> bool:
        """Whether the layer is drawn as an image of its own (everything but label maps)."""
        return self.kind is not Kind.LABEL

    @property
    def own_units(self) -> bool:
        """Whether its values are not those of the case's volumes of its modality."""
        return self.result is not None and bool(self.result.probe)

    @property
    def made_by_model(self) -> bool:
        """Whether the layer must carry the mark of synthetic images."""
        return self.volume.synthetic or self.kind in (
            Kind.SYNTHETIC,
            Kind.DIFFERENCE,
            Kind.SIGMA,
            Kind.SHARE,
        )


class LayerEdit(TypedDict, total=False):
    """The fields of a layer that ``Session.update_layer`` may change."""

    name: str
    modality: str
    colormap: str
    opacity: float
    visible: bool
    available: bool
    outline: bool
    field_of_view: NDArray[np.bool_] | None
    result: Result | None
    live: bool
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class View:
    """What part of a plane is on screen.

    Attributes:
        zoom: 1 fits the reference volume into the pane.
        pan: world displacement (x, y, z) in mm of the pane's middle from the reference's middle.
    """

    zoom: float = 1.0
    pan: tuple[float, float, float] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Ruler:
    """A measured distance: two world positions in mm."""

    start: tuple[float, float, float]
    end: tuple[float, float, float]

    @property
    def length(self) -> float:
        """Distance in mm."""
        return float(np.linalg.norm(np.subtract(self.end, self.start)))

    def to_list(self) -> list[list[float]]:
        """Return both ends as plain JSON values."""
        return [list(self.start), list(self.end)]

    @classmethod
    def of(cls, ends: Any) -> Ruler:
        """Rebuild from ``to_list``'s result.

        Raises:
            ValueError, TypeError: not two positions.
        """
        (a, b, c), (d, e, f) = ends
        return cls((float(a), float(b), float(c)), (float(d), float(e), float(f)))


@dataclass(frozen=True)
class Display:
    """The settings all views share.

    Attributes:
        plane: the plane of the ``COLUMNS`` and ``SINGLE`` layouts, and the large one of ``PLANES``.
        mix: share of the counterpart in blend mode, 0..1.
        swipe: position of the swipe line, 0..1 of the pane's width.
        reveal: radius in pixels of the disc that shows the counterpart under the pointer.
        world_axes: planes along R, A, S of the world instead of the reference volume's own axes.
        lock_position, lock_zoom, lock_window: whether volumes share cursor, view and window/level
            (the window is shared by real and synthetic volumes of one modality).
        measuring: whether the left button draws a ruler.
    """

    plane: Plane = Plane.AXIAL
    layout: Layout = Layout.PLANES
    compare: Compare = Compare.OFF
    mix: float = 0.5
    swipe: float = 0.5
    reveal: int = 70
    convention: Convention = Convention.RADIOLOGICAL
    world_axes: bool = False
    interpolation: Interpolation = Interpolation.LINEAR
    mouse: MousePreset = MousePreset.SLICER
    crosshair: bool = True
    outlines: bool = True
    measuring: bool = False
    lock_position: bool = True
    lock_zoom: bool = True
    lock_window: bool = True

    def to_dict(self) -> dict[str, object]:
        """Return plain JSON values, for the project file and the settings."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Display:
        """Rebuild from ``to_dict``'s result; unknown names are ignored.

        Raises:
            ValueError: a value that the field cannot hold.
        """
        return rebuilt(cls, data)


class DisplayEdit(TypedDict, total=False):
    """The fields of ``Display``, for ``Session.set_display``."""

    plane: Plane
    layout: Layout
    compare: Compare
    mix: float
    swipe: float
    reveal: int
    convention: Convention
    world_axes: bool
    interpolation: Interpolation
    mouse: MousePreset
    crosshair: bool
    outlines: bool
    measuring: bool
    lock_position: bool
    lock_zoom: bool
    lock_window: bool


@dataclass
class UnlockedLayers:
    """What single layers keep for themselves while a lock is open (layer id → value)."""

    cursors: dict[str, Vector] = field(default_factory=dict)
    views: dict[str, View] = field(default_factory=dict)
