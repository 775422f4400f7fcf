"""What to keep in mind about an image, or about a model, though the image is judged."""

from __future__ import annotations

from collections.abc import Iterator

from lungsight.package import PackageDescription
from lungsight.radiograph import Radiograph

ADULT = 16

#: Fewer training images of a class than this make its probability little more than a guess.
FEW_IMAGES = 100


def cautions_of_image(radiograph: Radiograph, image_size: int) -> tuple[str, ...]:
    """One sentence each; ``image_size`` is the side of the network's input."""
    return tuple(_of_image(radiograph, image_size))


def cautions_of_model(description: PackageDescription) -> tuple[str, ...]:
    """One sentence each, the same for every image this model judges."""
    return tuple(_of_model(description))


def _of_image(radiograph: Radiograph, image_size: int) -> Iterator[str]:
    if radiograph.view is None:
        yield "The file doesn't say its view; it is judged as a frontal one."
    if radiograph.age is not None and radiograph.age < ADULT:
        yield f"The patient is a child ({radiograph.age:.0f} years); detectors of COVID-19 learn from adults."
    if min(radiograph.height, radiograph.width) < image_size / 2:
        size = f"{radiograph.width} x {radiograph.height}"
        yield f"The image has {size} pixels, less than half of what the model looks at ({image_size} x {image_size})."
    if radiograph.burned_in_annotation:
        yield "The header says that there is writing in the image; the model may have read it."
    if radiograph.modality in ("SC", "OT"):
        yield f"The image is a secondary capture ({radiograph.modality}); its brightness may have been changed."


def _of_model(description: PackageDescription) -> Iterator[str]:
    counts = {name: sum(source.labels.get(name, 0) for source in description.sources) for name in description.classes}
    few = [f"{count} of {name}" for name, count in counts.items() if count < FEW_IMAGES]
    if few:
        yield f"The model learned from few images: {', '.join(few)}."
    if len(description.sources) == 1:
        yield f"The model learned from one source only ({description.sources[0].name}); elsewhere it may fail."
    elif description.sources and not _is_compared_within_a_source(description):
        yield f"No source held both {description.target} and another class; the model may tell sources apart instead."
    if description.calibration.fitted_on == 0:
        yield "The model's probabilities were not calibrated."


def _is_compared_within_a_source(description: PackageDescription) -> bool:
    return any(
        source.labels.get(description.target, 0) and sum(bool(n) for n in source.labels.values()) > 1
        for source in description.sources
    )
