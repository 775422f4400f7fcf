"""A model that is a function of the user's: Keras, MONAI, Hugging Face, scikit-learn, anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungsight.components.predictor import FEATURES, MAPS, WEIGHTS, Scores, logits_of
from lungsight.components.preprocessing import Preprocessing
from lungsight.errors import LungsightError

Floats = NDArray[np.float32]
#: Takes images, float32 [height, width] in 0…1, bright where the body is dense; gives an array.
Function = Callable[[list[Floats]], Any]

#: Longer side, in pixels, to which larger images are reduced before the function is given them.
SIDE = 1024
#: Rows of probabilities may differ from one by this.
_ROUNDING = 0.02


class FunctionError(LungsightError):
    """A user's function that fails, or gives something else than was asked of it."""


class UserFunction:
    """A function that predicts images: :class:`~.predictor.Predictor`.

    Args:
        predict: gives probabilities, float [n, k], or [n], that of the target, if there are two classes.
        name: how the model is called.
        classes: the k classes.
        target: one of them.
        version: of the function and of all that it rests on; answers are kept under it.
        explain: gives maps, float [n, k, h, w], or [n, h, w] for the target, over the whole image.
        features: gives float [n, c], such as what the last layer weighs.
        image_size: the longer side to which larger images are reduced.
    """

    def __init__(
        self,
        predict: Function,
        name: str,
        classes: Sequence[str],
        target: str,
        *,
        version: str = "",
        explain: Function | None = None,
        features: Function | None = None,
        image_size: int = SIDE,
    ) -> None:
        stated = "|".join((name, version, *classes, target, str(image_size)))
        self.model = f"{name}-{hashlib.sha256(stated.encode()).hexdigest()[:12]}"
        # twice this is what audits make altered images of, so that they differ in nothing but what was altered
        self.preprocessing = Preprocessing(image_size=max(32, image_size // 2))
        lacks = {WEIGHTS: "The model is a function: its weights can't be shuffled from outside."}
        if explain is None:
            lacks[MAPS] = "The model is a function that gives no heatmaps; `explain` would."
        if features is None:
            lacks[FEATURES] = "The model is a function that gives no features; `features` would."
        self.lacks: Mapping[str, str] = lacks
        self._predict, self._explain, self._features = predict, explain, features
        self._name, self._classes, self._target = name, tuple(classes), list(classes).index(target)
        self._side = 2 * self.preprocessing.image_size

    def prepare(self, pixels: Floats) -> Floats:
        """The pixels, the longer side reduced to the size agreed on."""
        scale = self._side / max(pixels.shape)
        if scale >= 1:
            return np.ascontiguousarray(pixels, dtype=np.float32)
        height, width = (max(1, round(side * scale)) for side in pixels.shape)
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX), dtype=np.float32)

    def run(self, prepared: Sequence[Floats]) -> Scores:
        """What the functions give. Raises FunctionError."""
        images = list(prepared)
        return Scores(
            logits_of(self._probabilities(images)),
            None if self._explain is None else self._maps(images),
            None if self._features is None else self._called(self._features, images, (2,), "[n, c]"),
        )

    def network(self) -> bytes:
        """There is none."""
        raise FunctionError(self._name, "is a function, not a network", "ask a model that is one")

    def _probabilities(self, images: list[Floats]) -> NDArray[np.float64]:
        k = len(self._classes)
        given = self._called(self._predict, images, (1, 2), f"[n, {k}]").astype(np.float64)
        if given.ndim == 2 and given.shape[1] == 1:
            given = given[:, 0]
        if given.ndim == 1 and k == 2:
            given = np.stack([given if i == self._target else 1 - given for i in range(k)], axis=1)
        if given.shape != (len(images), k):
            raise self._wrong(given, f"[{len(images)}, {k}] for {len(images)} images and {k} classes")
        known = given[np.isfinite(given).all(axis=1)]
        off = np.abs(known.sum(axis=1) - 1) > _ROUNDING
        if off.any() or (known < 0).any():
            row = known[int(np.argmax(off | (known < 0).any(axis=1)))]
            shown = ", ".join(f"{value:.4g}" for value in row)
            hint = "give the probability of every class: pass logits through a softmax"
            raise FunctionError(self._name, f"gives numbers that aren't probabilities ({shown})", hint)
        return given

    def _maps(self, images: list[Floats]) -> Floats:
        assert self._explain is not None
        k = len(self._classes)
        given = self._called(self._explain, images, (3, 4), f"[n, {k}, h, w]")
        if given.ndim == 3:
            maps = np.zeros((len(images), k, *given.shape[1:]), dtype=np.float32)
            maps[:, self._target] = given
            return maps
        if given.shape[1] != k:
            raise self._wrong(given, f"[n, {k}, h, w]")
        return given

    def _called(self, function: Function, images: list[Floats], dimensions: tuple[int, ...], wanted: str) -> Floats:
        try:
            given = np.asarray(function(images), dtype=np.float32)
        except Exception as error:  # the user's own code: whatever it raises
            said = (str(error).splitlines() or [""])[0][:200]
            problem = f"fails for {len(images)} images ({type(error).__name__}: {said})"
            raise FunctionError(self._name, problem, "call it with two images of your own first") from error
        if given.ndim not in dimensions or len(given) != len(images):
            raise self._wrong(given, wanted)
        return given

    def _wrong(self, given: NDArray[Any], wanted: str) -> FunctionError:
        shape = ", ".join(map(str, given.shape))
        return FunctionError(self._name, f"gives an array of shape [{shape}]", f"give one of shape {wanted}")
