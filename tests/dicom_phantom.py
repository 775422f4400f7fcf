"""A phantom as a DICOM file that validators find nothing wrong with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from image_files import dicom, dicom_bytes
from lungsight.datasets.phantom import Label, draw
from lungsight.dicom_results.uids import derived_uid


def phantom_pixels(seed: int = 0, label: Label = Label.COVID19, size: int = 128) -> NDArray[np.uint16]:
    """Stored values of 12 bits, [height, width]."""
    return np.rint(draw(seed, label, size=size).pixels * 4095).astype(np.uint16)


def _coded(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def phantom_dx(pixels: NDArray[np.uint16], name: str = "1", **changes: Any) -> Dataset:
    """A DX image for presentation of a patient who doesn't exist; ``name`` tells patients apart."""
    view = _coded("272479007", "SCT", "postero-anterior")
    view.ViewModifierCodeSequence = []
    stated: dict[str, Any] = {
        "SpecificCharacterSet": "ISO_IR 100",
        "SOPInstanceUID": UID(derived_uid("phantom", name)),
        "PatientName": f"Phäntom^{name}", "PatientID": f"P-{name}", "IssuerOfPatientID": "LS",
        "PatientBirthDate": "19700101", "PatientSex": "F", "PatientAge": "056Y",
        "StudyInstanceUID": UID(derived_uid("phantom", name, "study")), "StudyDate": "20261130",
        "StudyTime": "080000", "ReferringPhysicianName": "", "StudyID": "1", "AccessionNumber": f"A{name}",
        "StudyDescription": "Chest PA",
        "SeriesInstanceUID": UID(derived_uid("phantom", name, "series")), "SeriesNumber": 1, "Modality": "DX",
        "PresentationIntentType": "FOR PRESENTATION", "SeriesDate": "20261130", "SeriesTime": "080000",
        "Manufacturer": "phantoms", "InstanceNumber": 1, "ContentDate": "20261130", "ContentTime": "080001",
        "PatientOrientation": ["L", "F"], "ImageType": ["DERIVED", "PRIMARY"], "AcquisitionDate": "20261130",
        "AcquisitionTime": "080001", "PixelIntensityRelationship": "LOG", "PixelIntensityRelationshipSign": 1,
        "RescaleIntercept": 0, "RescaleSlope": 1, "RescaleType": "US", "PresentationLUTShape": "IDENTITY",
        "LossyImageCompression": "00", "BurnedInAnnotation": "NO", "ImagerPixelSpacing": [0.4, 0.4],
        "DetectorType": "DIRECT", "PositionerType": "NONE", "BodyPartExamined": "CHEST", "ViewPosition": "PA",
        "ImageLaterality": "U", "WindowCenter": 2048, "WindowWidth": 4096, "ViewCodeSequence": [view],
        "AnatomicRegionSequence": [_coded("51185008", "SCT", "Chest")], "AcquisitionContextSequence": [],
    }  # fmt: skip
    return dicom(pixels, bits=12, **stated | changes)


def phantom_bytes(seed: int = 0, label: Label = Label.COVID19, size: int = 128, **changes: Any) -> bytes:
    """The file of :func:`phantom_dx`."""
    return dicom_bytes(phantom_dx(phantom_pixels(seed, label, size), str(seed), **changes))
