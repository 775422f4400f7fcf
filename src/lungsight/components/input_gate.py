"""The gate: is this one frontal chest radiograph of a person, in usable quality?

Its rule, in this order:

1. The network looks. Where it takes the image for a frontal radiograph that is turned by a quarter or a half, or
   inverted, the image is put right and looked at once more; what follows rests on the second look.
2. Refused is what is a frontal radiograph with a probability below ``least_probability``, in the words of the most
   probable other kind.
3. Refused is what lies farther from all real frontal radiographs than ``greatest_distance``, unless the network is
   ``sure_probability`` sure of a frontal radiograph and sees heavy marks on it: those lead far away by themselves.

A gate may have a view classifier: whether an image that is admitted is AP or PA (:mod:`lungsight.components.view`).
Whether it shows two plausible lungs is asked besides, of the image as it was put right:
:mod:`lungsight.inference.preparation`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from lungsight.components.calibration import softmax
from lungsight.components.onnx_safety import UnusableNetworkError
from lungsight.components.preprocessing import Preprocessing, sound
from lungsight.components.runtime import AUTO, open_network
from lungsight.components.view import VIEW_OUTPUT, ViewDescription, ViewGuess

Floats = NDArray[np.float32]

OUTPUTS = ("kinds", "turns", "signs", "distance")
FRONTAL = "frontal"
TURNS = (0, 90, 180, 270)

#: What is said of an image that is refused, by what it seems to be.
REFUSALS: Mapping[str, str] = {
    "lateral": "This seems to be a lateral view of the chest, not a frontal one (PA or AP).",
    "slice": "This seems to be a slice or section (CT, MR, ultrasound), not a chest X-ray.",
    "other part": "This seems to be an X-ray of another part of the body, not of the chest.",
    "picture": "This seems to be a photograph or a picture, not a chest X-ray.",
    "document": "This seems to be a document, a screenshot, a drawing or several images on one sheet, not one chest "
    "X-ray.",
    "unusable": "This chest X-ray seems to be cut off, blurred, burnt out or otherwise unusable.",
}
UNLIKE = "This is unlike every frontal chest X-ray that the gate learned from."

INVERTED = "Black and white seem to be swapped; it was judged the other way round."
MARKED = "Heavy letters or marks stand on the image; what they cover can't be judged."
CHILD = "This seems to be a child's chest X-ray."


class GateDescription(BaseModel):
    """What ``package.json`` says of the gate."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    image_size: int = Field(ge=96, le=1024)
    """Side of the network's square input, in pixels; the greys' 1st and 99th percentile are drawn to 0 and 1."""
    kinds: tuple[str, ...] = Field(min_length=2)
    """What an image may be, in the order of the network's logits; the first is `frontal`."""
    least_probability: float = Field(gt=0, lt=1)
    """Of a frontal radiograph, below which an image is refused."""
    greatest_distance: float = Field(gt=0)
    """From real frontal radiographs, beyond which an image is refused."""
    sure_probability: float = Field(default=0.99, gt=0, lt=1)
    """Of a frontal radiograph, from which on the distance of a heavily marked one refuses no more."""
    sign_threshold: float = Field(default=0.5, gt=0, lt=1)
    """Probability from which on an image counts as turned, inverted, marked, a child's."""
    refused_of_real: float = Field(gt=0, lt=1)
    """Share of real radiographs of sources not trained on that each of both thresholds was set to refuse."""
    trained_on: dict[str, int]
    """Images of each source, real ones."""
    decoys: dict[str, int]
    """Images of each family of decoys that it learned to refuse."""
    initial_weights: str = "not stated"
    """Of the encoder, which wasn't trained further."""
    view: ViewDescription | None = None
    """The view classifier; null if there is none."""


@dataclass(frozen=True)
class GateResult:
    """What the gate says of an image.

    Attributes:
        refusals: why it isn't judged, a sentence each; empty when it is admitted.
        warnings: what to keep in mind about it.
        probability: that it is a frontal chest X-ray.
        inverted: black and white seem swapped: judge one minus the pixels.
        turn: by how many degrees it should be turned clockwise: 0, 90, 180 or 270.
        view: AP or PA, if it isn't refused; None if the gate has no view classifier.
    """

    refusals: tuple[str, ...]
    warnings: tuple[str, ...]
    probability: float
    inverted: bool
    turn: int = 0
    view: ViewGuess | None = None

    def righted(self, pixels: Floats) -> Floats:
        """The image that was asked about, [height, width], upright and the right way round."""
        return _righted(pixels, self.turn, self.inverted)


@dataclass(frozen=True, eq=False)
class GateAnswer:
    """What the network says of an image, each as probability; ``distance`` is a standard deviation.

    ``ap`` is None if the gate has no view classifier.
    """

    kinds: Mapping[str, float]
    turns: tuple[float, ...]
    inverted: float
    marked: float
    child: float
    distance: float
    ap: float | None = None

    @property
    def probability(self) -> float:
        """That it is a frontal chest X-ray."""
        return self.kinds[FRONTAL]

    def turn(self, threshold: float) -> int:
        """Degrees to turn it clockwise; 0 unless that is ``threshold`` sure."""
        best = int(np.argmax(self.turns))
        return TURNS[best] if self.turns[best] >= threshold else 0


