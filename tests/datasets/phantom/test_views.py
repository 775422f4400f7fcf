"""The same patients standing (PA) and in bed (AP)."""

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from lungsight.datasets.phantom import HOSPITALS, Label, Phantom, PhantomPatient, Shortcut, draw
from lungsight.datasets.phantom.anatomy import DOME, LEFT, thorax
from lungsight.datasets.phantom.devices import devices
from lungsight.datasets.phantom.drawing import _grid
from lungsight.datasets.phantom.patient import Acquisition
from lungsight.radiograph import View

SEEDS = range(24)
LABELS = list(Label)


def drawn(seed: int, view: View | None, size: int = 96) -> Phantom:
    return draw(seed, LABELS[seed % 3], view=view, size=size)


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Phantom, Phantom]]:
    return [(drawn(seed, View.PA), drawn(seed, View.AP)) for seed in SEEDS]


def taken(seed: int, view: View) -> tuple[PhantomPatient, Acquisition]:
    patient = PhantomPatient.from_seed(seed)
    return patient, Acquisition.of(patient, HOSPITALS[0], 0, view)


def test_a_patient_who_stands_is_drawn_as_before_there_was_a_choice():
    standing = [seed for seed in SEEDS if drawn(seed, None, 32).view is View.PA]
    assert len(standing) > 10
    for seed in standing:
        assert np.array_equal(drawn(seed, None, 64).pixels, drawn(seed, View.PA, 64).pixels)


def test_the_view_is_what_was_asked_for(pairs):
    for standing, lying in pairs:
        assert (standing.view, lying.view) == (View.PA, View.AP)
        assert (standing.age, standing.sex, standing.seed) == (lying.age, lying.sex, lying.seed)
    assert draw(1, Label.COVID19, shortcut=Shortcut.VIEW, size=32).view is View.AP


def test_nothing_but_the_machine_s_habits_changes_with_the_view():
    """Marker, equalisation and the display's curve can't give the view away."""
    for seed in SEEDS:
        (_, standing), (_, lying) = taken(seed, View.PA), taken(seed, View.AP)
        for name in ("seed", "gamma", "darkest", "latitude", "equalisation", "collimated", "marker_side"):
            assert getattr(standing, name) == getattr(lying, name), name


def heart_to_chest(phantom: Phantom) -> float:
    """Share of the chest's width that isn't lung, where that is most."""
    shares = []
    rows = np.flatnonzero(phantom.lung_mask.any(axis=1))
    for row in phantom.lung_mask[int(rows[0] + 0.5 * np.ptp(rows)) : int(rows[0] + 0.8 * np.ptp(rows))]:
        columns = np.flatnonzero(row)
        shares.append(1 - row.sum() / (np.ptp(columns) + 1))
    return max(shares)


def test_in_bed_the_heart_is_larger_and_the_lungs_are_lower(pairs):
    wider = [heart_to_chest(lying) / heart_to_chest(standing) for standing, lying in pairs]
    assert np.mean(np.array(wider) > 1) > 0.9
    assert 1.08 < np.median(wider) < 1.35
    heights = [
        np.ptp(np.flatnonzero(lying.lung_mask.any(axis=1))) / np.ptp(np.flatnonzero(standing.lung_mask.any(axis=1)))
        for standing, lying in pairs
    ]
    assert 0.75 < np.median(heights) < 0.97


def test_in_bed_no_air_is_under_the_diaphragm():
    for seed in SEEDS:
        for view in (View.PA, View.AP):
            patient, shot = taken(seed, view)
            grid = _grid(patient, shot, HOSPITALS[0], 128)
            dome = DOME[LEFT] + patient.inspiration + shot.breath
            under = (grid.y > dome) & (grid.y < dome + 3.5) & (grid.x > 2)
            found = thorax(grid, patient, shot).gas[under].max()
            assert (found == 0) == (view is View.AP)


def test_devices_are_usual_in_bed_and_rare_standing():
    def share(view: View) -> float:
        shown = []
        for seed in range(40):
            patient, shot = taken(seed, view)
            shown.append(devices(_grid(patient, shot, HOSPITALS[0], 48), shot).any())
        return float(np.mean(shown))

    assert share(View.AP) > 0.7
    assert share(View.PA) < 0.25


def test_the_disease_stays_where_it_is_in_the_lungs(pairs):
    """But for few patients, whose disease would be behind the larger heart and is drawn elsewhere."""
    near = []
    for standing, lying in pairs:
        if standing.label is Label.NO_PNEUMONIA:
            assert not lying.lesion_mask.any()
            continue
        assert not (lying.lesion_mask & ~lying.lung_mask).any()
        assert lying.lesion_mask.sum() > 0.01 * lying.lung_mask.sum()
        near.append(np.allclose(_relative_centre(standing), _relative_centre(lying), atol=0.17))
    assert np.mean(near) > 0.8


def _relative_centre(phantom: Phantom) -> np.ndarray:
    rows, columns = np.nonzero(phantom.lung_mask)
    y, x = center_of_mass(phantom.lesion_mask)
    return np.array([(y - rows.min()) / np.ptp(rows), (x - columns.min()) / np.ptp(columns)])


def test_an_image_in_bed_is_a_radiograph_with_two_lungs(pairs):
    for _, lying in pairs:
        assert 0.10 < lying.lung_mask.mean() < 0.42
        middle = lying.lung_mask.shape[1] // 2
        right, left = lying.lung_mask[:, :middle].sum(), lying.lung_mask[:, middle:].sum()
        assert 0.4 < left / right < 1.6
        assert 0.2 < lying.pixels.mean() < 0.9
