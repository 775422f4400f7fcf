"""Is an image like anything that the network was trained on?

The features that the network's last layer weighs, averaged over the image, lie in a cloud for each training class.
The distance of an image from the nearest cloud is Mahalanobis', with one covariance shared by all classes (Lee et al.
2018, "A simple unified framework for detecting out-of-distribution samples and adversarial attacks", equations 1
and 2). The covariance is stated on its principal components; in all other directions it is the same small variance,
as in probabilistic PCA (Tipping & Bishop 1999), so that an image which leaves the components' space is far as well::

    x = features - means[k],  z = x · basis                               for each class k
    distance² = min over k of ‖z · whitening‖² + (‖x‖² - ‖z‖²) / spread²

with whitening · whiteningᵀ the inverse of z's covariance, and spread² the variance in each direction left out.

A softmax can be sure of itself far from its training data; this distance grows there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


class OODDescription(BaseModel):
    """What ``package.json`` says of the out-of-distribution detector."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    features: int = Field(ge=1)
    """How many features the network's last layer weighs."""
    components: int = Field(ge=1)
    """Principal components kept of them."""
    threshold: float = Field(gt=0)
    """Distance beyond which an image is unlike anything in training."""
    percentile: float = Field(gt=0, le=100)
    """The threshold is this percentile of the distances of the validation images."""
    fitted_on: int = Field(ge=2)
    """Number of training images."""
    validated_on: int = Field(ge=1)
    """Number of validation images."""


class UnusableOODDetectorError(ValueError):
    """A file that isn't what its description says; ``str()`` says why, without a full stop."""


class OODDetector:
    """How far images lie from the training's, by their features.

    Args:
        safetensors_file: the bytes of ``familiarity.safetensors``: float32 arrays ``means`` [K, c], ``basis`` [c, d]
            (orthonormal), ``whitening`` [d, d] and ``spread`` [1].
        description: what ``package.json`` says of it.

    Raises:
        UnusableOODDetectorError: an array is missing, has another shape or holds what isn't a number.
    """

    def __init__(self, safetensors_file: bytes, description: OODDescription) -> None:
        self.description = description
        arrays = _arrays(safetensors_file, description)
        self._means, self._basis, self._whitening = (arrays[name] for name in ("means", "basis", "whitening"))
        self._spread = float(arrays["spread"][0])

    @property
    def threshold(self) -> float:
        """Distance beyond which an image is unlike anything in training."""
        return self.description.threshold

    def distance(self, features: Floats) -> Doubles:
        """The distance of each image from the nearest training class, float64 [N]; NaN where a feature is.

        Args:
            features: float32 [N, c].

        Returns:
            In standard deviations of the training images around their class.
        """
        wide = np.asarray(features, dtype=np.float64)
        return np.asarray(np.min([self._squared(wide - mean) for mean in self._means], axis=0) ** 0.5)

    def is_far(self, features: Floats) -> NDArray[np.bool_]:
        """Which images lie beyond the threshold, bool [N]."""
        return self.distance(features) > self.threshold

    def _squared(self, x: Doubles) -> Doubles:
        z = x @ self._basis
        off = np.maximum((x**2).sum(axis=1) - (z**2).sum(axis=1), 0)
        return np.asarray(((z @ self._whitening) ** 2).sum(axis=1) + off / self._spread**2)


def _arrays(content: bytes, description: OODDescription) -> dict[str, Doubles]:
    try:
        stored = load_safetensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise UnusableOODDetectorError("it isn't a readable safetensors file") from error
    if problem := _fault(stored, description):
        raise UnusableOODDetectorError(problem)
    return {name: array.astype(np.float64) for name, array in stored.items()}


def _fault(stored: Mapping[str, np.ndarray], description: OODDescription) -> str | None:
    c, d = description.features, description.components
    classes = len(stored["means"]) if "means" in stored and stored["means"].ndim else 0
    shapes = {"means": (max(classes, 1), c), "basis": (c, d), "whitening": (d, d), "spread": (1,)}
    for name, shape in shapes.items():
        if name not in stored:
            return f"it lacks {name}"
        if stored[name].shape != shape:
            return f"{name} has the shape {stored[name].shape} instead of {shape}"
        if stored[name].dtype != np.float32 or not np.isfinite(stored[name]).all():
            return f"{name} isn't float32 numbers throughout"
    return None if stored["spread"][0] > 0 else "spread isn't positive"
