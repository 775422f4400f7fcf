"""A model that isn't a package, at work on radiographs: evaluation asks it as it asks a detector."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lungsight.components.decision import Decision
from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.lungs import Box, Lungs
from lungsight.components.predictor import Predictor, Scores
from lungsight.inference.finding import ClassMap, Finding, Status, known_of
from lungsight.inference.model import Answer
from lungsight.inference.preparation import CheckedImage, ImageChecker
from lungsight.package import ModelPackage
from lungsight.radiograph import Radiograph

Floats = NDArray[np.float32]


class OtherModel:
    """An ONNX network, a torchxrayvision model or a function: :class:`~lungsight.inference.model.Model`.

    It has no input gate: an image is refused by its header or its pixels only. Its findings have no decision unless
    thresholds are stated for it.
    """

    def __init__(
        self,
        predictor: Predictor,
        classes: Sequence[str],
        target: str,
        *,
        decision: Decision | None = None,
        lungs: LungSegmentation | None = None,
        lungs_from: str = "",
        views_from: ModelPackage | None = None,
    ) -> None:
        self.model = predictor.model
        self.classes = tuple(classes)
        self.target = target
        self.preprocessing = predictor.preprocessing
        self.checker = ImageChecker().with_views_of(views_from)
        self.lungs_from = lungs_from
        self.lacks = predictor.lacks
        self.decision = decision
        self._predictor = predictor
        self._lungs = lungs

    def read(self, source: Path) -> Radiograph:
        """The image in a file. Raises UnreadableImageError."""
        return self.preprocessing.read(source)

    def check_input(self, radiograph: Radiograph) -> CheckedImage:
        """The image, and why it is refused: by its header or its pixels."""
        return self.checker.check_input(radiograph)

    def check_with_networks(self, radiograph: Radiograph) -> CheckedImage:
        """The image as it is."""
        return self.checker.check_with_networks(radiograph)

    def lungs_to_audit(self, checked: CheckedImage) -> Lungs | None:
        """The lungs that audits hide, found by another package; None if none was named."""
        return self._lungs.find(checked.radiograph.pixels) if self._lungs else None

    def prepare_checked(self, checked: CheckedImage) -> Floats:
        """The image as the model sees it."""
        return self.prepare_pixels(checked.radiograph.pixels)

    def prepare_pixels(self, pixels: Floats, crop: Box | None = None) -> Floats:
        """Pixels, float32 [height, width] in 0…1, as the model sees them; it never sees a crop of the lungs."""
        return self._predictor.prepare(pixels)

    def answer_checked(
        self, checked: Sequence[CheckedImage], prepared: Sequence[Floats] | None = None
    ) -> list[Answer]:
        """The answer for each image; refusals aren't looked at."""
        if not checked:
            return []
        started = time.perf_counter()
        scores = self._predictor.run([self.prepare_checked(one) for one in checked] if prepared is None else prepared)
        seconds = (time.perf_counter() - started) / len(checked)
        probabilities = self.probabilities(scores.logits)
        return [self._answer(one.radiograph, i, scores, probabilities[i], seconds) for i, one in enumerate(checked)]

    def logits(self, prepared: Sequence[Floats]) -> Floats:
        """Float32 [N, K] of prepared images."""
        return self._predictor.run(prepared).logits

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """The softmax of logits [N, K], float64; NaN where a logit is."""
        z = np.asarray(logits, dtype=np.float64)
        powers = np.exp(z - z.max(axis=1, keepdims=True, initial=-np.inf))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def network(self) -> bytes:
        """The network's ONNX file, unless it lacks weights."""
        return self._predictor.network()

    def _answer(
        self, radiograph: Radiograph, place: int, scores: Scores, probabilities: NDArray[np.float64], seconds: float
    ) -> Answer:
        status, decision = Status.READ, None
        reasons: tuple[str, ...] = ()
        if not np.isfinite(probabilities).all():
            status, reasons = Status.ERROR, (f"{radiograph.file}: the model gives no number for it.",)
        elif self.decision is not None:
            decision = str(self.decision.decide(probabilities, self.classes, self.target))
        read = status is Status.READ
        finding = Finding(
            radiograph.file,
            status,
            decision,
            dict(zip(self.classes, probabilities.tolist(), strict=True)) if read else {},
            map=self._map(scores, place) if read else None,
            **known_of(radiograph),
            radiograph=radiograph,
            reasons=reasons,
            target=self.target,
            model=self.model,
            seconds=seconds,
        )
        maps, features = (None if one is None else one[place] for one in (scores.maps, scores.features))
        return Answer(finding, scores.logits[place], maps, features)

    def _map(self, scores: Scores, place: int) -> ClassMap | None:
        """The target's map against the mean of the others'; None if the model has none."""
        if scores.maps is None:
            return None
        target = self.classes.index(self.target)
        values, logit = (
            one[target] - np.delete(one, target, axis=0).mean(axis=0)
            for one in (scores.maps[place].astype(np.float32), scores.logits[place])
        )
        return ClassMap(values, float(logit - values.mean()), self.preprocessing)
