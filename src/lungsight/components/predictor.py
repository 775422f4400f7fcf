"""What is asked of a model that isn't a package: how it sees an image, and what it gives for several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lungsight.components.preprocessing import Preprocessing

Floats = NDArray[np.float32]

#: What a model may lack (:attr:`Predictor.lacks`): a map for each class, the features that its last layer weighs, and
#: a network whose weights can be shuffled.
MAPS, FEATURES, WEIGHTS = "maps", "features", "weights"
#: A probability below this counts as this.
_LEAST = 1e-12


class Scores(NamedTuple):
    """What a model gives for N images.

    Attributes:
        logits: float32 [N, K]; their softmax is the probability of each class.
        maps: float32 [N, K, h, w], the evidence for each class; None if the model has none.
        features: float32 [N, c]; None if the model has none.
    """

    logits: Floats
    maps: Floats | None = None
    features: Floats | None = None


class Predictor(Protocol):
    """Somebody's network or function. :meth:`prepare` is called from several threads.

    Attributes:
        model: its id, which differs wherever a prediction may differ: answers are kept by it.
        preprocessing: the part of an image that it sees, and about how large; a map is placed on the image by it.
        lacks: why it can't give :data:`MAPS`, :data:`FEATURES` or :data:`WEIGHTS`, a sentence each.
    """

    model: str
    preprocessing: Preprocessing
    lacks: Mapping[str, str]

    def prepare(self, pixels: Floats) -> Floats:
        """Pixels, float32 [height, width] in 0…1, as :meth:`run` wants them."""
        ...

    def run(self, prepared: Sequence[Floats]) -> Scores:
        """What it gives for prepared images."""
        ...

    def network(self) -> bytes:
        """An ONNX file by the contract of :mod:`.classifier`, unless :data:`WEIGHTS` is lacking."""
        ...


def logits_of(probabilities: ArrayLike) -> Floats:
    """Logits whose softmax is ``probabilities``, float [N, K]; NaN where one is."""
    return np.log(np.maximum(np.asarray(probabilities, dtype=np.float64), _LEAST)).astype(np.float32)
