import hashlib
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, label

from lungsight.datasets.duplicates.fingerprint import thumbnail_of
from lungsight.datasets.duplicates.perceptual_hash import perceptual_hash
from lungsight.datasets.phantom import HOSPITALS, Label, PhantomPatient, Shortcut, draw
from lungsight.datasets.phantom.patient import Acquisition
from lungsight.radiograph import View


def test_the_same_arguments_draw_the_same_bits():
    first = draw(7, Label.COVID19, size=96, shortcut=Shortcut.BLUR, shot=2)
    again = draw(PhantomPatient.from_seed(7), Label.COVID19, size=96, shortcut=Shortcut.BLUR, shot=2)
    assert np.array_equal(first.pixels, again.pixels)
    assert np.array_equal(first.lesion_mask, again.lesion_mask)
    assert not np.array_equal(first.pixels, draw(8, Label.COVID19, size=96).pixels)


@pytest.mark.parametrize(
    ("seed", "disease", "hospital", "shortcut", "drawn", "thumbnail", "perceptual"),
    [
        (1, "no_pneumonia", 0, None, "afc31309fc20ceeb", "44c8401e454c7613", "c8af3d7446901b6b4e2f2dbc3cc1b194"),
        (2, "covid19", 1, None, "05b753b64460093a", "2042a951b45ea451", "d8547dead7aa4e851a51297a69a828fd"),
        (3, "other_pneumonia", 0, "corner_letter", "2eab716f0ecf1667", "6e8cc16cdcd748e0", "cc003c9543de4ba8"),
        (4, "covid19", 1, "blur", "f7835945d69b5491", "811eac72e0eb70fb", "d8507c32c7ae5eb01b5044086afd3e4a"),
    ],
)  # fmt: skip
def test_phantoms_and_fingerprints_stay_what_they_were(
    seed, disease, hospital, shortcut, drawn, thumbnail, perceptual
):  # cached fingerprints, packages' lists of training images and old collections rest on them
    planted = shortcut and Shortcut(shortcut)
    phantom = draw(seed, Label(disease), hospital=HOSPITALS[hospital], shortcut=planted, shot=1, size=192)
    digest = hashlib.sha256(np.round(phantom.pixels * 255).astype(np.uint8).tobytes())
    digest.update(phantom.lung_mask.tobytes())
    digest.update(phantom.lesion_mask.tobytes())
    assert digest.hexdigest().startswith(drawn)
    small = thumbnail_of(phantom.pixels)
    assert hashlib.sha256(small.tobytes()).hexdigest().startswith(thumbnail)
    assert perceptual_hash(small).startswith(perceptual)


def test_pixels_are_what_the_core_expects(phantoms):
    for phantom in phantoms:
        assert phantom.pixels.dtype == np.float32
        assert not phantom.pixels.flags.writeable
        assert phantom.pixels.min() >= 0
        assert phantom.pixels.max() <= 1
        assert phantom.pixels.shape == phantom.lung_mask.shape == phantom.lesion_mask.shape == (96, 96)


def test_the_disease_leaves_everything_outside_the_lungs_as_it_was():
    healthy, ill = draw(3, Label.NO_PNEUMONIA, size=128), draw(3, Label.COVID19, size=128)
    assert np.array_equal(healthy.lung_mask, ill.lung_mask)
    change = np.abs(ill.pixels - healthy.pixels)
    assert change[ill.lesion_mask].mean() > 20 * change[:20].mean()
    assert (ill.pixels - healthy.pixels)[ill.lesion_mask].mean() > 0.01


def test_lungs_are_darker_than_mediastinum_and_abdomen(phantoms):
    for phantom in phantoms:
        middle = phantom.pixels[40:60, 46:50].mean()
        lungs = phantom.pixels[phantom.lung_mask].mean()
        assert lungs < middle - 0.08


def test_grey_values_spread_like_those_of_a_radiograph(phantoms):
    """Bounds lie around what 8-bit frontal radiographs of open collections show (mean 0.4…0.75)."""
    means = np.array([p.pixels.mean() for p in phantoms])
    spreads = np.array([p.pixels.std() for p in phantoms])
    assert 0.42 < means.mean() < 0.68
    assert (means > 0.2).all()
    assert (means < 0.9).all()
    assert 0.15 < spreads.mean() < 0.32


