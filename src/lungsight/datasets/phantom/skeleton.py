"""Bones: spine, ribs, clavicles, shoulder blades, upper arms. Thickness of bone in excess of soft tissue, in cm."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.phantom.anatomy import LEFT, RIGHT, lateral_border
from lungsight.datasets.phantom.patient import Acquisition, PhantomPatient
from lungsight.datasets.phantom.projection import Grid, Plane, Values, smoothstep, tubes
from lungsight.radiograph import View

RIBS = 12
#: Where bones are along the beam, in cm from the middle of the lungs to the front.
_SPINE, _CLAVICLE, _SCAPULA = -7.0, 6.0, -8.0
_SPACING = 2.2


def skeleton(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Plane:
    """Return the equivalent thickness of compact bone along the beam, in cm; thinner with age."""
    rng = np.random.default_rng(patient.seed + 3)
    density = float(np.clip(1.12 - 0.004 * (patient.age - 40), 0.8, 1.2))
    back = grid.at(_SPINE)
    bones = _spine(back) + _ribs(back, rng) + _collar(grid, shot, rng) + _scapulae(grid.at(_SCAPULA), shot)
    return np.float32(density) * bones


def _spine(grid: Grid) -> Plane:
    """Vertebral bodies with discs between them, and their processes."""
    half = np.float32(1.55) + np.float32(0.014) * grid.y
    body = np.sqrt(np.maximum(1 - np.square(np.square(grid.x / half)), 0))
    phase = (grid.y + np.float32(0.6)) / np.float32(_SPACING)
    phase -= np.floor(phase)
    disc = 1 - smoothstep(np.abs(phase - np.float32(0.5)), 0.36, 0.46) * np.float32(0.45)
    column = np.float32(0.62) * body * disc
    level = -4.2 + _SPACING * np.arange(18.0)
    spinous = np.stack([np.stack([_line((0.0, y, 0.0), (0.0, y + 1.5, 0.0))]) for y in level])[:, 0]
    column += 0.5 * tubes(grid, spinous, np.full(spinous.shape[:2], 0.30))
    sides = [_line((s * 1.2, y - 0.1, 0.0), (s * 2.9, y - 0.45, 0.0)) for y in level for s in (RIGHT, LEFT)]
    column += 0.25 * tubes(grid, np.stack(sides), np.full((len(sides), 8), 0.36))
    rings = [_ring(s * 0.95, y + 0.15, 0.38) for y in level for s in (RIGHT, LEFT)]
    spine: Plane = column + 0.6 * tubes(grid, np.stack(rings), np.full((len(rings), 12), 0.10))
    return spine


def _line(start: tuple[float, float, float], end: tuple[float, float, float], points: int = 8) -> Values:
    return np.linspace(start, end, points)


def _ring(x: float, y: float, radius: float) -> Values:
    angle = np.linspace(0, 2 * np.pi, 12)
    return np.stack([x + radius * 0.8 * np.cos(angle), y + radius * np.sin(angle), np.zeros(12)], axis=1)


def _ribs(grid: Grid, rng: np.random.Generator) -> Plane:
    """Each rib is a tilted half ring: from the spine outward and back to the front, lower as it goes."""
    number = np.arange(RIBS)
    head = -0.9 + _SPACING * number
    drop = np.array([1.9, 2.9, 3.5, 3.9, 4.2, 4.5, 4.7, 4.8, 4.8, 4.8, 4.4, 3.8]) * rng.normal(1, 0.06)
    reach = lateral_border(head + drop) + 0.35
    reach[0] = 5.9
    end = np.array([0.62, 0.68, 0.70, 0.71, 0.71, 0.70, 0.68, 0.65, 0.61, 0.56, 0.42, 0.26]) * np.pi
    t = np.linspace(0, 1, 40)
    lines = []
    for side in (RIGHT, LEFT):
        angle = 0.13 + t[None, :] * (end[:, None] - 0.13)
        x = side * reach[:, None] * np.sin(angle)
        y = head[:, None] + drop[:, None] * (0.6 * (1 - np.cos(angle)) + 0.8 / np.pi * angle)
        y += rng.normal(0, 0.07, (RIBS, 1))
        z = 0.5 * reach[:, None] * (1 - np.cos(angle))
        lines.append(np.stack([x, y, z], axis=2))
    path = np.concatenate(lines)
    radius = np.tile(0.52 + 0.16 * t**1.5, (2 * RIBS, 1)) * rng.normal(1, 0.03, (2 * RIBS, 1))
    radius[:, -4:] *= (0.97, 0.9, 0.78, 0.55)
    shell = tubes(grid, path, radius, wall=0.11, flat=0.8)
    marrow = tubes(grid, path, radius * 0.85, flat=0.8)
    return 0.95 * shell + 0.20 * marrow


def _collar(grid: Grid, shot: Acquisition, rng: np.random.Generator) -> Plane:
    """Clavicles and humeri."""
    swing = 4.5 * np.sin(shot.rotation)
    lift = (0.6 if shot.view is View.AP else 0.0) + rng.normal(0, 0.3)
    # In bed the shoulders sink back: the clavicles are more level, and run from the front to the middle.
    rise, depth = (2.6, _CLAVICLE) if shot.supine else (4.2, 0.0)
    t = np.linspace(0, 1, 30)
    paths, radii = [], []
    for side in (RIGHT, LEFT):
        x = side * (1.6 + 13.2 * t) + swing * (1 - t)
        y = 4.9 - lift - rise * t - 0.45 * np.sin(2 * np.pi * t)
        paths.append(np.stack([x, y, -depth * t], axis=1))
        radii.append(0.62 - 0.12 * np.sin(np.pi * t) + 0.12 * (1 - t) ** 4)
    front = grid.at(_CLAVICLE)
    clavicles = 1.1 * tubes(front, np.stack(paths), np.stack(radii), wall=0.16)
    clavicles += 0.35 * tubes(front, np.stack(paths), np.stack(radii) * 0.8)
    out = 0.05 if shot.supine else 0.10 if shot.view is View.AP else 0.17
    arms = np.stack([np.stack([s * (17.0 + out * 26 * t), 3.4 + 26 * t, 0 * t], axis=1) for s in (RIGHT, LEFT)])
    shaft = np.tile(1.15 + 1.1 * np.exp(-((t / 0.09) ** 2)), (2, 1)) * np.minimum(1, 0.45 + 12 * t)
    collar: Plane = clavicles + 0.7 * tubes(grid, arms, shaft, wall=0.3) + 0.16 * tubes(grid, arms, shaft * 0.8)
    return collar


def _scapulae(grid: Grid, shot: Acquisition) -> Plane:
    """Thin blades with stout margins: beside the lungs in a PA view, over them in an AP view."""
    shift = -1.6 if shot.view is View.AP else 1.0
    blade = np.array([(12.2, 1.2), (16.6, 3.0), (15.9, 5.4), (15.0, 7.0), (13.0, 13.6), (12.0, 13.2), (11.4, 7.0)])
    total = np.zeros(grid.shape, np.float32)
    for side in (RIGHT, LEFT):
        corner = np.stack([side * (blade[:, 0] + shift), blade[:, 1]], axis=1)
        column, row = grid.pixel(corner[:, 0], corner[:, 1])
        drawn = np.zeros(grid.shape, np.uint8)
        fixed = np.round(np.stack([column, row], axis=1) * 16).astype(np.int32)
        cv2.fillPoly(drawn, [fixed], 255, cv2.LINE_AA, 4)
        total += drawn.astype(np.float32) * np.float32(0.26 / 255)
        closed = np.concatenate([corner, corner[:1]])
        edge = np.stack([_resampled_edge(closed)])
        total += 0.8 * tubes(grid, edge, np.full(edge.shape[:2], 0.22))
        # The acromion is not behind the chest as the blade is, but beside it.
        acromion = -_SCAPULA if shot.supine else 0.0
        ridge = np.stack([_line((side * (11.6 + shift), 5.0, 0.0), (side * (17.4 + shift), 1.2, acromion))])
        total += 0.55 * tubes(grid, ridge, np.full((1, 8), 0.5))
    return total


def _resampled_edge(corner: Values) -> Values:
    """A closed outline with rounded corners, [points, 3]."""
    t = np.linspace(0, len(corner) - 1, 60)
    i = np.minimum(t.astype(int), len(corner) - 2)
    f = (t - i)[:, None]
    line = corner[i] * (1 - f) + corner[i + 1] * f
    return np.concatenate([line, np.zeros((60, 1))], axis=1)
