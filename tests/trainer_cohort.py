"""A tiny cohort on disk: smooth noise as T2, its edges as ultrasound inside a disc."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from scipy import ndimage

from core.models.mhvae.config import MHVAEConfig
from trainer.plan.presets import preset
from trainer.plan.schema import Plan

CONFIG = MHVAEConfig(tile=(16, 16), base_features=4, max_features=8, pools=2, final_blocks=1)


def write_case(folder: Path, name: str, seed: int, size: int = 24, slices: int = 4) -> None:
    random = np.random.default_rng(seed)
    t2 = ndimage.gaussian_filter(random.normal(size=(size, size, slices)), 2.0)
    t2 = (t2 - t2.min()) / np.ptp(t2) + 0.05
    edges = np.hypot(*np.gradient(t2)[:2])
    x, y = np.mgrid[:size, :size]
    fov = np.hypot(x - size / 2, y - size / 2) < 0.45 * size
    us = (edges / edges.max() + 0.05) * fov[:, :, None]
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    for modality, voxels in (("T2", t2), ("iUS", us)):
        image = nib.Nifti1Image((voxels * 200).astype(np.float32), affine)
        image.header.set_xyzt_units("mm")
        nib.save(image, folder / f"{name}-{modality}.nii.gz")


def write_cohort(folder: Path, count: int = 4) -> Path:
    folder.mkdir(exist_ok=True)
    for n in range(count):
        write_case(folder, f"Case{n:03d}", n)
    return folder


def tiny_plan(cohort: Path, **settings: object) -> Plan:
    plan = replace(preset("smoke", str(cohort)), model=CONFIG, threads=1, device="cpu")
    chosen: dict[str, object] = {
        "data.batch": 2,
        "data.test": 0.25,
        "data.validation": 0.25,
        "optimiser.steps": 24,
        "optimiser.warmup": 2,
        "loss.gan_layers": 1,
        "loss.gan_features": 4,
        "log.every": 1,
        "log.checkpoint_steps": 4,
        "log.validate_steps": 12,
        "log.validate_slices": 2,
        "log.preview_slices": 1,
    }
    return plan.override({**chosen, **{k.replace("__", "."): v for k, v in settings.items()}})


def write_expected(folder: Path, name: str, level: float = 120.0, tilt: float = 60.0) -> Path:
    """Write a companion: a smooth slope around ``level`` inside the ultrasound's view."""
    image: Any = nib.load(folder / f"{name}-iUS.nii.gz")
    inside = np.asarray(image.dataobj) > 0
    slope = np.linspace(level - tilt, level + tilt, inside.shape[0])[:, None, None]
    path = folder / f"{name}-iUS-expected.nii.gz"
    nib.save(nib.Nifti1Image((slope * inside).astype(np.float32), image.affine), path)
    return path
