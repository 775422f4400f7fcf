"""Outlines and one line of words over the image itself: a grayscale softcopy presentation state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import highdicom as hd

from lungsight import RESEARCH_ONLY
from lungsight._text import as_words, percent
from lungsight.dicom_results.geometry import Outline, on_stored, outlines, regions
from lungsight.dicom_results.source_image import SourceImage
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding

_TOP_LEFT = (0.01, 0.01, 0.99, 0.06)


def presentation_state(
    source: SourceImage, finding: Finding, detector: Detector, identity: dict[str, Any], uid: Callable[..., str]
) -> hd.pr.GrayscaleSoftcopyPresentationState:
    """The presentation state.

    Args:
        source: the image.
        finding: of it, as it was analysed.
        detector: whose finding it is.
        identity: UIDs and numbers of the object.
        uid: the UID that image, package and the text given determine.
    """
    rows, columns = source.size
    drawn = [
        hd.pr.GraphicObject(
            "POLYLINE", outline * (columns, rows), units="PIXEL", tracking_id=name, tracking_uid=uid(name)
        )
        for name, outline in _outlines(finding)
    ]
    share = percent(finding.probabilities[detector.target])
    target = as_words(detector.target)
    words = f"{finding.words}; probability of {target} {share}. {RESEARCH_ONLY}"
    layer = hd.pr.GraphicLayer("LUNGSIGHT", order=1, description="lungsight (research, not for diagnosis)")
    text = hd.pr.TextObject(words, units="DISPLAY", bounding_box=_TOP_LEFT)
    note = hd.pr.GraphicAnnotation(
        [source.header], graphic_layer=layer, graphic_objects=drawn or None, text_objects=[text]
    )
    return hd.pr.GrayscaleSoftcopyPresentationState(
        [source.header],
        content_label="LUNGSIGHT",
        content_description="lungsight (research, not for diagnosis)",
        graphic_annotations=[note],
        graphic_layers=[layer],
        concept_name=None,
        **identity,
    )


def _outlines(finding: Finding) -> Iterator[tuple[str, Outline]]:
    """Lungs and evidence, by name, on the image as it is stored."""
    placement = finding.placement
    if placement is None or finding.map is None:
        return
    if finding.outline is not None:
        for number, outline in enumerate(outlines(finding.outline), 1):
            yield f"Lung {number}", on_stored(outline, placement)
    for number, region in enumerate(regions(finding.map, placement.height, placement.width), 1):
        yield f"Evidence {number}", on_stored(region.outline, placement)
