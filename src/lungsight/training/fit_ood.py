"""Fits the out-of-distribution detector: the training images' features, and how far validation images are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save as save_safetensors
from sklearn.covariance import LedoitWolf
from sklearn.decomposition import PCA

from lungsight.components.ood import OODDescription, OODDetector

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

#: Share of the features' variance that the principal components keep. One variance describes the other directions.
_VARIANCE = 0.95

#: Below this share of the strongest direction's variance a direction is as good as constant.
_LEAST_VARIANCE = 1e-6


def fit_ood_detector(
    features: Floats, targets: NDArray[np.integer], validation_features: Floats, *, percentile: float = 99.0
) -> tuple[OODDescription, bytes]:
    """The detector's description and its ``familiarity.safetensors``; the same input gives the same bytes.

    Args:
        features: float32 [N, c], of the training images, as :meth:`Network.run_with_features` gives them.
        targets: the class of each, int [N].
        validation_features: float32 [M, c], of images of patients not trained on. Training images would set the
            threshold too low: a network puts those closer together than any others.
        percentile: of the validation images' distances, which becomes the threshold: the smallest distance among
            them that at least this share doesn't exceed.

    Raises:
        ValueError: the arrays don't fit together, hold values that aren't numbers, or are too few.
    """
    _check(features, targets, validation_features)
    wide = np.asarray(features, dtype=np.float64)
    labels, which = np.unique(targets, return_inverse=True)
    means = np.stack([wide[which == k].mean(axis=0) for k in range(len(labels))])
    around = wide - means[which]
    # 'covariance_eigh' is exact, and quick where there are more images than features
    solver = "covariance_eigh" if around.shape[0] > around.shape[1] else "full"
    pca = PCA(n_components=_VARIANCE, svd_solver=solver).fit(around)
    z = pca.transform(around)
    arrays = {
        "means": means,
        "basis": pca.components_.T,
        "whitening": _whitening(LedoitWolf(assume_centered=True).fit(z).covariance_),
        "spread": np.array([_spread(around, z)]),
    }
    stored = bytes(save_safetensors({k: np.ascontiguousarray(v, dtype=np.float32) for k, v in arrays.items()}))
    described = OODDescription(
        features=wide.shape[1],
        components=z.shape[1],
        threshold=1.0,
        percentile=percentile,
        fitted_on=len(features),
        validated_on=len(validation_features),
    )
    distances = OODDetector(stored, described).distance(validation_features)
    threshold = float(np.percentile(distances, percentile, method="inverted_cdf"))
    return described.model_copy(update={"threshold": threshold}), stored


def _whitening(covariance: Doubles) -> Doubles:
    """A matrix [d, d] that makes vectors of this covariance uncorrelated, with variance 1."""
    variances, directions = np.linalg.eigh(covariance)
    return np.asarray(directions / np.sqrt(np.maximum(variances, _LEAST_VARIANCE * variances[-1])))


def _spread(around: Doubles, z: Doubles) -> float:
    """Standard deviation in each direction that the principal components leave out."""
    total, kept = (around**2).sum(), (z**2).sum()
    left_out = max(around.shape[1] - z.shape[1], 1)
    least = _LEAST_VARIANCE * float(z.var(axis=0).max())
    return float(np.sqrt(max((total - kept) / len(around) / left_out, least)))


def _check(features: Floats, targets: NDArray[np.integer], validation_features: Floats) -> None:
    if features.ndim != 2 or validation_features.ndim != 2 or features.shape[1] != validation_features.shape[1]:
        raise ValueError(f"features must be [N, c] and [M, c], not {features.shape} and {validation_features.shape}")
    if targets.shape != features.shape[:1]:
        raise ValueError(f"{len(features)} images have {targets.shape} targets")
    if len(features) < 2 or not len(validation_features):
        raise ValueError("the detector needs two training images and one validation image")
    if not (np.isfinite(features).all() and np.isfinite(validation_features).all()):
        raise ValueError("the features hold values that aren't numbers")
    if not any(features[targets == label].var(axis=0).any() for label in np.unique(targets)):
        raise ValueError("all training images of a class have the same features")
