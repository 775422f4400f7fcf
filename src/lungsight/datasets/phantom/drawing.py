"""One phantom: a patient, a disease, an exposure, and the truth about all three."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lungsight.datasets.phantom.anatomy import Thorax, thorax
from lungsight.datasets.phantom.detector import BONE, LUNG, SOFT, exposed
from lungsight.datasets.phantom.devices import devices, old_marks
from lungsight.datasets.phantom.lesions import lesion
from lungsight.datasets.phantom.patient import HOSPITALS, Acquisition, Hospital, Label, PhantomPatient, Stream
from lungsight.datasets.phantom.projection import Grid, Plane
from lungsight.datasets.phantom.shortcuts import Shortcut, after_exposure, before_exposure, side_marker, view_of
from lungsight.datasets.phantom.skeleton import skeleton
from lungsight.datasets.phantom.texture import mottle
from lungsight.datasets.phantom.vessels import vessels
from lungsight.radiograph import View

#: Height in the reference anatomy, cm below the top of the lungs, that lies at the middle of an image.
_MIDDLE = 12.4


@dataclass(frozen=True, eq=False)
class Phantom:
    """A simulated radiograph and its truth.

    Attributes:
        pixels: float32 [height, width], 0…1, dense is bright.
        lung_mask: bool [height, width], the visible lungs.
        lesion_mask: bool [height, width], where the disease is; empty for ``no_pneumonia``.
        shortcut: what was planted in this image, None if nothing was.
        seed: of the patient; with the hospital, the shot and the size it draws this image again.
    """

    pixels: Plane
    lung_mask: NDArray[np.bool_]
    lesion_mask: NDArray[np.bool_]
    label: Label
    view: View
    age: int
    sex: Literal["F", "M"]
    shortcut: Shortcut | None
    seed: int


def draw(
    patient: PhantomPatient | int,
    disease: Label,
    *,
    hospital: Hospital = HOSPITALS[0],
    shortcut: Shortcut | None = None,
    view: View | None = None,
    shot: int = 0,
    size: int = 512,
) -> Phantom:
    """Draw ``patient`` (or the patient of a seed) with ``disease``; the same arguments give the same bits.

    Args:
        patient: the patient, or a seed.
        disease: the label.
        hospital: whose machine and habits the image shows.
        shortcut: plant it in this image; None plants nothing.
        view: PA standing, or AP in bed; None leaves it to the hospital's habits, PA standing or AP sitting.
        shot: which image of this patient, 0, 1, 2 …; anatomy and disease stay, the exposure changes.
        size: height of the image in pixels; the width follows from the hospital's aspect ratio.
    """
    if size < 32:
        raise ValueError(f"a phantom needs at least 32 pixels, not {size}")
    if not isinstance(patient, PhantomPatient):
        patient = PhantomPatient.from_seed(patient)
    taken = before_exposure(Acquisition.of(patient, hospital, shot, view_of(shortcut) or view), shortcut)
    grid = _grid(patient, taken, hospital, size)
    chest = thorax(grid, patient, taken)
    disorder = lesion(grid, patient, disease, chest)
    healthy = patient.size * _attenuation(grid, patient, taken, chest)
    diseased = healthy + np.float32(patient.size * (SOFT - LUNG)) * chest.lung * disorder.filled
    metal = devices(grid, taken)
    pixels = exposed(diseased + metal, healthy, grid.pitch * patient.size, taken)
    pixels = after_exposure(side_marker(pixels, taken, hospital), shortcut)
    pixels.flags.writeable = False
    return Phantom(
        pixels, chest.lung_mask, disorder.mask, disease, taken.view, patient.age, patient.sex, shortcut, patient.seed
    )


def _grid(patient: PhantomPatient, shot: Acquisition, hospital: Hospital, size: int) -> Grid:
    centre = (shot.centre[0], _MIDDLE + shot.centre[1])
    return Grid.of(size, round(size * hospital.aspect), shot.field / patient.size, centre, shot.tilt, shot.tube)


def _attenuation(grid: Grid, patient: PhantomPatient, shot: Acquisition, chest: Thorax) -> Plane:
    """Line integrals of attenuation through the patient without the disease."""
    rng = Stream.ANATOMY.generator(patient.seed, 1)
    aerated = chest.lung * (1 + np.float32(0.07) * mottle(grid, rng, 1.2))
    # Vessels and scars show as far as there is air around them.
    within = np.clip(chest.lung / 5, 0, 1)
    blood = within * np.float32(1.6) * (vessels(grid, patient, shot) + old_marks(grid, patient))
    air = np.minimum(chest.gas, chest.body)
    soft = np.maximum(chest.body - chest.lung - air, 0)
    soft *= 1 + np.float32(0.012) * mottle(grid, rng, 2.5)
    total: Plane = np.float32(SOFT) * soft + np.float32(LUNG) * aerated + np.float32(SOFT - LUNG) * blood
    return total + np.float32(BONE) * skeleton(grid, patient, shot)
