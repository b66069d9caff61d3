"""Ultrasound in probe coordinates: echoes, beam, receiver, and compounding onto a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from core.grid import Grid
from core.simulator.anatomy import Anatomy
from core.simulator.compounding import Sweep, beam_axes, compound, frame_edges
from core.simulator.noise import Field, smooth_noise
from core.simulator.physics import Physics, echo_amplitudes
from core.simulator.placement import jittered
from core.simulator.probe import Probe
from core.simulator.tissues import PROPERTIES


@dataclass(frozen=True, eq=False)
class Acoustics:
    """What sound meets, on a voxel grid.

    Attributes:
        grid: axis-aligned RAS+.
        amplitude: (i, j, k) float32, scatterer amplitude, grey matter = 1.
        impedance: (i, j, k) float32, MRayl.
        attenuation: (i, j, k) float32, relative to brain.
    """

    grid: Grid
    amplitude: Field
    impedance: Field
    attenuation: Field


def acoustics_of(rng: np.random.Generator, anatomy: Anatomy, physics: Physics) -> Acoustics:
    """Paint amplitude, impedance and attenuation, with a texture inside tissues."""
    spacing = float(anatomy.grid.spacing[0])
    amplitude = anatomy.paint(echo_amplitudes(rng, physics))
    texture = 0.8 * smooth_noise(rng, anatomy.grid.shape, spacing, 2.5)
    texture += 1.0 * smooth_noise(rng, anatomy.grid.shape, spacing, 9.0)
    amplitude *= np.exp(texture * np.float32(np.log(10) / 20))
    impedance = anatomy.paint(
        {t: p.impedance * float(1 + rng.normal(0, 0.003)) for t, p in PROPERTIES.items()}
    )
    attenuation = anatomy.paint({t: p.attenuation for t, p in PROPERTIES.items()})
    return Acoustics(anatomy.grid, amplitude, impedance, attenuation)


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

    def sample(volume: Field) -> Field:
        found: Field = ndimage.map_coordinates(
            volume, coords, output=np.float32, order=1, mode="nearest"
        )
        return found

    amplitude = sample(acoustics.amplitude)
    impedance = ndimage.gaussian_filter(sample(acoustics.impedance), 0.6)
    attenuation = sample(acoustics.attenuation)
    clear_craniotomy(rng, probe, r, theta, roll, amplitude, impedance, attenuation)
    specular = specular_echo(impedance, r, probe, steps, physics)
    signal = scatter(rng, amplitude, specular, steps, probe, physics)
    loss = attenuation_loss(attenuation, steps[0], physics)
    return Sweep(
        probe,
        receive(rng, signal, loss, r, theta, roll, physics, probe),
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
    image = np.zeros((r.size, theta.size, roll.size), np.float32)
    return Sweep(probe, image, steps, frame_edges(rng, roll.size, probe))


def clear_craniotomy(
    rng: np.random.Generator,
    probe: Probe,
    r: Field,
    theta: Field,
    roll: Field,
    amplitude: Field,
    impedance: Field,
    attenuation: Field,
) -> None:
    """Replace bone and skin near the probe by saline, in place: the skull is open there."""
    reach = np.float32(rng.uniform(10, 20))
    near = (r < reach) & (impedance > 1.9)
    wide = (r < reach * 1.5) & (attenuation > 1.8)
    open_ = near | wide
    amplitude[open_] = 0.06
    impedance[open_] = 1.52
    attenuation[open_] = 0.0


def specular_echo(
    impedance: Field, r: Field, probe: Probe, steps: tuple[float, float, float], physics: Physics
) -> Field:
    """Return the echo of interfaces: reflectivity times a power of the cosine of incidence.

    With g the gradient of log impedance over 2 (the reflection coefficient per mm) and c the cosine
    between g and the beam, the echo is |g| |c|^n; the display adds it to the scatterers.
    """
    log = np.log(impedance)
    along = np.gradient(log, steps[0], axis=0)
    across = np.gradient(log, axis=1) / ((r + np.float32(probe.radius)) * np.float32(steps[1]))
    between = np.gradient(log, axis=2) / ((r + np.float32(probe.pivot)) * np.float32(steps[2]))
    size = np.sqrt(along**2 + across**2 + between**2) + np.float32(1e-6)
    cosine = np.abs(along) / size
    echo = np.float32(0.5 * physics.specular) * size * cosine ** np.float32(physics.specular_power)
    return np.minimum(echo, np.float32(30))


def scatter(
    rng: np.random.Generator,
    amplitude: Field,
    specular: Field,
    steps: tuple[float, float, float],
    probe: Probe,
    physics: Physics,
) -> NDArray[np.complex64]:
    """Return the beam-formed complex signal: scatterers and interfaces under the point spread.

    The lateral width is constant in angle, so it grows with depth in mm as a real beam does.
    """
    focus = 0.5 * probe.depth
    sigma = (
        physics.axial_mm / steps[0],
        physics.lateral_mm / ((focus + probe.radius) * steps[1]),
        physics.elevation_mm / ((focus + probe.pivot) * steps[2]),
    )
    # Filtering white noise lowers its power by 2 sqrt(pi) sigma along every axis; undo that.
    gain = np.float32(np.sqrt(np.prod([max(2 * np.sqrt(np.pi) * s, 1.0) for s in sigma])))
    shape = amplitude.shape
    parts = []
    for _ in range(2):
        white = rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(0.5))
        parts.append(ndimage.gaussian_filter(white * amplitude * gain, sigma, truncate=3.0))
    parts[0] += ndimage.gaussian_filter(specular, sigma, truncate=3.0)
    signal: NDArray[np.complex64] = parts[0] + 1j * parts[1]
    return signal


def attenuation_loss(attenuation: Field, step: float, physics: Physics) -> Field:
    """Return the two-way loss in dB that the receiver's depth gain does not undo.

    The receiver assumes brain everywhere, so tissue behind fluid comes out brighter and bone casts
    a shadow.
    """
    per_mm = 2 * physics.attenuation_db * physics.frequency_mhz / 10
    loss = np.cumsum(attenuation - np.float32(0.92), axis=0, dtype=np.float32)
    return np.clip(loss * np.float32(per_mm * step), -7, 60)


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
    # Electronic noise is amplified with depth together with the echoes.
    floor = np.float32(10 ** (rng.uniform(-30, -22) / 20)) * 10 ** (
        (r / np.float32(probe.depth)) * np.float32(rng.uniform(4, 12) / 20)
    )
    envelope = np.sqrt(
        signal.real**2
        + signal.imag**2
        + (floor**2) * rng.standard_exponential(shape, dtype=np.float32)
    )
    decibel = 20 * np.log10(envelope + np.float32(1e-4))
    display = np.float32(physics.grey_level) + decibel / np.float32(physics.compression_db)
    display += np.float32(rng.normal(0, 0.01))
    return np.clip(display, np.float32(0.01), 1)


def render_ultrasound(
    rng: np.random.Generator,
    acoustics: Acoustics,
    physics: Physics,
    probe: Probe,
    *,
    mismatch_mm: float,
    only_fov: bool = False,
    sweeps: int | None = None,
) -> tuple[Field, NDArray[np.bool_], dict[str, Any]]:
    """Scan with several sweeps and compound them.

    Args:
        rng: source of randomness.
        acoustics: tissue on its grid, which is also the output grid.
        physics: scanner settings.
        probe: the first sweep.
        mismatch_mm: size of the smooth displacement between the images; 0 for none.
        only_fov: skip the echoes; the image is then 1 inside the field of view.
        sweeps: how many to compound; 3 or 4 at random when not said.

    Returns:
        (i, j, k) float32 display values 0-255, 0 outside the field of view and above 0 inside;
        the field of view; what was drawn.
    """
    displacement = (int(rng.integers(2**31)), mismatch_mm) if mismatch_mm > 0 else None
    drawn = int(rng.integers(3, 5))
    count = sweeps or drawn
    probes = [probe] + [jittered(rng, probe) for _ in range(count - 1)]
    scan = empty_sweep if only_fov else simulate_sweep
    scanned = [scan(rng, acoustics, physics, p, displacement) for p in probes]
    image, fov = compound(scanned, acoustics.grid)
    meta = {"sweeps": count, "mismatch_mm": round(mismatch_mm, 3)}
    return np.where(fov, np.maximum(image * 255, 1), 0).astype(np.float32), fov, meta
