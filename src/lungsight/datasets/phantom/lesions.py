"""The disease: which share of the lung's air is replaced by fluid, and where.

COVID-19 is drawn as most radiographs of it are described: ground-glass patches in both lungs, at the chest wall,
more below than above (Wong et al., Radiology 2020;296:E72). Other pneumonia is a lobar consolidation: one lobe,
cut off by its fissure, with air-filled bronchi left dark inside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from lungsight.datasets.phantom.anatomy import LEFT, RIGHT, Thorax, lateral_border
from lungsight.datasets.phantom.patient import Label, PhantomPatient, Stream
from lungsight.datasets.phantom.projection import Grid, Plane, smoothstep, tubes
from lungsight.datasets.phantom.texture import mottle

#: A pixel belongs to the lesion where its extent, 0…1, exceeds this.
_EDGE = 0.4
#: Share of the lungs that must be seen to be diseased.
_LEAST = 0.02
_ATTEMPTS = 20


@dataclass(frozen=True, eq=False)
class Lesion:
    """``filled``: share of the lung's air that is replaced, float32 0…1; ``mask``: where the disease is."""

    filled: Plane
    mask: np.ndarray


@dataclass(frozen=True)
class Lobe:
    """A lobe's projection: its side, its upper and lower bounds, and which of the two is a sharp fissure.

    Bounds are heights in cm at the chest wall; ``slope`` is how far the bound drops per cm towards the middle.
    """

    side: int
    upper: float
    lower: float
    slope: float
    sharp: str


_LOBES = (
    Lobe(RIGHT, -1.0, 10.2, -0.06, "lower"),  # upper lobe, on the minor fissure
    Lobe(RIGHT, 10.2, 18.0, 0.05, "upper"),  # middle lobe, under it
    Lobe(RIGHT, 14.0, 27.0, -0.35, "upper"),  # lower lobe
    Lobe(LEFT, -1.0, 11.0, 0.10, "lower"),  # upper lobe
    Lobe(LEFT, 11.5, 19.0, 0.15, "upper"),  # lingula
    Lobe(LEFT, 14.0, 28.0, -0.35, "upper"),  # lower lobe
)


def lesion(grid: Grid, patient: PhantomPatient, disease: Label, thorax: Thorax) -> Lesion:
    """Draw the disease of ``patient``, at the same places of the lungs in every image of the same patient.

    Disease that would hide behind heart and diaphragm is drawn anew, so that a label is never untrue of its image.
    """
    if disease is Label.NO_PNEUMONIA:
        nothing = np.zeros(grid.shape, np.float32)
        return Lesion(nothing, nothing > 1)
    rng = Stream.DISEASE.generator(patient.seed)
    breathing = replace(grid, y=grid.y / np.float32(thorax.stretch))  # disease moves with the lung it is in
    paint, sides = (_ground_glass, (RIGHT, LEFT)) if disease is Label.COVID19 else (_consolidation, (0,))
    for _ in range(_ATTEMPTS):
        drawn = paint(breathing, rng, thorax)
        if all(_visible(drawn, thorax, grid, side) > _LEAST for side in sides):
            break
    return drawn


def _visible(drawn: Lesion, thorax: Thorax, grid: Grid, side: int) -> float:
    """Share of the lung on ``side`` (0: of both lungs) that is seen to be diseased."""
    here = thorax.lung_mask & (grid.x * side >= 0)
    return float((drawn.mask & here).sum() / max(here.sum(), 1))


