"""The detector: a model package at work on radiographs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lungsight._text import as_words, percent_beside
from lungsight.components.calibration import calibrated
from lungsight.components.classifier import Outputs
from lungsight.components.decision import Decision
from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.lungs import Box, Lungs, crop_of
from lungsight.components.ood import OODDetector
from lungsight.components.runtime import AUTO
from lungsight.inference.finding import INCONCLUSIVE, ClassMap, Finding, Status, known_of
from lungsight.inference.lung_overlap import share_in_lungs
from lungsight.inference.model import Answer
from lungsight.inference.preparation import CheckedImage, ImageChecker
from lungsight.inference.warnings import distance_warning, image_warnings, location_warning, model_warnings
from lungsight.package import ModelPackage, Network
from lungsight.package.storage import NETWORK
from lungsight.radiograph import Radiograph
from lungsight.reading import ImageFile
from lungsight.reading.remote import RemoteFile

Floats = NDArray[np.float32]


class Prediction(NamedTuple):
    """The prediction for N images.

    Attributes:
        probabilities: float64 [N, K], calibrated; they sum to 1.
        logits: float32 [N, K], before calibration.
        maps: float32 [N, K, h, w]; their means plus a bias are the logits.
    """

    probabilities: NDArray[np.float64]
    logits: Floats
    maps: Floats


class Detector:
    """A model package, loaded and ready: the one way from a file to a prediction. Safe to call from several threads.

    Attributes:
        package: the package it was loaded from.
        description: the content of its ``package.json``.
        model: the package's id, as findings give it.
        classes: in the order of the probabilities.
        target: the class whose evidence the heatmap shows.
        preprocessing: how the network's input is made of an image.
        decision: the package's rule.
        lacks: nothing: every audit can be asked (:class:`~lungsight.inference.model.Model`).
        grade: what its evidence report concludes; None if the package holds none.
        cautions: what to keep in mind about this model: sentences.
        checker: the package's input gate and lung segmentation.
        lungs_from: id of the package whose lungs :meth:`lungs_to_audit` gives; empty for the package's own.
        takes_batches: whether several images at once are quicker than one by one: true on a GPU.
    """

    def __init__(
        self,
        package: ModelPackage,
        network: Network,
        examiner: ImageChecker | None = None,
        familiarity: OODDetector | None = None,
        *,
        features: bool = False,
        audit_lungs: LungSegmentation | None = None,
        lungs_from: str = "",
        keep_identifiers: bool = False,
        keep_header: bool = False,
    ) -> None:
        self.package = package
        self.description = package.description
        self.model = package.id
        self.classes = package.description.classes
        self.target = package.description.target
        self.preprocessing = package.description.preprocessing
        self.decision: Decision | None = package.description.decision
        self.lacks: Mapping[str, str] = {}
        self.grade = package.verdict.words if package.verdict else None
        self.cautions = model_warnings(package.description, package.verdict)
        self.takes_batches = network.takes_batches
        self._network = network
        self.checker = examiner or ImageChecker()
        self._familiarity = familiarity
        self._features = features or familiarity is not None
        self._audit_lungs = audit_lungs
        self.lungs_from = lungs_from
        self._keep_identifiers = keep_identifiers
        self._keep_header = keep_header
        self._target = self.description.classes.index(self.description.target)

    @classmethod
    def load(
        cls,
        package: ModelPackage | Path | str,
        threads: int = 0,
        *,
        runtime: str = AUTO,
        features: bool = False,
        keep_identifiers: bool = False,
        keep_header: bool = False,
        lungs_from: ModelPackage | None = None,
        views_from: ModelPackage | None = None,
    ) -> Detector:
        """Load a package, or the one in a folder or zip.

        Args:
            package: the package, or its path.
            threads: cores to use; 0: all.
            runtime: what runs the networks: a name of :func:`lungsight.components.runtime.runtimes`, or the quickest.
            features: :meth:`answer_checked` gives them, and :meth:`predict_with_features` can be called.
            keep_identifiers: findings carry the patient's ID, where the file has one.
            keep_header: findings that hold their image hold its DICOM header, too.
            lungs_from: another package, whose lung segmentation :meth:`lungs_to_audit` runs in place of the
                package's own; findings don't depend on it.
            views_from: another package, whose view classifier is asked if the package has none.

        Raises:
            PackageError: it is incomplete, altered or can't be used, or its network gives other outputs for a
                reference image here than where it was made.
            LungsightError: this machine has no such runtime.
        """
        opened = package if isinstance(package, ModelPackage) else ModelPackage.open(package)
        familiarity = opened.familiarity()
        network = opened.network(threads, runtime=runtime, features=features or familiarity is not None)
        opened.verify_loaded(network)
        # images are read in as many threads as there are cores
        examiner = ImageChecker(
            opened.lung_fields(1, runtime=runtime), opened.gate(1, runtime=runtime)
        ).with_views_of(views_from, runtime=runtime)
        audit_lungs = lungs_from.lung_fields(1, runtime=runtime) if lungs_from else None
        return cls(
            opened, network, examiner, familiarity, features=features, audit_lungs=audit_lungs,
            lungs_from=lungs_from.id if lungs_from else "", keep_identifiers=keep_identifiers,
            keep_header=keep_header,
        )  # fmt: skip

    def read(self, source: Path | str | ImageFile | RemoteFile) -> Radiograph:
        """The image in a file, as scanning and evaluation predict on it. Raises UnreadableImageError."""
        return self.description.preprocessing.read(
            source, keep_identifiers=self._keep_identifiers, keep_header=self._keep_header
        )

    def check_input(self, radiograph: Radiograph) -> CheckedImage:
        """The image with its lungs, and why it is refused: by its header, its pixels, or the package's gate."""
        return self.checker.check_input(radiograph)

    def check_with_networks(self, radiograph: Radiograph) -> CheckedImage:
        """:meth:`check_input` without the checks of header and pixels."""
        return self.checker.check_with_networks(radiograph)

    def lungs_to_audit(self, checked: CheckedImage) -> Lungs | None:
        """The lungs that audits hide: of the package named at loading, or else the image's own."""
        return self._audit_lungs.find(checked.radiograph.pixels) if self._audit_lungs else checked.lungs

    def prepare(self, radiograph: Radiograph, lungs: Lungs | None = None) -> Floats:
        """The image as the network sees it, float32 [1, side, side].

        Args:
            radiograph: any image.
            lungs: where the lungs are; found here if the network sees only the box around them and this is None.
        """
        if self.description.preprocessing.needs_lungs and lungs is None:
            return self.prepare_checked(self.check_with_networks(radiograph))
        return self.prepare_checked(CheckedImage(radiograph, lungs))

    def prepare_checked(self, checked: CheckedImage) -> Floats:
        """:meth:`prepare` for an image whose lungs are known."""
        return self.prepare_pixels(checked.radiograph.pixels, crop_of(checked.lungs))

    def prepare_pixels(self, pixels: Floats, crop: Box | None = None) -> Floats:
        """:meth:`prepare` for pixels, float32 [height, width] in 0…1, and the box around their lungs."""
        return self.preprocessing.apply(pixels, crop)[None]

    def predict(self, pixels: Floats) -> Prediction:
        """The prediction for prepared images, float32 [N, 1, side, side] in 0…1."""
        return self._calibrated(self._network.run(pixels))

    def predict_with_features(self, pixels: Floats) -> tuple[Prediction, Floats]:
        """:meth:`predict`, and float32 [N, c]: what the network's last layer weighs, averaged over each image."""
        outputs, features = self._network.run_with_features(pixels)
        return self._calibrated(outputs), features

    def logits(self, prepared: Sequence[Floats]) -> Floats:
        """Before calibration, float32 [N, K], of prepared images."""
        return self._network.run(np.stack(prepared)).logits

    def network(self) -> bytes:
        """The classifier's ONNX file, for audits that alter its weights. Raises PackageError if it was altered."""
        return self.package.read(NETWORK)

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        """Calibrated, float64 [N, K], of the network's logits [N, K]; NaN where a logit is."""
        return calibrated(self.description.calibration, self.description.classes, logits)

    def analyse(self, radiographs: Sequence[Radiograph]) -> list[Finding]:
        """A finding for each image, all in one batch; none is refused."""
        return self.analyse_checked([self.check_with_networks(radiograph) for radiograph in radiographs])

    def analyse_checked(
        self, checked: Sequence[CheckedImage], prepared: Sequence[Floats] | None = None
    ) -> list[Finding]:
        """The findings of :meth:`answer_checked`."""
        return [answer.finding for answer in self.answer_checked(checked, prepared)]

    def answer_checked(
        self, checked: Sequence[CheckedImage], prepared: Sequence[Floats] | None = None
    ) -> list[Answer]:
        """A finding with the network's outputs for each image, all in one batch; refusals aren't looked at.

        Args:
            checked: any number, from :meth:`check_with_networks` or :meth:`check_input`.
            prepared: their images from :meth:`prepare_checked`, if the caller has them already.
        """
        if not checked:
            return []
        started = time.perf_counter()
        images = np.stack([self.prepare_checked(one) for one in checked] if prepared is None else prepared)
        prediction, features = self.predict_with_features(images) if self._features else (self.predict(images), None)
        distances: Sequence[float | None] = [None] * len(images)
        if self._familiarity is not None and features is not None:
            distances = self._familiarity.distance(features).tolist()
        seconds = (time.perf_counter() - started) / len(checked)
        findings = [
            self._conclude(one, Prediction(*outputs), distance, seconds, sound=bool(np.isfinite(image).all()))
            for one, image, distance, *outputs in zip(checked, images, distances, *prediction, strict=True)
        ]
        weighed = [None] * len(images) if features is None else features
        return [Answer(*one) for one in zip(findings, prediction.logits, prediction.maps, weighed, strict=True)]

    def _calibrated(self, outputs: Outputs) -> Prediction:
        return Prediction(self.probabilities(outputs.logits), outputs.logits, outputs.maps)

    def _conclude(
        self, checked: CheckedImage, prediction: Prediction, distance: float | None, seconds: float, *, sound: bool
    ) -> Finding:
        """The finding of one image, whose ``prediction`` has no first axis.

        It counts only if the input's pixels are ``sound`` numbers: some runtimes make numbers of NaN.
        """
        radiograph = checked.radiograph
        if not (sound and np.isfinite(prediction.logits).all()):
            reason = f"{radiograph.file}: the network gives no number for it; check its pixels and the model package."
            return Finding(
                radiograph.file,
                Status.ERROR,
                None,
                **known_of(radiograph),
                reasons=(reason,),
                model=self.model,
                model_grade=self.grade,
                seconds=seconds,
            )
        decision, reasons = self._decide(prediction.probabilities)
        categories, far = self.description.categories, self._in_thresholds(distance)
        evidence = self._map(prediction, crop_of(checked.lungs))
        inside = self._share_in_lungs(evidence, checked)
        return Finding(
            file=radiograph.file,
            status=Status.READ,
            decision=decision,
            probabilities=dict(zip(self.description.classes, prediction.probabilities.tolist(), strict=True)),
            map=evidence,
            lungs=checked.lungs,
            evidence_in_lungs=inside,
            unfamiliarity=far,
            **known_of(radiograph, checked.view),
            inverted=checked.inverted,
            radiograph=radiograph,
            reasons=reasons,
            warnings=self._warnings(checked, decision, inside, far),
            category=categories.of(decision) if categories else None,
            target=self.target,
            model=self.model,
            model_grade=self.grade,
            seconds=seconds,
        )

    def _map(self, prediction: Prediction, box: Box | None) -> ClassMap:
        values = self._against_the_others(prediction.maps)
        bias = self._against_the_others(prediction.logits) - values.mean(dtype=np.float64)
        return ClassMap(values, float(bias), self.description.preprocessing, box)

    def _share_in_lungs(self, evidence: ClassMap, checked: CheckedImage) -> float | None:
        if checked.lungs is None or checked.lungs.problems:
            return None
        return share_in_lungs(evidence, checked.lungs, *checked.radiograph.pixels.shape)

    def _warnings(
        self, checked: CheckedImage, decision: str, inside: float | None, far: float | None
    ) -> tuple[str, ...]:
        preprocessing, radiograph = self.description.preprocessing, checked.radiograph
        region = preprocessing.region(radiograph.height, radiograph.width, crop_of(checked.lungs))
        seen = region if preprocessing.needs_lungs else None
        place = location_warning(self.description.target, decision, inside)
        unlike = distance_warning(far, self._familiarity.description if self._familiarity else None)
        return (
            *radiograph.warnings,
            *checked.warnings,
            *image_warnings(radiograph, preprocessing.image_size, seen, checked.view.view if checked.view else None),
            *(sentence for sentence in (place, unlike) if sentence),
            *self.cautions,
        )

    def _in_thresholds(self, distance: float | None) -> float | None:
        return None if distance is None or self._familiarity is None else distance / self._familiarity.threshold

    def _decide(self, probabilities: NDArray[np.float64]) -> tuple[str, tuple[str, ...]]:
        """The decision, and why it is inconclusive if it is."""
        classes, target = self.description.classes, self.description.target
        decision = str(self.description.decision.decide(probabilities, classes, target))
        return decision, (self._why_open(probabilities),) if decision == INCONCLUSIVE else ()

    def _why_open(self, probabilities: NDArray[np.float64]) -> str:
        """Why these probabilities, float64 [K], lead to no decision: a sentence."""
        decision, p = self.description.decision, probabilities.max()
        if decision.thresholds is None:
            name, needed = self.description.classes[int(probabilities.argmax())], decision.inconclusive_below
            has, needs = percent_beside(p, needed)
            return f"The most probable class, {as_words(name)}, has a probability of {has}; the model needs {needs}."
        (low, high), p = decision.thresholds, probabilities[self._target]
        stated, from_, below = percent_beside(p, high, low)
        target = as_words(self.description.target)
        rule = f"the model calls it from {from_} on and sees no sign of it below {below}"
        return f"The probability of {target} is {stated}: {rule}."

    def _against_the_others(self, by_class: Floats) -> Floats:
        """The target's value minus the mean of the other classes', along the first axis."""
        others = np.delete(by_class, self._target, axis=0)
        return np.asarray(by_class[self._target] - others.mean(axis=0), dtype=np.float32)