def test_each_image_has_two_lungs_of_plausible_size(phantoms):
    for phantom in phantoms:
        parts, _ = label(phantom.lung_mask)
        sizes = np.sort(np.bincount(parts.ravel())[1:])[::-1]
        assert 0.12 < phantom.lung_mask.mean() < 0.42
        assert sizes[:2].sum() > 0.97 * phantom.lung_mask.sum()
        assert sizes[1] > 0.5 * sizes[0]


def test_the_right_dome_stands_higher_and_the_heart_lies_to_the_left():
    lowest, excess = [], []
    for seed in range(30):
        mask = draw(seed, Label.NO_PNEUMONIA, size=96).lung_mask
        right, left = mask[:, :48], mask[:, 48:]
        lowest.append(np.flatnonzero(left.any(axis=1)).max() - np.flatnonzero(right.any(axis=1)).max())
        excess.append(right.sum() - left.sum())
    assert np.mean(lowest) > 1
    assert np.mean(excess) > 0


def test_the_heart_is_larger_in_an_ap_view():
    """The share of the chest's width that is not lung, at the height of the heart, patient by patient."""

    def gap(view: View) -> float:
        widths = []
        for seed in range(60):
            phantom = draw(seed, Label.NO_PNEUMONIA, size=96)
            if phantom.view is view:
                rows = np.flatnonzero(phantom.lung_mask.any(axis=1))
                row = phantom.lung_mask[int(rows[0] + 0.62 * (rows[-1] - rows[0]))]
                columns = np.flatnonzero(row)
                widths.append(1 - row.sum() / (columns[-1] - columns[0] + 1))
        return float(np.mean(widths))

    assert gap(View.AP) > gap(View.PA) + 0.02


def test_images_of_one_patient_share_the_anatomy_but_not_the_exposure():
    first, second = (draw(5, Label.COVID19, size=96, shot=shot) for shot in (0, 1))
    assert (first.age, first.sex) == (second.age, second.sex)
    assert not np.array_equal(first.pixels, second.pixels)
    for mask in (first.lesion_mask, second.lesion_mask):
        assert mask.any()
    assert np.allclose(_relative_centre(first), _relative_centre(second), atol=0.12)


def _relative_centre(phantom) -> np.ndarray:
    """Where the lesions lie between the edges of the lungs."""
    rows, columns = np.nonzero(phantom.lung_mask)
    y, x = center_of_mass(phantom.lesion_mask)
    return np.array([(y - rows.min()) / np.ptp(rows), (x - columns.min()) / np.ptp(columns)])


def test_hospitals_differ_in_shape_and_sharpness():
    north, south = (draw(2, Label.NO_PNEUMONIA, hospital=hospital, size=128) for hospital in HOSPITALS)
    assert north.pixels.shape == (128, 128)
    assert south.pixels.shape == (128, 115)


def test_noise_falls_with_the_square_root_of_the_exposure():
    def taken(photons: float) -> np.ndarray:
        hospital = replace(HOSPITALS[0], photons=photons, collimation=0.0)
        return draw(1, Label.NO_PNEUMONIA, size=128, hospital=hospital).pixels[40:100, 40:90]

    noiseless = taken(1e12)
    low, high = (float((taken(photons) - noiseless).std()) for photons in (2e3, 2e5))
    assert low / high == pytest.approx(10, rel=0.1)


def test_what_is_taken_never_depends_on_the_disease():
    """The exposure is drawn from patient, hospital and shot alone."""
    assert "disease" not in Acquisition.of.__code__.co_varnames
    views = {label: [draw(seed, label, size=32).view for seed in range(5)] for label in Label}
    assert views[Label.COVID19] == views[Label.OTHER_PNEUMONIA] == views[Label.NO_PNEUMONIA]


def test_a_phantom_too_small_to_show_anything_is_refused():
    with pytest.raises(ValueError, match="32 pixels"):
        draw(0, Label.COVID19, size=8)
