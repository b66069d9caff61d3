"""The engine from Python, in eight names; ``docs/python-api.md`` shows each in use.

``trainer.api`` has the other two. What a name takes and returns is explained where it is made;
everything else in ``core`` may change between versions without notice. Importing this loads no
torch; what computes does when it is called.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from core.case import Case
from core.io import read as read_any
from core.io import write
from core.models.bundle import find
from core.registration.alignment import moved
from core.registration.register import register
from core.synthesis.request import Request, Synthesis, on_grid, prepare_input
from core.volume import Volume

if TYPE_CHECKING:
    from core.synthesis.synthesize import Engine

__all__ = [
    "Case",
    "load_model",
    "moved",
    "read",
    "register",
    "simulate",
    "synthesize",
    "write",
]


def read(path: str | os.PathLike[str], modality: str = "", *, series: str | None = None) -> Volume:
    """Read one volume: a file, a folder of DICOM slices, or one slice of a series.

    Args:
        path: NIfTI, Analyze, MINC, NRRD, MetaImage or DICOM.
        modality: what the volume shows, in the model's word for it, for example ``"T2"``.
        series: which one, where a DICOM folder holds several.

    Returns:
        Voxels (i, j, k) float32 in the file's own order and units; its grid maps voxels to RAS+ mm.

    Raises:
        VolumeError: the file is missing, damaged, or not one volume.
    """
    return replace(read_any(Path(path), series=series), modality=modality)


def load_model(name: str | os.PathLike[str] | None = None, device: str = "auto") -> Engine:
    """Load a model for :func:`synthesize`.

    Args:
        name: a model file, or the name of one the program knows; the built-in model without it.
        device: ``"cpu"``, ``"cuda"``, ``"mps"``, ``"openvino"``, or ``"auto"`` for the
            fastest one here; that is timed at the first call and remembered.

    Raises:
        ModelError: there is no such model, or its file is damaged.
        SynthesisError: the device is not there.
    """
    from core.synthesis.open_engine import open_engine

    return open_engine(find(None if name is None else os.fspath(name)), device)


def synthesize(
    case: Case,
    model: Engine,
    *,
    inputs: Iterable[str] | None = None,
    targets: Iterable[str] | None = None,
    fov: Literal["auto", "whole"] | Volume = "auto",
    samples: int = 1,
    temperature: float | None = None,
    seed: int = 0,
    on_own_grid: bool = True,
) -> Synthesis:
    """Make the images a patient lacks.

    Args:
        case: the patient's volumes, in one world space.
        model: from :func:`load_model`.
        inputs: modalities the model may see; all of the case that it knows without it.
        targets: modalities to make; those that are no input without it, or all when none is left.
        fov: where: the ultrasound's field of view, else the brain (``"auto"``), everywhere
            (``"whole"``), or a mask volume.
        samples: draws to average; more than one gives a spread as well.
        temperature: of the draws; 0 is the mean path. Without it the model's own for one sample,
            and above 0 for several.
        seed: of the draws.
        on_own_grid: whether the result lies on the grid of the case's first volume in the model's
            order; else on the model's own.

    Returns:
        ``volumes`` and ``spread`` by modality, in the units of the case's real volume of that
        modality or on 0…255; ``provenance`` for :func:`write`'s ``marks``, with ``input_check``:
        whether each input is like the model's training.

    Raises:
        ModelError: the model does not know a modality.
        SynthesisError: an input is missing, or there is nothing to make.
        CaseError: the volumes do not overlap.
    """
    known = model.bundle.config.modalities
    shown = tuple(case.volumes if inputs is None else inputs)
    subset = tuple(m for m in known if m in shown) + tuple(m for m in shown if m not in known)
    missing = tuple(m for m in known if m not in subset)
    if inputs is None:
        subset = tuple(m for m in subset if m in known)
    request = Request(
        subset=subset,
        targets=(missing or known) if targets is None else tuple(targets),
        temperature=model.bundle.draws(samples, temperature),
        samples=samples,
        seed=seed,
        fov=fov,
    )
    prepared = model.check(prepare_input(case, model.bundle, request))
    result = model.run(case, prepared, request)
    return on_grid(result, prepared.reference) if on_own_grid else result


def simulate(seed: int, *, spacing: float = 0.5) -> Case:
    """Simulate a patient: a T2 and an intra-operative ultrasound that lie on each other.

    Args:
        seed: decides everything; the same seed gives the same patient.
        spacing: voxel size of the ultrasound, mm (0.3 to 4).

    Raises:
        SimulatorError: the spacing is out of range.
    """
    from core.simulator import simulate_case

    made = simulate_case(seed, spacing=spacing)
    return Case(f"Case{seed}", {v.modality: v for v in (made.t2, made.ius)})