def _ground_glass(grid: Grid, rng: np.random.Generator, thorax: Thorax) -> Lesion:
    severity = rng.beta(1.6, 1.8)
    extent = np.zeros(grid.shape, np.float32)
    for side in (RIGHT, LEFT):
        for _ in range(1 + rng.binomial(4, 0.25 + 0.5 * severity)):
            height = rng.triangular(4.5, 16.5, 21.0)
            depth_in = rng.uniform(0.2, 2.0)
            place = (side * (float(lateral_border(height)) - depth_in), height)
            along, across = rng.uniform(2.2, 4.4), rng.uniform(1.5, 2.6 + severity)
            extent = np.maximum(extent, _patch(grid, place, (across, along), side * 0.15))
    ragged = extent + 0.10 * mottle(grid, rng, 3.2) * (extent > 0.02)
    extent = smoothstep(ragged, 0.05, 0.95) * (1 - smoothstep(thorax.inward, 0.5, 0.8))
    density = 0.20 + 0.34 * severity
    netting = np.clip(1 + 0.16 * mottle(grid, rng, 1.1), 0.2, 2.0)
    filled = np.clip(extent * density * netting, 0, 0.75)
    return Lesion(filled, (extent > _EDGE) & thorax.lung_mask)


def _patch(grid: Grid, place: tuple[float, float], half: tuple[float, float], turn: float) -> Plane:
    """A soft ellipse: 1 at its middle, 0.37 on its outline."""
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    dx, dy = grid.x - np.float32(place[0]), grid.y - np.float32(place[1])
    u, v = (cos * dx + sin * dy) / np.float32(half[0]), (cos * dy - sin * dx) / np.float32(half[1])
    return np.exp(-np.square(u * u + v * v))


def _consolidation(grid: Grid, rng: np.random.Generator, thorax: Thorax) -> Lesion:
    lobe = _LOBES[rng.integers(len(_LOBES))]
    severity = rng.beta(1.6, 1.8)
    extent = _lobe_extent(grid, rng, lobe, severity)
    density = 0.28 + 0.52 * severity
    filled = np.clip(extent * density * np.clip(1 + 0.14 * mottle(grid, rng, 1.8), 0.3, 1.6), 0, 0.95)
    if rng.random() < 0.7:
        filled *= 1 - np.minimum(_bronchogram(grid, rng, lobe, thorax.stretch), 0.35)
    return Lesion(filled, (extent > _EDGE) & thorax.lung_mask)


def _lobe_extent(grid: Grid, rng: np.random.Generator, lobe: Lobe, severity: float) -> Plane:
    """How much of the lobe is taken, 0…1: sharp at the fissure, fading into the rest of the lobe."""
    inward = 11.0 - np.float32(lobe.side) * grid.x
    fissure = lobe.upper if lobe.sharp == "upper" else lobe.lower
    down = grid.y - np.float32(fissure) - np.float32(lobe.slope) * inward
    into = down if lobe.sharp == "upper" else -down
    reach = (lobe.lower - lobe.upper) * rng.uniform(0.35, 0.75 + 0.25 * severity)
    ragged = 0.7 * mottle(grid, rng, 3.5, octaves=2)
    taken = smoothstep(into, -0.08, 0.12) * (1 - smoothstep(into + ragged, reach * 0.35, reach * 1.2))
    middle, half = rng.uniform(5.5, 9.0), rng.uniform(2.6, 4.2 + 2.5 * severity)
    beside = np.abs(np.float32(lobe.side) * grid.x - np.float32(middle)) + ragged
    taken *= 1 - smoothstep(beside, half * 0.45, half * 1.4)
    return taken * (np.float32(lobe.side) * grid.x > 0)


def _bronchogram(grid: Grid, rng: np.random.Generator, lobe: Lobe, stretch: float) -> Plane:
    """Air-filled bronchi that run from the hilum into the lobe."""
    t = np.linspace(0, 1, 10)
    target = np.array([lobe.side * 10.0, (lobe.upper + lobe.lower) / 2])
    lines = []
    for _ in range(rng.integers(3, 6)):
        end = target + rng.normal(0, 1.8, 2)
        x, y = lobe.side * 3.4 + (end[0] - lobe.side * 3.4) * t, 10.4 + (end[1] - 10.4) * t
        lines.append(np.stack([x, stretch * (y + 0.5 * np.sin(np.pi * t) * rng.normal()), 0 * t], axis=1))
    radius = np.tile(0.22 - 0.13 * t, (len(lines), 1))
    return tubes(grid, np.stack(lines), radius)
