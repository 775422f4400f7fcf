"""What stands in a package and how it decides, in sentences for the model card and `lungsight package describe`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lungsight.components.calibration import Calibration
from lungsight.components.categories import Categories
from lungsight.components.decision import AnswersAtSource, Decision, MeasuredShare
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
    same = ", every source counting the same" if calibration.prevalence else ""
    said = f"{said}, fitted on {calibration.fitted_on:,} validation images{of_patients}{same}."
    if calibration.log_loss:
        scores = ", ".join(f"{method} {loss:.4f}" for method, loss in calibration.log_loss.items())
        least = calibration.log_loss.get(calibration.method) == min(calibration.log_loss.values())
        used = "the least" if least else "the simplest within one standard error of the least"
        said += f" Cross-validated log loss: {scores}; {used} is used."
    return said


def decision_in_words(decision: Decision, target: str) -> str:
    """From which probability on the target is predicted, below which there is no sign of it, and what for."""
    if decision.low is None or decision.high is None:
        said = f"Below a probability of {decision.inconclusive_below:.2f} the decision is *inconclusive*."
        return f"{decision.note} {said}".strip()
    basis = f"chosen on {decision.chosen_on:,} validation images of {decision.patients:,} patients, "
    basis += f"{decision.positives:,} images of {target}{_wanted(decision)}"
    said = f"From a probability of {decision.high:.3f} on the decision is *{target}*, "
    if decision.high == decision.low:
        return f"{said}below it *no sign of {target}*. The threshold was {basis}. {decision.note}".strip()
    return (
        f"{said}below {decision.low:.3f} *no sign of {target}*, between them *inconclusive*. The thresholds were "
        f"{basis}. {decision.note}"
    ).strip()


def _wanted(decision: Decision) -> str:
    """What the thresholds are for."""
    aims = {"sensitivity": decision.aim_sensitivity}
    if decision.high != decision.low or decision.most_inconclusive is not None:
        aims["specificity"] = decision.aim_specificity
    kept = " and ".join(f"a {what} of at least {aim:g}" for what, aim in aims.items() if aim is not None)
    most = decision.most_inconclusive
    if most is None or most >= 1:
        return f", for {kept}" if kept else ""
    limit = f", so that at most {most:.0%} of the images of each source are *inconclusive*"
    return f"{limit} and, as far as that allows, for {kept}" if kept else limit


def sources_in_words(decision: Decision) -> Iterator[str]:
    """What the thresholds do within each source, on the images on which they were chosen: a sentence for each."""
    yield from map(_source, decision.by_source)


def _source(found: AnswersAtSource) -> str:
    answered = {"sensitivity": found.sensitivity, "specificity": found.specificity}
    given = [f"{what} {share_in_words(share)}" for what, share in answered.items() if share.value is not None]
    rest = f"; of the others {' and '.join(given)}" if given else ""
    return f"{found.source or 'all'}: {share_in_words(found.inconclusive)} inconclusive{rest}."


def share_in_words(share: MeasuredShare) -> str:
    """``0.91 (0.87–0.94, n = 220)``; a dash where it isn't known."""
    if share.value is None:
        return "–"
    between = "no interval" if share.low is None or share.high is None else f"{share.low:.2f}–{share.high:.2f}"
    return f"{share.value:.2f} ({between}, n = {share.n:,})"


def costs_in_words(decision: Decision) -> str:
    """What other limits on inconclusive images would cost; empty if the package doesn't say."""
    if not decision.costs:
        return ""
    found = [
        f"{each.most_inconclusive:.0%}: {_number(each.sensitivity)} and {_number(each.specificity)}"
        for each in decision.costs
    ]
    return (
        "Sensitivity and specificity among the answered, with every source the same, by the limit on inconclusive "
        f"images: {'; '.join(found)}."
    )


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def categories_in_words(categories: Categories | None) -> dict[str, str]:
    """What readers called the images that got each decision, by decision; empty if nobody measured it."""
    if categories is None:
        return {}
    found = {each.decision: categories.of(each.decision) for each in categories.decisions}
    return {
        name: f"{said.word + '. ' if said.word else 'No one word. '}{said.meaning}"
        for name, said in found.items()
        if said is not None
    }


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
        f"There is a warning when an image's features are further than {stated.threshold:.1f} from every class of "
        f"the {stated.fitted_on:,} training images (Mahalanobis distance); {stated.percentile:g}% of "
        f"{stated.validated_on:,} validation images are nearer. The decision stays what it is."
    )


def _counted(images: Mapping[str, int]) -> str:
    by_source = ", ".join(f"{source} {count:,}" for source, count in sorted(images.items()))
    return f"{sum(images.values()):,} images ({by_source})" if images else "an unknown number of images"
