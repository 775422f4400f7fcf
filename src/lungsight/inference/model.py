"""What evaluation asks of a model, whoever made it: a package's detector answers it, and so do other models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lungsight.components.decision import Decision
from lungsight.components.lungs import Box, Lungs
from lungsight.components.preprocessing import Preprocessing
from lungsight.inference.finding import Finding
from lungsight.inference.preparation import CheckedImage, ImageChecker
from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]


class Answer(NamedTuple):
    """All that is computed for one image.

    Attributes:
        finding: the finding; its status is ``error`` where the model gives no number.
        logits: float32 [K], before calibration.
        maps: float32 [K, h, w], class by class; None if the model has none.
        features: float32 [c], what the network's last layer weighs, averaged over the image; None if they weren't
            needed or the model has none.
    """

    finding: Finding
    logits: Floats
    maps: Floats | None
    features: Floats | None


class Model(Protocol):
    """A model that can be tested: from a file to a prediction, and from altered pixels to logits.

    Attributes:
        model: its id, which differs wherever a prediction may differ: answers are kept by it.
        classes: in the order of its probabilities.
        target: the class set against the rest.
        preprocessing: how its input is made of an image; its maps are placed on the image by it.
        checker: what refuses an image before it is predicted, and finds the lungs that its input depends on.
        lungs_from: id of the package whose lungs :meth:`lungs_to_audit` gives; empty for the model's own.
        decision: its rule; None if it has none, and the most probable class decides.
        lacks: why it can't give what :mod:`lungsight.components.predictor` names, a sentence each.
    """

    model: str
    classes: tuple[str, ...]
    target: str
    preprocessing: Preprocessing
    checker: ImageChecker
    decision: Decision | None
    lungs_from: str
    lacks: Mapping[str, str]

    def read(self, source: Path) -> Radiograph:
        """The image in a file. Raises UnreadableImageError."""
        ...

    def check_input(self, radiograph: Radiograph) -> CheckedImage:
        """The image as it is predicted, and why it would be refused."""
        ...

    def check_with_networks(self, radiograph: Radiograph) -> CheckedImage:
        """:meth:`check_input` without the checks of header and pixels."""
        ...

    def lungs_to_audit(self, checked: CheckedImage) -> Lungs | None:
        """The lungs that audits hide; None if no network finds them."""
        ...

    def prepare_checked(self, checked: CheckedImage) -> Floats:
        """The image as the model sees it."""
        ...

    def prepare_pixels(self, pixels: Floats, crop: Box | None = None) -> Floats:
        """Pixels, float32 [height, width] in 0…1, as the model sees them, cut by the box around the lungs."""
        ...

    def answer_checked(
        self, checked: Sequence[CheckedImage], prepared: Sequence[Floats] | None = None
    ) -> list[Answer]:
        """The answer for each image; refusals aren't looked at."""
        ...

    def logits(self, prepared: Sequence[Floats]) -> Floats:
        """Float32 [N, K] of prepared images."""
        ...

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Float64 [N, K] of logits [N, K]; rows sum to 1, NaN where a logit is."""
        ...

    def network(self) -> bytes:
        """An ONNX file by the contract of :mod:`lungsight.components.classifier`, unless it lacks weights."""
        ...
