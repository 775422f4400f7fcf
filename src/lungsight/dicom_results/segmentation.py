"""The lungs as a segmentation on the image's own pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset

from lungsight import __version__
from lungsight.components.lungs import Lungs
from lungsight.dicom_results import codes
from lungsight.dicom_results.geometry import mask_on_stored
from lungsight.dicom_results.source_image import SourceImage
from lungsight.radiograph import Placement

#: Yellow, as the outline in pictures, in CIE L*a*b* scaled to 16 bits.
_COLOUR = hd.color.CIELabColor(90.0, -12.0, 75.0)


def lung_segmentation(
    source: SourceImage, lungs: Lungs, placement: Placement, identity: dict[str, Any], uid: Callable[..., str]
) -> hd.seg.Segmentation:
    """A binary segmentation of one segment, both lungs.

    Args:
        source: the image.
        lungs: two plausible ones.
        placement: of the image that they were found on.
        identity: UIDs and numbers of the object.
        uid: the UID that image, package and the text given determine.
    """
    rows, columns = source.size
    across = placement.turned % 180 == 90
    mask = mask_on_stored(lungs.on(columns, rows) if across else lungs.on(rows, columns), placement)
    segment = hd.seg.SegmentDescription(
        1,
        "Lungs",
        codes.ANATOMICAL_STRUCTURE,
        codes.LUNG,
        hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        hd.AlgorithmIdentificationSequence(
            name="lungsight", version=__version__, family=codes.ARTIFICIAL_INTELLIGENCE
        ),
        tracking_uid=uid("lungs"),
        tracking_id="Lungs (research)",
    )
    made = hd.seg.Segmentation(
        [source.header], mask[None].astype(np.uint8), "BINARY", [segment], content_label="LUNGS", **identity
    )
    made.SegmentSequence[0].RecommendedDisplayCIELabValue = list(_COLOUR.value)
    if "PatientOrientation" in source.header:
        made.PatientOrientation = source.header.PatientOrientation
    _name_dimensions(made, uid("dimensions"))
    _place(made, source.header)
    return made


def _name_dimensions(made: Dataset, uid: str) -> None:
    """Give the dimensions a derived UID; highdicom draws one at random."""
    made.DimensionOrganizationSequence[0].DimensionOrganizationUID = uid
    for index in made.DimensionIndexSequence:
        index.DimensionOrganizationUID = uid


def _place(made: Dataset, header: Dataset) -> None:
    """Say where the frame would be in space, which a projection doesn't say.

    Without both functional groups OHIF 3.13 shows nothing at all, not even the image. They mean nothing.
    """
    shared = made.SharedFunctionalGroupsSequence[0] if made.get("SharedFunctionalGroupsSequence") else Dataset()
    measures, plane = Dataset(), Dataset()
    measures.PixelSpacing = header.get("PixelSpacing") or header.get("ImagerPixelSpacing") or [1, 1]
    measures.SliceThickness = 1
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [plane]
    made.SharedFunctionalGroupsSequence = [shared]
