"""Ultrasound in probe coordinates: echoes, beam, receiver, and compounding onto a grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.simulator.anatomy import Anatomy
from core.simulator.compounding import Compound, Sweep, beam_axes, frame_edges
from core.simulator.interpolate import interpolate
from core.simulator.noise import Field, smooth_noise
from core.simulator.physics import Physics, echo_amplitudes, middle_physics
from core.simulator.probe import Probe
from core.simulator.tissues import PROPERTIES, Tissue

CLEARED = (Tissue.AIR, Tissue.SCALP, Tissue.SKULL)
"""What the open skull leaves out of the picture: saline takes its place."""
SALINE_DB = -24.0
RAYLEIGH_DB = -2.51
"""Mean of the log of speckle over the log of its mean power: 10 log10(e) times -Euler's gamma."""
EXPECTED_SCALE = 2.0
"""A model sees an ultrasound with its own brightest voxels as white; in the middle of the settings
these lie at half of the display's range, so the expected echo is stretched by that much."""
ENHANCEMENT_DB = 3.0
"""How much brighter tissue behind fluid becomes at most; receivers limit it."""


SPECKLE_REDUCTION = (1.8, 1.5, 1.0)
"""Standard deviations in samples of what a scanner averages over."""


@dataclass(frozen=True, eq=False)
class Acoustics:
    """What sound meets, on a voxel grid.

    Attributes:
        grid: axis-aligned RAS+.
        amplitude: (i, j, k) float32, scatterer amplitude, grey matter = 1.
        impedance: (i, j, k) float32, MRayl.
        attenuation: (i, j, k) float32, relative to brain.
        expected: (i, j, k) float32, amplitude in the middle of what tissue may be, without texture.
    """

    grid: Grid
    amplitude: Field
    impedance: Field
    attenuation: Field
    expected: Field


def acoustics_of(rng: np.random.Generator, anatomy: Anatomy, physics: Physics) -> Acoustics:
    """Paint amplitude, impedance and attenuation, with a texture inside tissues."""
    spacing = float(anatomy.grid.spacing[0])
    saline = dict.fromkeys(CLEARED, float(10 ** (SALINE_DB / 20)))
    amplitude = anatomy.paint(echo_amplitudes(physics, rng) | saline)
    texture = 0.4 * smooth_noise(rng, anatomy.grid.shape, spacing, 2.5)
    texture += 1.0 * smooth_noise(rng, anatomy.grid.shape, spacing, 9.0)
    amplitude *= np.exp(texture * np.float32(np.log(10) / 20))
    water = PROPERTIES[Tissue.CSF]
    impedance = anatomy.paint(
        {t: p.impedance * float(1 + rng.normal(0, 0.003)) for t, p in PROPERTIES.items()}
        | dict.fromkeys(CLEARED, water.impedance)
    )
    attenuation = anatomy.paint(
        {t: p.attenuation for t, p in PROPERTIES.items()}
        | dict.fromkeys(CLEARED, water.attenuation)
    )
    expected = anatomy.paint(echo_amplitudes(middle_physics()) | saline)
    return Acoustics(anatomy.grid, amplitude, impedance, attenuation, expected)


def misplaced(
    rng: np.random.Generator, coords: list[Field], grid: Grid, size: float
) -> list[Field]:
    """Move voxel coordinates by a smooth random field of at most about ``size`` mm."""
    knot = 20.0
    shape = tuple(
        int(np.ceil(n * s / knot)) + 2 for n, s in zip(grid.shape, grid.spacing, strict=True)
    )
    scale = [np.float32(s / knot) for s in grid.spacing]
    at = [c * s for c, s in zip(coords, scale, strict=True)]
    moved = []
    for axis in range(3):
        field = rng.standard_normal(shape, dtype=np.float32) * np.float32(size)
        field = ndimage.gaussian_filter(field, 0.7) / np.float32(0.55)
        shift = ndimage.map_coordinates(field, at, output=np.float32, order=1, mode="nearest")
        moved.append(coords[axis] + shift / np.float32(grid.spacing[axis]))
    return moved


def simulate_sweep(
    rng: np.random.Generator,
    acoustics: Acoustics,
    physics: Physics,
    probe: Probe,
    displacement: tuple[int, float] | None,
) -> Sweep:
    """Scan the tissue once: echoes, beam, receiver and log compression."""
    grid = acoustics.grid
    spacing = float(grid.spacing[0])
    r, theta, roll, steps = beam_axes(probe, spacing)
    world = probe.to_world(r, theta, roll)
    coords = [
        (w - np.float32(grid.affine[a, 3])) / np.float32(spacing) for a, w in enumerate(world)
    ]
    if displacement is not None:
        coords = misplaced(np.random.default_rng(displacement[0]), coords, grid, displacement[1])

    amplitude, impedance, attenuation, expected = interpolate(
        (acoustics.amplitude, acoustics.impedance, acoustics.attenuation, acoustics.expected),
        coords,
    )
    del coords, world
    impedance = ndimage.gaussian_filter(impedance, 0.6)
    sigma = beam_width(probe, steps, physics)
    strength, cosine = interfaces(impedance, r, probe, steps)
    specular = np.float32(physics.specular) * strength
    specular *= cosine ** np.float32(physics.specular_power)
    signal = scatter(rng, amplitude, np.minimum(specular, np.float32(30)), sigma, physics)
    loss = attenuation_loss(attenuation, steps[0], physics)
    image = receive(rng, signal, loss, r, theta, roll, physics, probe)
    return Sweep(
        probe,
        (image, expected_echo(expected, strength, sigma)),
        steps,
        frame_edges(rng, roll.size, probe),
    )


