"""Objects and marks on or in the patient that aren't the disease: tubes, lines, electrodes, nodules, scars."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import PchipInterpolator

from lungsight.datasets.phantom.anatomy import DOME, LEFT, RIGHT
from lungsight.datasets.phantom.patient import Acquisition, PhantomPatient, Stream
from lungsight.datasets.phantom.projection import Grid, Plane, Values, ellipsoid, tubes
from lungsight.radiograph import View

#: Where what is stuck to the chest is along the beam, in cm from the middle of the lungs to the front.
_SKIN = 10.0


def devices(grid: Grid, shot: Acquisition) -> Plane:
    """Return the attenuation by electrodes and their wires, a central line, and tubes; commoner at the bedside."""
    rng = Stream.DEVICES.generator(shot.seed)
    total = np.zeros(grid.shape, np.float32)
    electrodes, line = (0.85, 0.5) if shot.supine else (0.6, 0.35) if shot.view is View.AP else (0.06, 0.03)
    if rng.random() < electrodes:
        for _ in range(rng.integers(2, 5)):
            total += _electrode(grid.at(_SKIN), rng)
    if rng.random() < line:
        total += _central_line(grid, rng)
    if shot.supine and rng.random() < 0.4:
        total += _endotracheal_tube(grid, shot, rng)
        if rng.random() < 0.8:
            total += _gastric_tube(grid, shot, rng)
    return total


def old_marks(grid: Grid, patient: PhantomPatient) -> Plane:
    """Return the tissue in cm of what healthy lungs may show: nipples, a granuloma, scars, plate atelectasis."""
    rng = Stream.ANATOMY.generator(patient.seed)
    total = np.zeros(grid.shape, np.float32)
    if rng.random() < 0.25:
        height = rng.uniform(16, 19)
        for side in (RIGHT, LEFT):
            total += ellipsoid(grid, (side * rng.uniform(7.5, 9), height), (0.45, 0.45), 0.7)
    if rng.random() < 0.15:
        place = (rng.choice([RIGHT, LEFT]) * rng.uniform(4, 10), rng.uniform(3, 17))
        total += ellipsoid(grid, place, (0.3, 0.3), 1.6)
    for _ in range(rng.poisson(0.5)):
        start = np.array([rng.choice([RIGHT, LEFT]) * rng.uniform(5, 9), rng.uniform(3, 19), 0.0])
        end = start + np.array([*rng.normal(0, 2.0, 2), 0.0])
        total += tubes(grid, np.linspace(start, end, 8)[None], np.full((1, 8), rng.uniform(0.08, 0.16)))
    return total


def _electrode(grid: Grid, rng: np.random.Generator) -> Plane:
    """A stud, its ring, and a wire that leaves the image at the side or below."""
    side = rng.choice([RIGHT, LEFT])
    x, y = side * rng.uniform(5, 14), rng.uniform(2, 22)
    turn = np.linspace(0, 2 * np.pi, 16)
    ring = np.stack([x + 0.55 * np.cos(turn), y + 0.55 * np.sin(turn), 0 * turn], axis=1)
    end = (side * 22.0, y + rng.uniform(2, 12)) if rng.random() < 0.5 else (x + rng.normal(0, 3), 34.0)
    wire = _bent((x, y), end, rng)
    drawn = 0.7 * tubes(grid, ring[None], np.full((1, 16), 0.10))
    drawn += 0.9 * ellipsoid(grid, (x, y), (0.28, 0.28), 1.0)
    return drawn + 3.5 * tubes(grid, wire[None], np.full((1, len(wire)), 0.05))


def _central_line(grid: Grid, rng: np.random.Generator) -> Plane:
    """A catheter from the right side of the neck into the superior vena cava."""
    t = np.linspace(0, 1, 24)
    x = -3.6 - 1.2 * np.sin(np.pi * t) * (1 - t) + 1.6 * t
    line = np.stack([x + 0.3 * rng.normal(), -6 + rng.uniform(15, 19) * t, 0 * t], axis=1)
    return 2.2 * tubes(grid, line[None], np.full((1, 24), 0.10), wall=0.05)


def _endotracheal_tube(grid: Grid, shot: Acquisition, rng: np.random.Generator) -> Plane:
    """A tube of plastic in the windpipe that ends some centimetres above the carina, with its radiopaque stripe."""
    t = np.linspace(0, 1, 24)
    y = -8 + (8 + rng.uniform(2.0, 5.0)) * t
    x = -0.15 + 1.6 * np.sin(shot.rotation) - 0.03 * (y - 7.0) + 0.25 * np.sin(np.pi * t) * rng.normal()
    line = np.stack([x, y, 0 * t], axis=1)
    stripe = line + np.array([0.38, 0.0, 0.0])
    drawn = 0.30 * tubes(grid, line[None], np.full((1, 24), 0.50), wall=0.10)
    return drawn + 2.0 * tubes(grid, stripe[None], np.full((1, 24), 0.07))


def _gastric_tube(grid: Grid, shot: Acquisition, rng: np.random.Generator) -> Plane:
    """A tube down the oesophagus, through the diaphragm into the stomach on the left."""
    hiatus, below = DOME[LEFT] + shot.breath - 1.0, rng.uniform(5.0, 9.0)
    x = np.array([0.2, 0.4, 0.7, 0.9, 1.6, 3.8, rng.uniform(4.5, 7.5)])
    y = np.array([-8.0, 2.0, hiatus * 0.6, hiatus * 0.85, hiatus, hiatus + below * 0.55, hiatus + below])
    t, fine = np.linspace(0, 1, len(x)), np.linspace(0, 1, 40)
    line = np.stack([PchipInterpolator(t, values)(fine) for values in (x, y, 0 * t)], axis=1)
    return 1.5 * tubes(grid.at(-3.0), line[None], np.full((1, 40), 0.19), wall=0.07)


def _bent(start: tuple[float, float], end: tuple[float, float], rng: np.random.Generator) -> Values:
    """A slack wire between two points (a quadratic Bézier curve), [points, 3]."""
    t = np.linspace(0, 1, 24)[:, None]
    a, c = np.array(start), np.array(end)
    b = (a + c) / 2 + rng.normal(0, 3, 2)
    line = (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c
    return np.concatenate([line, np.zeros((24, 1))], axis=1)
