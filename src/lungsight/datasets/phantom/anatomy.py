"""Soft tissue and air: body, lungs, heart, great vessels, diaphragm, airways.

Proportions are those of an adult on a frontal radiograph, in cm of the reference anatomy (see projection).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from lungsight.datasets.phantom.patient import Acquisition, PhantomPatient
from lungsight.datasets.phantom.projection import Grid, Plane, ellipsoid, smoothstep
from lungsight.radiograph import View

RIGHT, LEFT = -1, 1  # sides of the image on which the patient's right and left lie
DOME = {RIGHT: 20.2, LEFT: 21.3}  # the right half of the diaphragm stands higher, over the liver


@dataclass(frozen=True, eq=False)
class Thorax:
    """Path lengths in cm [height, width], and the outlines that disease and skeleton refer to.

    Attributes:
        body: through everything inside the skin.
        lung: through aerated lung.
        gas: through air in trachea, bronchi, stomach and bowel.
        lung_mask: the visible lungs.
        inward: from the chest wall (0) to the mediastinum (1) within each lung.
        stretch: height of the lungs in this breath relative to the reference.
    """

    body: Plane
    lung: Plane
    gas: Plane
    lung_mask: np.ndarray
    inward: Plane
    stretch: float


def lateral_border(y: ArrayLike) -> Plane:
    """Return the distance of the lungs' outer border from the midline at height ``y``, in cm."""
    t = np.clip(np.asarray(y, np.float32) / 19.0, 0, 1)
    border: Plane = np.float32(4.4) + np.float32(8.9) * (1 - (1 - t) ** 2) ** 0.66
    return border


def medial_border(y: Plane) -> Plane:
    """Return the distance of the lungs' inner border from the midline at height ``y``, in cm."""
    return np.float32(1.7) + np.float32(2.7) * np.exp(-np.maximum(y, 0) / np.float32(1.4))


