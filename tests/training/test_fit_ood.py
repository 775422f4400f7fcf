import numpy as np
import pytest
from sklearn.covariance import LedoitWolf

from lungsight.components.ood import OODDetector
from lungsight.datasets.phantom import Label, draw
from lungsight.training.fit_ood import fit_ood_detector

C = 24


def clouds(seed: int, images: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes with one covariance of five strong directions, and a little noise in all."""
    draw_ = np.random.default_rng(seed)
    mixing = np.random.default_rng(1).normal(size=(5, C))
    targets = draw_.integers(0, 2, images)
    features = draw_.normal(size=(images, 5)) @ mixing + 0.1 * draw_.normal(size=(images, C))
    features[:, 0] += 6 * targets
    return features.astype(np.float32), targets


def fitted(percentile: float = 99.0) -> OODDetector:
    description, stored = fit_ood_detector(*clouds(0, 600), clouds(2, 300)[0], percentile=percentile)
    return OODDetector(stored, description)


def test_the_same_input_gives_the_same_bytes() -> None:
    first, second = (fit_ood_detector(*clouds(0, 600), clouds(2, 300)[0]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("percentile", [50.0, 95.0, 100.0])
def test_the_percentile_of_the_validation_images_is_let_pass(percentile: float) -> None:
    familiarity = fitted(percentile)
    far = familiarity.is_far(clouds(2, 300)[0]).mean()
    assert far == pytest.approx(1 - percentile / 100, abs=1 / 300)
    # and of images that set nothing about as many
    assert familiarity.is_far(clouds(5, 2000)[0]).mean() == pytest.approx(1 - percentile / 100, abs=0.06)


def test_distances_are_those_of_the_covariance_within_the_classes() -> None:
    features, targets = clouds(0, 600)
    others = clouds(4, 50)[0]
    means = np.stack([features[targets == k].mean(axis=0) for k in (0, 1)])
    precision = LedoitWolf(assume_centered=True).fit(features - means[targets]).precision_
    expected = [min((x - m) @ precision @ (x - m) for m in means) ** 0.5 for x in others.astype(np.float64)]
    assert np.corrcoef(fitted().distance(others), expected)[0, 1] > 0.8


@pytest.mark.parametrize("where", ["along", "across"])
def test_what_lies_elsewhere_is_far(where: str) -> None:
    features, _ = clouds(7, 100)
    mixing = np.random.default_rng(1).normal(size=(5, C))
    across = np.random.default_rng(9).normal(size=C)
    across -= mixing.T @ np.linalg.lstsq(mixing.T, across, rcond=None)[0]  # off all that training images vary in
    step = 12 * mixing[2] if where == "along" else 3 * across
    assert fitted().is_far((features + step).astype(np.float32)).all()


def test_between_two_classes_is_not_as_near_as_in_one() -> None:
    mid, inside = np.zeros((1, C), np.float32), np.zeros((1, C), np.float32)
    mid[0, 0] = 3
    familiarity = fitted()
    assert familiarity.distance(mid)[0] > familiarity.distance(inside)[0]


def test_more_features_than_images() -> None:
    features, targets = (part[:12] for part in clouds(0, 600))
    description, stored = fit_ood_detector(features, targets, clouds(2, 20)[0], percentile=90)
    assert description.components < 12
    assert np.isfinite(OODDetector(stored, description).distance(clouds(3, 20)[0])).all()


def test_a_feature_that_is_always_the_same_does_no_harm() -> None:
    (features, targets), validation = clouds(0, 600), clouds(2, 300)[0]
    features[:, 3] = validation[:, 3] = 0
    description, stored = fit_ood_detector(features, targets, validation)
    familiarity = OODDetector(stored, description)
    assert familiarity.is_far(validation).mean() <= 0.01
    other = validation[:1].copy()
    other[0, 3] = 5  # what never was anything is something
    assert familiarity.is_far(other).all()


def _drawn(seeds: range) -> np.ndarray:
    """Phantoms as features: their brightness in 6 x 6 regions."""
    pixels = [draw(seed, list(Label)[seed % 3], size=96).pixels for seed in seeds]
    return np.stack([p.reshape(6, 16, 6, 16).mean(axis=(1, 3)).ravel() for p in pixels]).astype(np.float32)


def test_phantoms_are_familiar_and_turned_ones_are_not() -> None:
    training, validation = _drawn(range(60)), _drawn(range(60, 100))
    targets = np.arange(60) % 3
    description, stored = fit_ood_detector(training, targets, validation, percentile=95)
    familiarity = OODDetector(stored, description)
    assert familiarity.is_far(_drawn(range(100, 120))).mean() < 0.3
    turned = _drawn(range(100, 120)).reshape(-1, 6, 6)[:, ::-1].reshape(-1, 36)
    assert familiarity.is_far(turned).mean() > 0.9


@pytest.mark.parametrize(
    ("features", "targets", "validation", "problem"),
    [
        (np.ones((4, 3)), np.zeros(4, int), np.ones((2, 2)), "must be"),
        (np.ones((4, 3)), np.zeros(3, int), np.ones((2, 3)), "targets"),
        (np.ones((1, 3)), np.zeros(1, int), np.ones((2, 3)), "two training images"),
        (np.ones((4, 3)), np.zeros(4, int), np.ones((0, 3)), "one validation image"),
        (np.full((4, 3), np.nan), np.zeros(4, int), np.ones((2, 3)), "aren't numbers"),
        (np.ones((4, 3)), np.zeros(4, int), np.ones((2, 3)), "same features"),
    ],
)
def test_what_cannot_be_fitted_is_said(
    features: np.ndarray, targets: np.ndarray, validation: np.ndarray, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        fit_ood_detector(features.astype(np.float32), targets, validation.astype(np.float32))
