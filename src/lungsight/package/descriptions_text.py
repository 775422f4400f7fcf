"""What stands in a package and how it decides, in sentences for the model card and `lungsight package describe`."""

from __future__ import annotations

from collections.abc import Mapping

from lungsight.components.calibration import Calibration
from lungsight.components.decision import Decision
from lungsight.components.view import ViewDescription
from lungsight.package.description import PackageDescription

_METHODS = {
    "temperature": "Temperature {0.temperature:.3f}",
    "platt": "Platt's logistic curve for each class",
    "isotonic": "Isotonic regression for each class",
}


def calibration_in_words(calibration: Calibration) -> str:
    """Method, what it was fitted on, and what the others scored."""
    if not calibration.fitted_on:
        return "Not calibrated."
    of_patients = f" of {calibration.patients:,} patients" if calibration.patients else ""
    said = _METHODS[calibration.method].format(calibration)
    said = f"{said}, fitted on {calibration.fitted_on:,} validation images{of_patients}."
    if calibration.log_loss:
        scores = ", ".join(f"{method} {loss:.4f}" for method, loss in calibration.log_loss.items())
        least = calibration.log_loss.get(calibration.method) == min(calibration.log_loss.values())
        used = "the least" if least else "the simplest within one standard error of the least"
        said += f" Cross-validated log loss: {scores}; {used} is used."
    return said


def decision_in_words(decision: Decision, target: str) -> str:
    """From which probability on the target is called, below which it is ruled out, and what for."""
    if decision.low is None or decision.high is None:
        said = f"Below a probability of {decision.inconclusive_below:.2f} the decision is *inconclusive*."
        return f"{decision.note} {said}".strip()
    basis = f"chosen on {decision.chosen_on:,} validation images of {decision.patients:,} patients, "
    basis += f"{decision.positives:,} images of {target}"
    if decision.aim_sensitivity is not None:
        basis += f", for a sensitivity of at least {decision.aim_sensitivity:g}"
    if decision.high == decision.low:
        said = f"{target} is called from a probability of {decision.low:.3f} on and ruled out below it"
        return f"{said}, {basis}. {decision.note}".strip()
    if decision.aim_specificity is not None:
        basis += " and" if decision.aim_sensitivity is not None else ", for"
        basis += f" a specificity of at least {decision.aim_specificity:g}"
    return (
        f"{target} is ruled out below a probability of {decision.low:.3f} and called from {decision.high:.3f} on; "
        f"between them the decision is *inconclusive*. The thresholds were {basis}. {decision.note}"
    ).strip()


def parts_in_words(description: PackageDescription) -> dict[str, str]:
    """What stands beside the network, by heading: lung segmentation, gate, OOD detector, as far as it has them."""
    said = {
        "Lung segmentation": _lung_fields(description),
        "Gate": _gate(description),
        "Out-of-distribution detector": _familiarity(description),
    }
    return {heading: sentences for heading, sentences in said.items() if sentences}


def _lung_fields(description: PackageDescription) -> str:
    stated = description.lung_fields
    if stated is None:
        return ""
    said = f"A network finds the lungs, at {stated.image_size} × {stated.image_size} pixels; it learned from "
    said += f"{_counted(stated.trained_on)} with lung masks."
    if not description.preprocessing.needs_lungs:
        return f"{said} The detector sees the whole image all the same."
    margin = f"{description.preprocessing.margin:.0%}"
    return (
        f"{said} The detector sees the box around them, {margin} of its width and height larger on each side. "
        "An image without two plausible lungs is refused."
    )


def _gate(description: PackageDescription) -> str:
    stated = description.gate
    if stated is None:
        return ""
    return (
        "Before an image is analysed, a network asks whether it is a frontal chest radiograph. It learned from "
        f"{_counted(stated.trained_on)} and {sum(stated.decoys.values()):,} out-of-distribution images of "
        f"{len(stated.decoys)} kinds. What isn't one is refused with the reason; where black and white are swapped, "
        "they are swapped back."
    ) + _view(stated.view)


def _view(stated: ViewDescription | None) -> str:
    if stated is None:
        return ""
    images = {source: sum(counts.values()) for source, counts in stated.trained_on.items()}
    return (
        " Where the file doesn't state the view, it predicts AP or PA, or leaves it unknown; that was learned from "
        f"{_counted(images)} whose source states the view."
    )


def _familiarity(description: PackageDescription) -> str:
    stated = description.familiarity
    if stated is None:
        return ""
    return (
        f"An image is *inconclusive* when its features are further than {stated.threshold:.1f} from every class of "
        f"the {stated.fitted_on:,} training images (Mahalanobis distance); {stated.percentile:g}% of "
        f"{stated.validated_on:,} validation images are nearer."
    )


def _counted(images: Mapping[str, int]) -> str:
    by_source = ", ".join(f"{source} {count:,}" for source, count in sorted(images.items()))
    return f"{sum(images.values()):,} images ({by_source})" if images else "an unknown number of images"