def thorax(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Thorax:
    """Project the soft tissue of ``patient`` as taken in ``shot``."""
    swing = 4.0 * np.sin(shot.rotation)  # what lies in front moves against the spine
    cavity, inward = _cavity(grid)
    lowered = patient.inspiration + shot.breath
    below = _below_dome(grid, lowered)
    mediastinum = _mediastinum(grid, patient, shot, swing)
    abdomen = 15.5 * np.sqrt(np.clip(below / 1.6, 0, 1))
    lung = np.maximum(cavity - mediastinum - abdomen, 0)
    visible = (cavity > 1.2) & (mediastinum < 1.5) & (below < 0) & (np.abs(grid.x) > 1.5)
    rng = np.random.default_rng(patient.seed)
    gas = _trachea(grid, swing) + _bowel_gas(grid, patient, shot, rng)
    return Thorax(_body(grid, patient, shot), lung, gas, visible, inward, 1 + lowered / DOME[RIGHT])


def _cavity(grid: Grid) -> tuple[Plane, Plane]:
    """Path length through the two pleural cavities, were the heart and the diaphragm not there."""
    across = np.abs(grid.x)
    outer, inner = lateral_border(grid.y), medial_border(grid.y)
    width = np.maximum(outer - inner, np.float32(0.01))
    u = (2 * across - outer - inner) / width
    section = np.sqrt(np.maximum(1 - u * u * np.abs(u), 0))
    depth = np.float32(15.5) * (1 - np.exp(-np.maximum(grid.y + 0.1, 0) / np.float32(4.5)))
    return section * depth * (grid.y > 0), np.clip((outer - across) / width, 0, 1)


def _below_dome(grid: Grid, lowered: float) -> Plane:
    """Distance below the outline of the diaphragm, in cm; negative above it."""
    outline = np.empty(grid.shape, np.float32)
    for side in (RIGHT, LEFT):
        across = np.float32(side) * grid.x
        lateral = across > 6.2
        u = (across - 6.2) / np.where(lateral, np.float32(7.15), np.float32(6.2))
        drop = np.where(lateral, np.float32(5.4), np.float32(2.0))
        dome = np.float32(DOME[side] + lowered) + drop * (1 - np.sqrt(np.maximum(1 - u**2, 0)))
        np.copyto(outline, dome, where=across >= 0)
    return grid.y - outline


def _mediastinum(grid: Grid, patient: PhantomPatient, shot: Acquisition, swing: float) -> Plane:
    """Path length through heart and great vessels: ellipsoids that merge without seams (their 3-norm)."""
    # Sitting, all that makes the heart larger; lying, what gravity does, since the projection does the rest.
    wide = patient.heart * (1.10 if shot.supine else 1.14 if shot.view is View.AP else 1.0)
    full = 1.2 if shot.supine else 1.0  # the great veins of the upper mediastinum fill when the patient lies
    sag = 0.6 * (patient.inspiration + shot.breath)
    rng = np.random.default_rng(patient.seed + 1)
    knob = 1.75 + 0.012 * (patient.age - 50) + rng.normal(0, 0.12)
    lean = 0.45 + rng.normal(0, 0.08)
    heart, front, back = grid.at(4.0), grid.at(2.0), grid.at(-6.0)
    parts = (
        ellipsoid(heart, (3.0 * wide + swing, 17.6 + sag), (4.6 * wide, 6.6), 13.5, -lean),
        ellipsoid(heart, (-0.6 * wide + swing, 17.2 + sag), (3.7 * wide, 6.0), 11.5),
        ellipsoid(front, (-1.0 + 0.6 * swing, 9.4 + sag / 2), (2.3 * full, 6.4), 8.0),
        ellipsoid(front, (-1.3 + 0.5 * swing, 3.5), (1.5 * full, 9.5), 6.5),
        ellipsoid(grid, (1.9 + 0.3 * swing, 6.3), (knob, knob * 1.05), 6.0),
        ellipsoid(front, (2.0 + 0.8 * swing, 9.6 + sag / 3), (2.0 * np.sqrt(wide), 2.6), 6.0, -0.35),
        ellipsoid(back, (1.2, 14.0), (1.5, 14.0), 5.5),  # descending aorta, beside the spine
        ellipsoid(grid, (0.4, 2.0), (2.0 * full, 9.0), 7.5),
        ellipsoid(back, (0.0, 12.0), (2.3, 22.0), 9.0),
    )
    return np.cbrt(sum((part * part * part for part in parts), np.zeros(grid.shape, np.float32)))


def _trachea(grid: Grid, swing: float) -> Plane:
    """Air of the windpipe, ending at the carina."""
    centre = np.float32(-0.15 + 0.4 * swing) - np.float32(0.03) * (grid.y - 7.0)
    section = np.sqrt(np.maximum(1 - ((grid.x - centre) / np.float32(0.88)) ** 2, 0))
    return np.float32(1.7) * section * smoothstep(-grid.y, -8.6, -7.4)


def _bowel_gas(grid: Grid, patient: PhantomPatient, shot: Acquisition, rng: np.random.Generator) -> Plane:
    """The stomach's bubble under the left dome, and gas in the colon; in bed no air rises to the diaphragm."""
    lowered = patient.inspiration + shot.breath
    top = DOME[LEFT] + lowered + (4.5 if shot.supine else 0.0)
    half = (rng.uniform(1.2, 3.2), rng.uniform(0.8, 2.0))
    fill = rng.uniform(0.5, 5.0)
    gas = ellipsoid(grid, (rng.uniform(4.5, 8.0), top + 0.9 + half[1]), half, fill, rng.normal(0, 0.2))
    for _ in range(rng.integers(0, 5)):
        place = (rng.uniform(4, 11) * rng.choice([1, 1, -0.8]), top + rng.uniform(4.5, 10))
        gas += ellipsoid(grid, place, (rng.uniform(0.8, 2.2), rng.uniform(0.7, 1.4)), rng.uniform(0.5, 2.5))
    return gas


def _body(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Plane:
    """Path length through trunk, neck, shoulders, arms and breasts."""
    across = np.abs(grid.x)
    fat = patient.girth - 1
    half = np.float32(15.4 + 5.5 * fat) + smoothstep(-grid.y, -10, -2) * np.float32(7)
    half += smoothstep(grid.y, 14, 34) * np.float32(6 * fat)
    depth = np.float32(20.0 + 9.0 * fat) + smoothstep(grid.y, 17, 28) * np.float32(1.5 + 5 * fat)
    trunk = depth * np.sqrt(np.maximum(1 - (across / half) ** 3.2, 0))
    shrug = 0.8 if shot.view is View.AP else 0.0
    slope = np.float32(-2.6 - shrug) + np.float32(0.16) * np.maximum(across - 5, 0)
    slope -= np.float32(3.4) * np.exp(-np.maximum(across - 5.0, 0) / 2.4)
    slope += np.float32(0.045) * np.square(np.maximum(across - 13, 0))
    under_skin = np.maximum(grid.y - slope, 0)
    trunk *= np.sqrt(np.minimum(under_skin / 20, 1)) * np.float32(0.55) + np.float32(0.45) * (
        1 - np.exp(-np.square(under_skin / np.float32(1.6)))
    )
    neck_half = np.float32(5.4 + 2 * fat)
    neck = np.float32(11.5 + 4 * fat) * np.sqrt(np.maximum(1 - (across / neck_half) ** 2, 0))
    neck *= smoothstep(-grid.y, -8, 1)
    torso = np.sqrt(np.hypot(trunk * trunk, neck * neck))  # the neck flows into the shoulders
    body: Plane = np.maximum(torso, _arms(grid, patient, shot)) + _breasts(grid, patient, shot)
    return body


def _arms(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Plane:
    """Upper arms hanging beside the trunk; further out where the shoulders are rolled forward (PA)."""
    out = 0.05 if shot.supine else 0.10 if shot.view is View.AP else 0.17
    thick = 4.4 + 3.0 * (patient.girth - 1)
    axis = np.float32(16.8 + 3.5 * (patient.girth - 1)) + np.float32(out) * (grid.y - 6)
    section = np.sqrt(np.maximum(1 - ((np.abs(grid.x) - axis) / np.float32(thick)) ** 2, 0))
    shoulder = np.sqrt(np.clip((grid.y - 2.2) / 4.5, 0, 1))
    arms: Plane = np.float32(1.9 * thick) * section * shoulder
    return arms


def _breasts(grid: Grid, patient: PhantomPatient, shot: Acquisition) -> Plane:
    """Breasts, with their crisp lower fold; pectoral muscle in men."""
    rng = np.random.default_rng(patient.seed + 2)
    if not patient.breast:
        size, low, depth = 4.6, 9.0, 1.0
    else:
        size, low, depth = 4.0 + 1.6 * patient.breast, 15.5 + 1.8 * patient.breast, 2.3 * patient.breast
    beside = 7.8
    if shot.supine:  # they sink to the sides
        beside, low, depth = 9.6, low - 1.0, 0.7 * depth
    total = np.zeros(grid.shape, np.float32)
    front = grid.at(9.0)
    for side in (RIGHT, LEFT):
        place = (side * (beside + rng.normal(0, 0.3)), low + rng.normal(0, 0.5) - size * 0.55)
        shadow = ellipsoid(front, place, (size, size * 1.15), depth, side * -0.3)
        # Tissue slopes gently into the chest above and hangs free below.
        total += shadow * smoothstep(front.y, place[1] - 1.1 * size, place[1] + 0.5 * size)
    return total
