"""Which volumes stand beside the active one, and which is laid over it, when nobody chose."""

from __future__ import annotations

from app.state.layers import Layers
from app.state.record import Result
from app.state.results import Results
from app.state.values import Kind, Layer


def counterpart(active: Layer, layers: Layers, results: Results) -> Layer | None:
    """Return what compare modes lay over a layer.

    What a result made and the volume it is judged against are each other's counterpart; so are
    real and synthetic of one modality; else the next visible image is.
    """
    about = active.result or results.current
    if about is not None:
        pair = {about.truth: about.layer_id}.get(active.id, about.truth if active.result else "")
        if pair in layers and layers.layer(pair).visible:
            return layers.layer(pair)
    other = {Kind.REAL: Kind.SYNTHETIC}.get(active.kind, Kind.REAL)
    found = layers.find(other, active.modality)
    if found is not None and found.visible:
        return found
    images = [x for x in layers.image_layers() if x.id != active.id]
    order = [x for x in images if x.kind in (Kind.REAL, Kind.SYNTHETIC)] or images
    return order[0] if order else None


def automatic_columns(active: Layer | None, layers: Layers, results: Results) -> list[Layer]:
    """Return input | truth | synthetic | difference | σ of the current result.

    A synthetic volume without a record (opened from a file) stands beside the real volume of its
    modality. Without any synthesis the columns are the visible images.
    """
    images = layers.image_layers()
    current = results.current
    if current is not None:
        row = _of_result(current, layers, results)
        if row:
            return row
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


def _of_result(result: Result, layers: Layers, results: Results) -> list[Layer]:
    real = [g.layer_id for m, g in result.given.items() if m in result.subset]
    sample = next((x.id for x in results.samples(result) if x.visible), result.layer_id)
    ids = [*(i for i in real if i != result.truth), result.truth, sample]
    kinds = (Kind.DIFFERENCE, Kind.SIGMA)
    ids += [x.id for x in (results.row(result, kind) for kind in kinds) if x is not None]
    # Maps that were asked for (experts' shares) stand beside the result they explain.
    ids += [x.id for x in layers.layers if x.kind is Kind.SHARE]
    found = [layers.layer(i) for i in ids if i in layers]
    if not any(x.kind is Kind.SYNTHETIC and x.visible for x in found):
        return []
    return [x for x in found if x.visible]