class Gate:
    """The gate at work. Safe to call from several threads.

    Args:
        onnx_file: the bytes of ``gate.onnx``: input ``pixels`` float32 [N, 1, side, side]; outputs ``kinds`` [N, K],
            ``turns`` [N, 4] and ``signs`` [N, 3] (inverted, marked, child), logits, and ``distance`` [N]; if
            ``description`` has a view classifier also ``view`` [N], the logit of AP.
        threads: cores to use for one image; 0: all of them.
        runtime: what runs it: :mod:`lungsight.components.runtime`.

    Raises:
        UnusableNetworkError: not ONNX, not self-contained, with operators of its own, or off the contract.
    """

    def __init__(self, onnx_file: bytes, description: GateDescription, threads: int = 0, runtime: str = AUTO) -> None:
        self.description = description
        self._preprocessing = Preprocessing(image_size=description.image_size, intensity="percentile")
        self.network = open_network(onnx_file, self._outputs, threads, runtime)
        if description.kinds[0] != FRONTAL:
            raise UnusableNetworkError(f"its first kind must be '{FRONTAL}'")

    @property
    def _outputs(self) -> tuple[str, ...]:
        return OUTPUTS if self.description.view is None else (*OUTPUTS, VIEW_OUTPUT)

    def ask(self, pixels: Floats) -> GateResult:
        """Whether one image, float32 [height, width] in 0…1, is to be judged."""
        first = self.look(pixels)
        turn, inverted = self._askew(first, pixels)
        look = self.look(_righted(pixels, turn, inverted)) if turn or inverted else first
        refusals = tuple(self._refusals(look))
        warnings = tuple(self._warnings(first, turn, inverted)) if not refusals else ()
        view = None if refusals else self._view(look)
        return GateResult(refusals, warnings, look.probability, inverted, turn, view)

    def guess_view(self, pixels: Floats) -> ViewGuess | None:
        """AP or PA, of an upright image that isn't inverted; None without a view classifier."""
        return self._view(self.look(pixels))

    def _view(self, look: GateAnswer) -> ViewGuess | None:
        stated = self.description.view
        return None if stated is None or look.ap is None else stated.guess(look.ap)

    def look(self, pixels: Floats) -> GateAnswer:
        """What the network says of one image as it is, float32 [height, width] in 0…1."""
        seen = self._preprocessing.apply(sound(pixels))[None, None]
        kinds, turns, signs, distance, *view = (each[0] for each in self.network.run(self._outputs, seen))
        inverted, marked, child = _sigmoid(signs).tolist()
        return GateAnswer(
            kinds=dict(zip(self.description.kinds, softmax(kinds[None])[0].tolist(), strict=True)),
            turns=tuple(softmax(turns[None])[0].tolist()),
            inverted=inverted,
            marked=marked,
            child=child,
            distance=float(distance),
            ap=float(_sigmoid(view[0])) if view else None,
        )

    def _is_marked(self, look: GateAnswer) -> bool:
        return look.marked >= self.description.sign_threshold

    def _askew(self, look: GateAnswer, pixels: Floats) -> tuple[int, bool]:
        """By how many degrees it has to be turned clockwise, and whether it is inverted.

        Inverted means more so than its negative: the two together are often right when one alone is wrong.
        """
        if look.probability < self.description.least_probability:
            return 0, False  # nothing that turning would make a radiograph of
        threshold = self.description.sign_threshold
        inverted = look.inverted >= threshold and self.look(1 - pixels).inverted < look.inverted
        return look.turn(threshold), inverted

    def _refusals(self, look: GateAnswer) -> Iterator[str]:
        sure = look.probability >= self.description.sure_probability
        if look.probability < self.description.least_probability:
            others = {kind: p for kind, p in look.kinds.items() if kind != FRONTAL}
            yield REFUSALS.get(max(others, key=others.__getitem__), UNLIKE)
        elif look.distance > self.description.greatest_distance and not (sure and self._is_marked(look)):
            yield UNLIKE

    def _warnings(self, look: GateAnswer, turn: int, inverted: bool) -> Iterator[str]:
        if turn:
            yield f"The image seems to lie turned; it was judged upright, turned clockwise by {turn} degrees."
        if inverted:
            yield INVERTED
        if self._is_marked(look):
            yield MARKED
        if look.child >= self.description.sign_threshold:
            yield CHILD


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(np.exp(-np.logaddexp(0, -logits)))


def _righted(pixels: Floats, turn: int, inverted: bool) -> Floats:
    return np.ascontiguousarray(np.rot90(1 - pixels if inverted else pixels, -turn // 90))
