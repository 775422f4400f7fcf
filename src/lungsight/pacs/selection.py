"""Which objects of an archive are images for lungsight, by their headers; why the others aren't."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    SecondaryCaptureImageStorage,
)

from lungsight.reading.no_image import OURS

#: The classes that are taken. Scanned film and some public collections are secondary captures of modality CR or DX.
TAKEN = (ComputedRadiographyImageStorage, DigitalXRayImageStorageForPresentation, SecondaryCaptureImageStorage)
_MODALITIES = ("CR", "DX")

#: What :func:`why_not` reads of a header.
READ = ("SOPClassUID", "SOPInstanceUID", "Modality", "Manufacturer")


def why_not(header: Mapping[str, str], is_ours: Callable[[str], bool]) -> str | None:
    """Why an object is passed by, in a few words that name no patient; None for an image that is taken.

    Whether it is a frontal chest radiograph is decided when it is analysed: by its header, its pixels and the gate.

    Args:
        header: texts of the elements :data:`READ`, by keyword.
        is_ours: whether an object of a SOP Instance UID was made here.
    """
    uid, sop_class = header.get("SOPInstanceUID", ""), header.get("SOPClassUID", "")
    if header.get("Manufacturer", "").strip().lower() == OURS or is_ours(uid):
        return "a result of lungsight"
    if sop_class not in TAKEN:
        return f"class {UID(sop_class).name}" if UID(sop_class).name != sop_class else "a class of no radiograph"
    modality = header.get("Modality", "")
    if modality not in _MODALITIES:
        return f"modality {modality}" if modality.isalnum() and len(modality) <= 16 else "no modality"
    return None if uid else "no SOP Instance UID"
