"""From attenuation along the beam to the grey values of a finished radiograph."""

from __future__ import annotations

import cv2
import numpy as np

from lungsight.datasets.phantom.patient import Acquisition, Stream
from lungsight.datasets.phantom.projection import Plane

SOFT, LUNG, BONE = 0.19, 0.047, 0.50  # per cm at about 60 keV: water, aerated lung, compact bone in excess of water


def exposed(attenuation: Plane, healthy: Plane, pitch: float, shot: Acquisition) -> Plane:
    """Expose the detector and develop the image.

    Args:
        attenuation: line integrals, dimensionless, float32 [height, width].
        healthy: the same without the disease. The vendor's processing is set by it, so that the brightness of the
            image as a whole can't give the disease away.
        pitch: distance between pixels in cm.
        shot: how the image is taken.

    Returns:
        float32 in 0…1, dense is bright.
    """
    primary = np.exp(-attenuation)
    scattered = shot.scatter * _low_pass(np.exp(-healthy * np.float32(0.82)), 4.0 / pitch) * np.float32(0.22)
    seen = _blurred(primary + scattered, shot.blur / pitch)
    # Detected quanta per pixel grow with its area; counting them is close to Gaussian at these numbers.
    quanta = np.float32(shot.photons * (pitch / 0.1) ** 2 * np.exp(2.0))
    rng = Stream.NOISE.generator(shot.seed)
    noise = rng.standard_normal(seen.shape, dtype=np.float32)
    seen += noise * np.sqrt(seen / quanta)
    dense = -np.log(np.maximum(seen, np.float32(1e-4)))
    dense -= np.float32(shot.equalisation) * (_low_pass(healthy, 5.0 / pitch) - np.float32(2.3))
    grey = _film_curve((dense - np.float32(shot.darkest)) / np.float32(shot.latitude), shot.gamma)
    return _collimated(grey, shot)


def _film_curve(t: Plane, gamma: float) -> Plane:
    """The display's curve: near linear in the middle, with a toe and a shoulder, 0…1."""
    s = np.clip(t, -0.3, 1.6)
    curve = 1 / (1 + np.exp(-np.float32(4.6) * (s - np.float32(0.42))))
    return np.asarray(curve ** np.float32(gamma), np.float32)


def _collimated(grey: Plane, shot: Acquisition) -> Plane:
    """Black where the collimator's leaves stopped the beam: shares of the image at top, right, bottom, left."""
    height, width = grey.shape
    top, right, bottom, left = shot.collimated
    lit = np.zeros_like(grey)
    lit[round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)] = 1
    return grey * _blurred(lit, 0.7) if any(shot.collimated) else grey


def _blurred(plane: Plane, sigma: float) -> Plane:
    if sigma <= 0.2:
        return plane
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _low_pass(plane: Plane, sigma: float) -> Plane:
    """A very wide blur, computed on a coarse grid."""
    height, width = plane.shape
    factor = max(1, int(sigma / 3))
    small = cv2.resize(plane, (max(4, width // factor), max(4, height // factor)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
