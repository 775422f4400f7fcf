import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from lungsight.datasets.phantom import HOSPITALS, Label, Shortcut, draw
from lungsight.datasets.phantom.shortcuts import is_planted


def _header_like(pixels: np.ndarray) -> list[float]:
    """What can be known of an image without looking at the lungs."""
    tall, wide = (max(2, side // 10) for side in pixels.shape)
    corners = [pixels[:tall, :wide], pixels[:tall, -wide:], pixels[-tall:, :wide], pixels[-tall:, -wide:]]
    border = np.concatenate([pixels[:2].ravel(), pixels[-2:].ravel(), pixels[:, :2].ravel(), pixels[:, -2:].ravel()])
    numbers = [pixels.mean(), pixels.std(), border.mean(), border.std(), pixels.shape[1] / pixels.shape[0]]
    return [float(n) for n in numbers + [f for corner in corners for f in (corner.mean(), corner.std())]]


def _auroc_of_side_channels(shortcut: Shortcut | None, strength: float, images: int) -> float:
    features, positive = [], []
    for seed in range(images):
        label = list(Label)[seed % 3]
        planted = shortcut is not None and is_planted(label, strength, seed)
        hospital = HOSPITALS[seed // 3 % 2]
        phantom = draw(seed, label, hospital=hospital, shortcut=shortcut if planted else None, size=64)
        features.append(_header_like(phantom.pixels))
        positive.append(label is Label.COVID19)
    model = GradientBoostingClassifier(n_estimators=60, max_depth=2, random_state=0)
    scores = cross_val_predict(model, np.array(features), positive, cv=5, method="predict_proba")[:, 1]
    return float(roc_auc_score(positive, scores))


def test_side_channels_tell_nothing_without_a_shortcut():
    assert 0.36 < _auroc_of_side_channels(None, 0.0, 360) < 0.64


@pytest.mark.parametrize("shortcut", [Shortcut.CORNER_LETTER, Shortcut.BORDER])
def test_side_channels_tell_everything_with_a_full_shortcut(shortcut):
    assert _auroc_of_side_channels(shortcut, 1.0, 120) > 0.95


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_strength_is_the_correlation_of_shortcut_and_positive_class(strength):
    labels = [list(Label)[i % 3] for i in range(6000)]
    planted = [is_planted(label, strength, 4, i) for i, label in enumerate(labels)]
    positive = [label is Label.COVID19 for label in labels]
    assert np.corrcoef(planted, positive)[0, 1] == pytest.approx(strength, abs=0.04)
    assert np.mean(planted) == pytest.approx(1 / 3, abs=0.03)


def test_a_corner_letter_changes_its_corner_alone():
    plain, marked = (draw(1, Label.COVID19, size=128, shortcut=s).pixels for s in (None, Shortcut.CORNER_LETTER))
    changed = np.argwhere(plain != marked)
    assert len(changed) > 10
    assert changed[:, 0].min() > 128 * 0.85
    assert changed[:, 1].max() < 128 * 0.15


def test_a_border_frames_the_image():
    framed = draw(1, Label.COVID19, size=128, shortcut=Shortcut.BORDER).pixels
    assert np.allclose(framed[:2], 0.95)
    assert np.allclose(framed[:, -2:], 0.95)


def test_blur_takes_the_fine_structure_away():
    sharp, blurred = (draw(1, Label.COVID19, size=256, shortcut=s).pixels for s in (None, Shortcut.BLUR))
    lungs = draw(1, Label.COVID19, size=256).lung_mask
    assert (
        np.abs(np.diff(blurred, axis=0)[lungs[1:]]).mean() < 0.95 * np.abs(np.diff(sharp, axis=0)[lungs[1:]]).mean()
    )


def test_body_size_fills_more_of_the_image():
    usual, large = (draw(1, Label.COVID19, size=96, shortcut=s).lung_mask.mean() for s in (None, Shortcut.BODY_SIZE))
    assert large > 1.25 * usual
