"""A hospital's images as adaptation needs them: what the package gives for each, its label and its patient."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungsight.statistics.outcomes import Floats, Integers, Mask
from lungsight.training.fit_calibration import ValidationLogits

#: Directions whose variance is below this share of the strongest one's are rounding.
_LEAST = 1e-6


@dataclass(frozen=True, eq=False)
class LocalImages:
    """Images with their labels and the network's outputs.

    Attributes:
        classes: of the package, in its order.
        target: the index of the class that is set against the rest.
        logits: float64 [n, k], before calibration.
        features: float64 [n, r], what the last layer weighs, along the :class:`Directions` of these images.
        labels: int [n], the index of the class. Of an image known only not to be of the target it is the most
            probable other class.
        certain: bool [n], whether the class is known.
        patients: int [n], a number for each patient, or for each group of images that share one.
        sources: text [n], the hospital.
    """

    classes: tuple[str, ...]
    target: int
    logits: Floats
    features: Floats
    labels: Integers
    certain: Mask
    patients: Integers
    sources: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def positive(self) -> Mask:
        """The images of the target, bool [n]."""
        return np.asarray(self.labels == self.target)

    def of(self, rows: Integers | Mask) -> LocalImages:
        """Some of the images."""
        arrays = ("logits", "features", "labels", "certain", "patients", "sources")
        return replace(self, **{name: getattr(self, name)[rows] for name in arrays})

    def validation(self, logits: Floats) -> ValidationLogits:
        """The images as calibration and thresholds are fitted on them, with logits [n, k] of an adapted network."""
        return ValidationLogits(self.classes, logits, self.labels, self.patients, self.sources)


@dataclass(frozen=True, eq=False)
class Directions:
    """The directions in which the features of n images differ: at most n, however many features there are.

    A linear layer with a ridge penalty, fitted on these images, weighs nothing else. So it is fitted on the few
    coordinates, which are the same fit in less time.

    Attributes:
        centre: float64 [c], the mean of the features.
        scale: the typical distance from it, which gets length 1.
        directions: float64 [r, c], orthonormal.
    """

    centre: Floats
    scale: float
    directions: Floats

    @classmethod
    def of(cls, features: Floats) -> Directions:
        """Those of ``features``, float [n, c]."""
        centre = features.mean(axis=0)
        around = features - centre
        scale = float(np.sqrt((around**2).sum(axis=1).mean())) or 1.0
        _, lengths, directions = np.linalg.svd(around / scale, full_matrices=False)
        return cls(centre, scale, directions[lengths > _LEAST * max(float(lengths.max(initial=0)), _LEAST)])

    def along(self, features: Floats) -> Floats:
        """The coordinates, float64 [n, r], of features [n, c]."""
        return np.asarray((features - self.centre) / self.scale @ self.directions.T)

    def layer(self, weights: Floats, bias: Floats) -> tuple[Floats, Floats]:
        """Weights [k, c] and bias [k] on features that do what ``weights`` [k, r] and ``bias`` do on coordinates."""
        whole = weights @ self.directions / self.scale
        return whole, bias - whole @ self.centre