def empty_sweep(
    rng: np.random.Generator,
    acoustics: Acoustics,
    physics: Physics,
    probe: Probe,
    displacement: tuple[int, float] | None,
) -> Sweep:
    """Return a sweep with a field of view but no image."""
    r, theta, roll, steps = beam_axes(probe, float(acoustics.grid.spacing[0]))
    nothing = np.zeros((r.size, theta.size, roll.size), np.float32)
    return Sweep(probe, (nothing, nothing), steps, frame_edges(rng, roll.size, probe))


def beam_width(
    probe: Probe, steps: tuple[float, float, float], physics: Physics
) -> tuple[float, float, float]:
    """Return the point spread's standard deviations in samples along r, theta, roll.

    The lateral width is constant in angle, so it grows with depth in mm as a real beam does.
    """
    focus = 0.5 * probe.depth
    return (
        physics.axial_mm / steps[0],
        physics.lateral_mm / ((focus + probe.radius) * steps[1]),
        physics.elevation_mm / ((focus + probe.pivot) * steps[2]),
    )


def interfaces(
    impedance: Field, r: Field, probe: Probe, steps: tuple[float, float, float]
) -> tuple[Field, Field]:
    """Return the reflection coefficient per mm and the cosine between its gradient and the beam.

    The coefficient is half the gradient of log impedance.
    """
    log = np.log(impedance)
    along = np.gradient(log, steps[0], axis=0)
    across = np.gradient(log, axis=1) / ((r + np.float32(probe.radius)) * np.float32(steps[1]))
    between = np.gradient(log, axis=2) / ((r + np.float32(probe.pivot)) * np.float32(steps[2]))
    size = np.sqrt(along**2 + across**2 + between**2) + np.float32(1e-6)
    return np.float32(0.5) * size, np.abs(along) / size


def scatter(
    rng: np.random.Generator,
    amplitude: Field,
    specular: Field,
    sigma: tuple[float, float, float],
    physics: Physics,
) -> NDArray[np.complex64]:
    """Return the beam-formed complex signal: scatterers and interfaces under the point spread.

    ``amplitude`` is used up.
    """
    # Filtering white noise lowers its power by 2 sqrt(pi) sigma along every axis; undo that.
    gain = np.float32(np.sqrt(np.prod([max(2 * np.sqrt(np.pi) * s, 1.0) for s in sigma])))
    shape = amplitude.shape
    strong = rng.random(shape, dtype=np.float32) < np.float32(physics.sparse)
    amplitude *= gain * np.float32(np.sqrt(0.5))
    amplitude[strong] *= rng.uniform(4, 14, int(strong.sum())).astype(np.float32)
    signal = np.empty(shape, np.complex64)
    for part in (signal.real, signal.imag):
        white = rng.standard_normal(shape, dtype=np.float32)
        white *= amplitude
        part[...] = ndimage.gaussian_filter(white, sigma, truncate=3.0)
    signal.real += ndimage.gaussian_filter(specular, sigma, truncate=3.0)
    return signal


def expected_echo(amplitude: Field, strength: Field, sigma: tuple[float, float, float]) -> Field:
    """Return display values 0-1 of the scan without speckle, at the middle of every setting.

    Interfaces count with the mean over all directions they may have to the beam, and nothing is
    lost on the way: a T2 tells neither where the probe stood nor how its receiver was set.

    Args:
        amplitude: of scatterers, in the middle of what tissue may be.
        strength: reflection coefficient per mm.
        sigma: of the point spread, in samples.
    """
    middle = middle_physics()
    power = ndimage.gaussian_filter(amplitude**2, sigma, truncate=3.0)
    mean_cosine = 1 / (1 + middle.specular_power)
    specular = np.minimum(strength * np.float32(middle.specular * mean_cosine), np.float32(30))
    power += ndimage.gaussian_filter(specular, sigma, truncate=3.0) ** 2
    decibel = 10 * np.log10(power + np.float32(1e-4)) + np.float32(RAYLEIGH_DB)
    return np.minimum(display(decibel, middle) * np.float32(EXPECTED_SCALE), 1)


