"""What to keep in mind about an image, or about a model, though the image is judged."""

from __future__ import annotations

from collections.abc import Iterator

from lungsight._text import as_words
from lungsight.components.ood import OODDescription
from lungsight.components.preprocessing import Region
from lungsight.inference.finding import INCONCLUSIVE
from lungsight.package import PackageDescription, stated_grade
from lungsight.package.stated_grade import StatedGrade
from lungsight.radiograph import Radiograph, View

ADULT = 16

#: Fewer training images of a class than this make its probability little more than a guess.
FEW_IMAGES = 100

#: Less of the evidence than this in the lungs says that the model looked elsewhere.
MIN_INSIDE = 0.5


#: How the grade of a model begins that held at sites it never saw; it needs no caution.
HOLDS = "holds at"
#: What the shortcut flag means for whoever reads one finding; a model without a shortcut needs no caution.
_SHORTCUT = {
    stated_grade.FOUND: "The test of this model found a shortcut: part of its score comes from how or where an image "
    "was made, not from disease. Don't rely on it.",
    stated_grade.NOT_SHOWN: "The test of this model doesn't show whether it uses a shortcut.",
    stated_grade.NOT_LOOKED_FOR: "The test of this model didn't look for shortcuts.",
}


def image_warnings(
    radiograph: Radiograph, image_size: int, region: Region | None = None, view: View | None = None
) -> tuple[str, ...]:
    """What to keep in mind about one image: sentences.

    Args:
        radiograph: the image.
        image_size: the side of the network's input, in pixels.
        region: the part of the image that it shows; None for the whole.
        view: as the view classifier predicts it.
    """
    return tuple(_of_image(radiograph, image_size, region, view))


def location_warning(target: str, decision: str, inside: float | None) -> str | None:
    """That evidence is beside the lungs; None unless the decision is the target or leaves it open.

    Args:
        target: the model's target class.
        decision: of the image.
        inside: the share of the evidence in the lungs, 0…1.
    """
    if inside is None or inside >= MIN_INSIDE or decision not in (target, INCONCLUSIVE):
        return None
    words = as_words(target)
    return f"Less than half of what speaks for {words} is in the lungs; the model may have seen something else."


def distance_warning(distance: float | None, detector: OODDescription | None) -> str | None:
    """That the image is out-of-distribution; None unless it is. The decision stays what it is.

    Args:
        distance: from the training images, as a multiple of the detector's threshold.
        detector: what the package says of it.
    """
    if distance is None or detector is None or distance <= 1:
        return None
    return (
        "The image is unlike those that the model learned from: its features are further from every class than those "
        f"of {detector.percentile:g}% of the validation images. The decision may be wrong."
    )


def model_warnings(description: PackageDescription, verdict: StatedGrade | None = None) -> tuple[str, ...]:
    """One sentence each, the same for every image this model judges; ``verdict`` is that of its evidence report."""
    return (*_of_evidence(verdict), *_of_model(description))


def _of_evidence(verdict: StatedGrade | None) -> Iterator[str]:
    if verdict is None:
        yield "No evidence report is in the package: nothing here shows how the model does on images it never saw."
    else:
        if verdict.shortcut in _SHORTCUT:
            yield _SHORTCUT[verdict.shortcut]
        if not verdict.grade.startswith(HOLDS):
            yield f"The test of this model ({verdict.made}) ended in the grade “{verdict.grade}”. {verdict.sentence}"


def _of_image(radiograph: Radiograph, image_size: int, region: Region | None, view: View | None) -> Iterator[str]:
    if radiograph.view is None and radiograph.view_stated is None:
        guess = (
            f"it is probably {view}, as the view classifier sees it" if view else "it is analysed as a frontal one"
        )
        yield f"The file doesn't say its view; {guess}."
    if radiograph.age is not None and radiograph.age < ADULT:
        yield f"The patient is a child ({radiograph.age:.0f} years); detectors of COVID-19 learn from adults."
    seen = region or Region(0, 0, radiograph.width, radiograph.height)
    width, height = seen.right - seen.left, seen.bottom - seen.top
    if min(height, width) < image_size / 2:
        whole = (height, width) == (radiograph.height, radiograph.width)
        what = "image" if whole else "part of the image with the lungs"
        size = f"{width} x {height}"
        looked_at = f"{image_size} x {image_size}"
        yield f"The {what} has {size} pixels, less than half of what the model looks at ({looked_at})."
    if radiograph.burned_in_annotation:
        yield "The header says that there is writing in the image; the model may have read it."
    if radiograph.modality in ("SC", "OT"):
        yield f"The image is a secondary capture ({radiograph.modality}); its brightness may have been changed."


def _of_model(description: PackageDescription) -> Iterator[str]:
    target = as_words(description.target)
    counts = {name: sum(source.labels.get(name, 0) for source in description.sources) for name in description.classes}
    few = [f"{count} of {as_words(name)}" for name, count in counts.items() if count < FEW_IMAGES]
    if few:
        yield f"The model learned from few images: {', '.join(few)}."
    if len(description.sources) == 1:
        yield f"The model learned from one source only ({description.sources[0].name}); elsewhere it may fail."
    elif description.sources and not _is_compared_within_a_source(description):
        yield f"No source held both {target} and another class; the model may tell sources apart instead."
    if description.calibration.fitted_on == 0:
        yield "The model's probabilities were not calibrated."


def _is_compared_within_a_source(description: PackageDescription) -> bool:
    return any(
        source.labels.get(description.target, 0) and sum(bool(n) for n in source.labels.values()) > 1
        for source in description.sources
    )
