"""Which volumes stand beside the active one, and which is laid over it, when nobody chose."""

from __future__ import annotations

from app.state.layers import Layers
from app.state.values import Kind, Layer


def counterpart(active: Layer, layers: Layers) -> Layer | None:
    """Return what compare modes lay over a layer.

    Real and synthetic of one modality are each other's counterpart, else the next visible image is.
    """
    pair = {Kind.REAL: Kind.SYNTHETIC}.get(active.kind, Kind.REAL)
    found = layers.find(pair, active.modality)
    if found is not None and found.visible:
        return found
    images = [x for x in layers.image_layers() if x.id != active.id]
    order = [x for x in images if x.kind in (Kind.REAL, Kind.SYNTHETIC)] or images
    return order[0] if order else None


def automatic_columns(active: Layer | None, layers: Layers) -> list[Layer]:
    """Return real | synthetic | difference | σ of the active layer's modality.

    It is the synthesised one when nothing of the active modality was synthesised; a missing truth
    is replaced by the input. Without any synthesis the columns are the visible images.
    """
    images = layers.image_layers()
    made = [x for x in images if x.kind is Kind.SYNTHETIC]
    if not made or active is None:
        return images
    topic = active.modality
    if topic not in [x.modality for x in made]:
        topic = made[-1].modality
    order = (Kind.REAL, Kind.SYNTHETIC, Kind.DIFFERENCE, Kind.SIGMA)
    row = [x for x in (layers.find(kind, topic) for kind in order) if x and x.visible]
    if not any(x.kind is Kind.REAL for x in row):
        row = [x for x in images if x.kind is Kind.REAL][:1] + row
    return row