def display(decibel: Field, physics: Physics) -> Field:
    """Return display values 0.01-1 of echoes in dB re grey matter: compression, then grey map."""
    grey = np.float32(physics.grey_level) + decibel / np.float32(physics.compression_db)
    return np.clip(grey, np.float32(0.01), 1) ** np.float32(physics.grey_curve)


def attenuation_loss(attenuation: Field, step: float, physics: Physics) -> Field:
    """Return the two-way loss in dB that the receiver's depth gain does not undo.

    The operator sets the gain until the picture is even: it follows the mean tissue at every depth.
    What one beam meets beyond that stays: tissue behind fluid comes out brighter, by
    ``ENHANCEMENT_DB`` at most.
    """
    per_mm = 2 * physics.attenuation_db * physics.frequency_mhz / 10
    excess = attenuation - attenuation.mean(axis=(1, 2), keepdims=True)
    loss = np.cumsum(excess, axis=0, dtype=np.float32) * np.float32(per_mm * step)
    return np.clip(loss, -np.float32(ENHANCEMENT_DB), 12)


def receive(
    rng: np.random.Generator,
    signal: NDArray[np.complex64],
    loss: Field,
    r: Field,
    theta: Field,
    roll: Field,
    physics: Physics,
    probe: Probe,
) -> Field:
    """Return display values 0-1: loss, poor contact, near field, noise floor, log compression."""
    shape = signal.shape
    contact = smooth_noise(rng, (1, shape[1], shape[2]), 1.0, max(shape[1] / 5, 6.0))
    poor = np.float32(rng.uniform(0, 5)) * np.clip(contact - 0.9, 0, None)
    side = np.clip(np.abs(theta) / np.float32(probe.fan) - 0.75, 0, None) * np.float32(
        rng.uniform(0, 20)
    )
    depth_gain = np.float32(rng.normal(0, 1.0)) * (r / np.float32(probe.depth) - 0.5) * 2
    signal = signal * np.exp((depth_gain - loss - poor - side) * np.float32(np.log(10) / 20))
    fade = np.exp(-r / np.float32(rng.uniform(1.5, 5)))
    rings = 1 + 0.5 * np.cos(r * np.float32(2 * np.pi / rng.uniform(0.8, 2.0)))
    signal += np.float32(rng.uniform(0, 4)) * fade * rings
    # Electronic noise is amplified with depth together with the echoes, until it drowns them.
    rise = np.float32(rng.uniform(0.3, 0.8)) * (r - np.float32(probe.depth))
    floor = np.float32(10) ** ((np.float32(physics.noise_db) + np.maximum(rise, -40)) / 20)
    envelope = np.sqrt(
        signal.real**2
        + signal.imag**2
        + (floor**2) * rng.standard_exponential(shape, dtype=np.float32)
    )
    decibel = 20 * np.log10(envelope + np.float32(1e-4))
    # Scanners average frequencies, angles and frames: structures stay, speckle loses contrast.
    smooth = ndimage.gaussian_filter(decibel, SPECKLE_REDUCTION)
    kept = np.float32(physics.speckle)
    kept = kept + (1 - kept) * np.clip((smooth - np.float32(2)) / np.float32(10), 0, 1)
    return display(smooth + kept * (decibel - smooth), physics)


@dataclass(frozen=True, eq=False)
class Scan:
    """A compounded ultrasound.

    Attributes:
        image: (i, j, k) float32 display values 1-255 inside the field of view, 0 outside.
        expected: the same without speckle, at the middle of every setting; see ``expected_echo``.
        fov: (i, j, k) bool.
        meta: what was drawn.
    """

    image: Field
    expected: Field
    fov: NDArray[np.bool_]
    meta: dict[str, Any]


def render_ultrasound(
    rng: np.random.Generator,
    acoustics: Acoustics,
    physics: Physics,
    probes: Sequence[Probe],
    grid: Grid,
    *,
    mismatch_mm: float,
    only_fov: bool = False,
) -> Scan:
    """Scan with one or several sweeps and compound them.

    Args:
        rng: source of randomness.
        acoustics: tissue wherever the sweeps go.
        physics: scanner settings.
        probes: the sweeps.
        grid: of the image; axis-aligned RAS+.
        mismatch_mm: size of the smooth displacement between the images; 0 for none.
        only_fov: skip the echoes; the images are then 1 inside the field of view.
    """
    displacement = (int(rng.integers(2**31)), mismatch_mm) if mismatch_mm > 0 else None
    scan = empty_sweep if only_fov else simulate_sweep
    compound = Compound(grid)
    for probe in probes:
        compound.add(scan(rng, acoustics, physics, probe, displacement))
    images, fov = compound.result()
    image, expected = (np.where(fov, np.maximum(i * 255, 1), 0).astype(np.float32) for i in images)
    meta = {"sweeps": len(probes), "mismatch_mm": round(mismatch_mm, 3)}
    return Scan(image, expected, fov, meta)
