"""An ONNX classifier from elsewhere, at work: described by a ``model.toml``, checked when it is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungsight.components.onnx_adaptation import FEATURES, LOGITS, MAPS, adapted, batch_of
from lungsight.components.onnx_description import OnnxDescription, OtherModelError
from lungsight.components.onnx_safety import UnusableNetworkError
from lungsight.components.predictor import FEATURES as LACKS_FEATURES
from lungsight.components.predictor import MAPS as LACKS_MAPS
from lungsight.components.predictor import WEIGHTS as LACKS_WEIGHTS
from lungsight.components.predictor import Scores
from lungsight.components.runtime import open_network

Floats = NDArray[np.float32]
_NO_MAPS = (
    "The network gives no class activation maps: its end isn't an average over places and one linear layer, "
    "or hides what goes into it."
)
_NO_FEATURES = "The network doesn't end in a linear layer whose input could be read."
_ONE_BY_ONE = "The network says that it takes several images at once, and takes one only."
_WRONG_MAPS = "The maps that were made of the network's last layer don't add up to its logits."
#: What maps may be off by, as a share of the logits' own size.
_OFF = 1e-3


class OnnxPredictor:
    """A network that predicts images: :class:`~.predictor.Predictor`.

    Args:
        content: the ONNX file.
        description: what it doesn't say of itself.
        path: the file's, for errors.
        threads: cores to use; 0: all.

    Raises:
        OtherModelError: it can't be run, or isn't as described.
    """

    def __init__(self, content: bytes, description: OnnxDescription, path: Path | str, threads: int = 0) -> None:
        self.model = f"{description.name}-{description.digest(content)}"
        self.preprocessing = description.input.preprocessing
        self._path, self._classes = path, description.classes
        try:
            self._content = adapted(content, description)
            self._network = open_network(self._content, (LOGITS,), threads)
        except UnusableNetworkError as error:
            raise self._unusable(str(error)) from error
        self._outputs = [name for name in (LOGITS, MAPS, FEATURES) if name in self._network.given]
        self._one_by_one = False
        wrong = self._probe()
        lacks: dict[str, str] = {}
        if MAPS not in self._outputs or wrong:
            self._outputs = [name for name in self._outputs if name != MAPS]
            lacks |= dict.fromkeys((LACKS_MAPS, LACKS_WEIGHTS), _WRONG_MAPS if wrong else _NO_MAPS)
        elif self._one_by_one and batch_of(self._content) != 1:
            lacks[LACKS_WEIGHTS] = _ONE_BY_ONE
        if FEATURES not in self._outputs:
            lacks[LACKS_FEATURES] = _NO_FEATURES
        self.lacks: Mapping[str, str] = lacks

    def prepare(self, pixels: Floats) -> Floats:
        """The square in 0…1, float32 [1, size, size]; its range and channels are the extended network's work."""
        return self.preprocessing.apply(pixels)[None]

    def run(self, prepared: Sequence[Floats]) -> Scores:
        """What the network gives. Raises OtherModelError if it fails."""
        pixels = np.stack(prepared)
        batches = [pixels[i : i + 1] for i in range(len(pixels))] if self._one_by_one else [pixels]
        try:
            parts = [self._network.run(self._outputs, batch) for batch in batches]
        except Exception as error:  # each library has a dozen kinds, with no base of their own
            said = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise self._unusable(f"it fails on an image ({said})") from error
        found = {name: np.concatenate([part[i] for part in parts]) for i, name in enumerate(self._outputs)}
        if found[LOGITS].shape != (len(pixels), len(self._classes)):
            given = " x ".join(map(str, found[LOGITS].shape))
            raise self._unusable(f"it gives {given} numbers for {len(pixels)} images of {len(self._classes)} classes")
        return Scores(found[LOGITS], found.get(MAPS), found.get(FEATURES))

    def network(self) -> bytes:
        """The extended network."""
        return self._content

    def _unusable(self, problem: str) -> OtherModelError:
        return OtherModelError(
            self._path, problem, "describe it anew with `lungsight package wrap`, or export it again"
        )

    def _probe(self) -> bool:
        """Run two images; whether the maps are wrong. Raises OtherModelError if the network doesn't work."""
        size = self.preprocessing.image_size
        pixels = np.random.default_rng(0).uniform(0, 1, (2, 1, size, size)).astype(np.float32)
        pixels[1] *= np.linspace(0, 1, size, dtype=np.float32)
        try:
            found = self.run(list(pixels))
        except OtherModelError:
            self._one_by_one = True  # exported for a batch of one
            found = self.run(list(pixels))
        if not np.isfinite(found.logits).all():
            raise self._unusable("it gives no numbers for an image of noise")
        if found.maps is None:
            return False
        bias = found.logits - found.maps.mean(axis=(2, 3))
        return bool(np.abs(bias[0] - bias[1]).max() > _OFF * max(1.0, float(np.abs(found.logits).max())))
