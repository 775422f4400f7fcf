import numpy as np
import pytest
from safetensors.numpy import save

from lungsight.components.ood import OODDescription, OODDetector, UnusableOODDetectorError

C, D, K = 5, 3, 2


def described(**changes: object) -> OODDescription:
    stated = {"features": C, "components": D, "threshold": 4.0, "percentile": 99, "fitted_on": 9, "validated_on": 5}
    return OODDescription.model_validate(stated | changes)


def arrays(**changes: np.ndarray) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    stated = {
        "basis": np.linalg.qr(draw.normal(size=(C, C)))[0][:, :D],
        "means": draw.normal(size=(K, C)),
        "whitening": draw.normal(size=(D, D)),
        "spread": np.array([0.5]),
    }
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in (stated | changes).items()}


def test_the_distance_is_mahalanobis_with_the_covariance_that_the_parts_state() -> None:
    parts = arrays()
    wide = {name: array.astype(np.float64) for name, array in parts.items()}
    features = np.random.default_rng(0).normal(size=(7, C)).astype(np.float32)
    on = wide["basis"] @ wide["whitening"] @ wide["whitening"].T @ wide["basis"].T
    off = (np.eye(C) - wide["basis"] @ wide["basis"].T) / 0.5**2
    precision = on + off
    expected = [min(np.sqrt((x - m) @ precision @ (x - m)) for m in wide["means"]) for x in features]
    found = OODDetector(save(parts), described()).distance(features)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_far_is_beyond_the_threshold() -> None:
    parts = arrays(means=np.ones((1, C)), whitening=np.eye(D), spread=np.array([1.0]))
    features = (1 + np.array([[0], [1], [1.1]]) * parts["basis"][:, 0] * 4).astype(np.float32)
    familiarity = OODDetector(save(parts), described())
    np.testing.assert_allclose(familiarity.distance(features), [0, 4, 4.4], atol=1e-4)
    assert familiarity.is_far(features)[[0, 2]].tolist() == [False, True]


def test_features_that_are_no_numbers_are_at_no_distance() -> None:
    familiarity = OODDetector(save(arrays()), described())
    features = np.full((1, C), np.nan, np.float32)
    assert np.isnan(familiarity.distance(features)).all()
    assert not familiarity.is_far(features).any()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"basis": np.zeros((D, C))}, "basis has the shape"),
        ({"means": np.zeros((K, C + 1))}, "means has the shape"),
        ({"means": np.zeros((0, C))}, "means has the shape"),
        ({"means": np.float32(1)}, "means has the shape"),
        ({"spread": np.zeros(1)}, "spread isn't positive"),
        ({"means": np.full((K, C), np.inf)}, "means isn't float32 numbers"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, np.ndarray], problem: str) -> None:
    with pytest.raises(UnusableOODDetectorError, match=problem):
        OODDetector(save(arrays(**changes)), described())


def test_a_missing_array_and_another_file_are_named() -> None:
    parts = arrays()
    del parts["whitening"]
    with pytest.raises(UnusableOODDetectorError, match="lacks whitening"):
        OODDetector(save(parts), described())
    with pytest.raises(UnusableOODDetectorError, match="safetensors"):
        OODDetector(b"other", described())
