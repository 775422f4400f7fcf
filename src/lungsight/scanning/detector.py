"""The detector: a model package at work on radiographs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lungsight.package import ModelPackage, Network
from lungsight.package.calibration import calibrated
from lungsight.package.network import Outputs
from lungsight.radiograph import Radiograph
from lungsight.scanning.cautions import cautions_of_image, cautions_of_model
from lungsight.scanning.finding import INCONCLUSIVE, Finding, Status

Floats = NDArray[np.float32]


class Prediction(NamedTuple):
    """What the network says of N images: calibrated ``probabilities`` float64 [N, K] that sum to 1, ``logits``
    float32 [N, K] before calibration, and ``maps`` float32 [N, K, h, w] whose means plus a bias are the logits."""

    probabilities: NDArray[np.float64]
    logits: Floats
    maps: Floats


class Detector:
    """A model package, loaded and ready. Safe to call from several threads.

    Attributes:
        package: what it was loaded from.
        description: the content of its ``package.json``.
        model: its id, as findings give it.
        cautions: what to keep in mind about this model: sentences.
    """

    def __init__(self, package: ModelPackage, network: Network) -> None:
        self.package = package
        self.description = package.description
        self.model = package.id
        self.cautions = cautions_of_model(package.description)
        self._network = network
        self._target = self.description.classes.index(self.description.target)

    @classmethod
    def load(cls, package: ModelPackage | Path | str, threads: int = 0, *, features: bool = False) -> Detector:
        """Load a package, or the one in a folder or zip; ``threads`` cores are used (0: all); ``features`` is needed
        for :meth:`predict_with_features`. Raises InvalidPackage."""
        opened = package if isinstance(package, ModelPackage) else ModelPackage.open(package)
        return cls(opened, opened.network(threads, features=features))

    def prepare(self, radiograph: Radiograph) -> Floats:
        """The radiograph as the network sees it, float32 [1, side, side]."""
        return self.description.preprocessing.apply(radiograph.pixels)[None]

    def predict(self, pixels: Floats) -> Prediction:
        """What the network says of prepared images, float32 [N, 1, side, side] in 0…1."""
        return self._calibrated(self._network.run(pixels))

    def predict_with_features(self, pixels: Floats) -> tuple[Prediction, Floats]:
        """:meth:`predict`, and float32 [N, c]: what the network's last layer weighs, averaged over each image."""
        outputs, features = self._network.run_with_features(pixels)
        return self._calibrated(outputs), features

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Calibrated, float64 [N, K], of the network's logits [N, K]; NaN where a logit is."""
        return calibrated(self.description.calibration, self.description.classes, logits)

    def judge(self, radiographs: Sequence[Radiograph], prepared: Sequence[Floats] | None = None) -> list[Finding]:
        """A finding for each radiograph, all in one batch; whether they should be judged is not asked here.

        Args:
            radiographs: any number.
            prepared: their images from :meth:`prepare`, where the caller has them already.
        """
        if not radiographs:
            return []
        started = time.perf_counter()
        images = [self.prepare(r) for r in radiographs] if prepared is None else prepared
        prediction = self.predict(np.stack(images))
        seconds = (time.perf_counter() - started) / len(radiographs)
        return [
            self._conclude(radiograph, Prediction(*one), seconds)
            for radiograph, *one in zip(radiographs, *prediction, strict=True)
        ]

    def evidence_on(self, finding: Finding, height: int, width: int) -> Floats:
        """The finding's evidence on the radiograph's grid or, for a picture, on any other of the same shape:
        float32 [height, width], in logits; 0 where the network didn't look. Needs a finding that was judged."""
        if finding.evidence is None:
            raise ValueError(f"{finding.file} was not judged")
        return self.description.preprocessing.restore(finding.evidence, height, width)

    def _calibrated(self, outputs: Outputs) -> Prediction:
        return Prediction(self.probabilities(outputs.logits), outputs.logits, outputs.maps)

    def _conclude(self, radiograph: Radiograph, one: Prediction, seconds: float) -> Finding:
        """``one`` is what the network says of this radiograph: a prediction without its first axis."""
        if not np.isfinite(one.logits).all():
            reason = f"{radiograph.file}: the network gives no number for it; check its pixels and the model package."
            return Finding(radiograph.file, Status.ERROR, None, reasons=(reason,), model=self.model, seconds=seconds)
        verdict, reasons = self._verdict(one.probabilities)
        evidence = self._against_the_others(one.maps)
        bias = self._against_the_others(one.logits) - evidence.mean(dtype=np.float64)
        image_size = self.description.preprocessing.image_size
        return Finding(
            file=radiograph.file,
            status=Status.READ,
            verdict=verdict,
            probabilities=dict(zip(self.description.classes, one.probabilities.tolist(), strict=True)),
            evidence=evidence,
            evidence_bias=float(bias),
            radiograph=radiograph,
            reasons=reasons,
            warnings=(*radiograph.warnings, *cautions_of_image(radiograph, image_size), *self.cautions),
            model=self.model,
            seconds=seconds,
        )

    def _verdict(self, probabilities: NDArray[np.float64]) -> tuple[str, tuple[str, ...]]:
        classes, decision = self.description.classes, self.description.decision
        if decision.low is not None and decision.high is not None:
            return self._verdict_by_thresholds(probabilities, decision.low, decision.high)
        first = int(probabilities.argmax())
        name, p, threshold = classes[first], probabilities[first], decision.inconclusive_below
        if p >= threshold:
            return name, ()
        reason = f"The most probable class, {name}, has probability {p:.2f}, and the model needs {threshold:.2f}."
        return INCONCLUSIVE, (reason,)

    def _verdict_by_thresholds(
        self, probabilities: NDArray[np.float64], low: float, high: float
    ) -> tuple[str, tuple[str, ...]]:
        target, p = self.description.target, probabilities[self._target]
        if p >= high:
            return target, ()
        if p < low:
            others = np.where(np.arange(len(probabilities)) == self._target, -1.0, probabilities)
            return self.description.classes[int(others.argmax())], ()
        reason = (
            f"The probability of {target} is {p:.2f}: the model calls it from {high:.2f} on and rules it out below "
            f"{low:.2f}."
        )
        return INCONCLUSIVE, (reason,)

    def _against_the_others(self, by_class: Floats) -> Floats:
        """The target's value minus the mean of the other classes', along the first axis."""
        others = np.delete(by_class, self._target, axis=0)
        return np.asarray(by_class[self._target] - others.mean(axis=0), dtype=np.float32)
