"""A model file made ready to synthesise, on the device asked for or on the fastest."""

from __future__ import annotations

from collections.abc import Callable

from core.models.bundle import Bundle
from core.models.weights import load
from core.synthesis.fastest import WORTH, choose
from core.synthesis.synthesize import Engine


def open_engine(
    bundle: Bundle,
    device: str = "auto",
    *,
    tiles: int = WORTH,
    tell: Callable[[str], None] = lambda _: None,
) -> Engine:
    """Load a model's weights and build what runs it.

    Args:
        bundle: of a saved model.
        device: a name of :data:`core.synthesis.devices.DEVICES`; ``auto`` is the fastest one here.
        tiles: how much there is to do; for little, ``auto`` times nothing.
        tell: told what ``auto`` found, when it was timed just now.

    Raises:
        ModelError: the weights cannot be used.
        SynthesisError: the device is not there.
    """
    assert bundle.path is not None
    model = load(bundle.path)[1]
    choice = choose(device, model, bundle, tiles=tiles)
    if choice.fresh:
        tell(choice.sentence)
    return Engine(model, bundle, choice.device)
