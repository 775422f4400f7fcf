"""What result objects take over from the image that they are about: patient, study, and the grid of its pixels."""

from __future__ import annotations

import re
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydicom import Dataset
from pydicom.charset import python_encoding
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)
from pydicom.valuerep import DA, TM

from lungsight.errors import LungsightError

#: Character set of results whose image states none; others keep that of the image, so that names are the same bytes.
UTF_8 = "ISO_IR 192"

#: The images that results can be about: radiographs, and what scanners of film make.
CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
)
_DESCRIBED = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
)
#: Groups of the header that result objects may take elements from; private ones are odd and never taken.
_GROUPS = (0x0008, 0x0010, 0x0018, 0x0020, 0x0028, 0x0040, 0x2050)
#: A radiograph has no place in space; some systems state one all the same, and highdicom would believe it.
_NOT_TAKEN = ("FrameOfReferenceUID", "PositionReferenceIndicator", "ImagePositionPatient", "ImageOrientationPatient")
#: Must be there, if only empty.
_TYPE_2 = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
    "StudyID", "ReferringPhysicianName",
)  # fmt: skip
_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
_MOMENTS = ("Content", "Acquisition", "Series", "Study")
_TIME = re.compile(r"(\d\d)(?:(\d\d)(?:(\d\d)(?:\.\d*)?)?)?$")
_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}$")


@dataclass(frozen=True, eq=False)
class SourceImage:
    """A radiograph in DICOM that was analysed.

    Attributes:
        header: sound where highdicom needs it to be; text is decoded, and there are no private elements.
    """

    header: Dataset

    @classmethod
    def of(cls, file: str, header: Dataset) -> SourceImage:
        """From the header as the file has it.

        Args:
            file: as the finding names it, for messages.
            header: without pixels.

        Raises:
            LungsightError: no object can refer to this image.
        """
        taken = _decoded(header)
        for keyword in _NEEDED:
            value = str(taken.get(keyword) or "")
            if not value or not UID(value).is_valid:
                problem = f"its header states no {keyword}" if not value else f"its {keyword} isn't a UID"
                raise LungsightError(file, f"no DICOM results were made, since {problem}", "export the image again")
        if taken.SOPClassUID not in CLASSES:
            problem = f"no DICOM results were made, since it is a {UID(taken.SOPClassUID).name}"
            raise LungsightError(file, problem, "give a CR, DX or secondary capture image")
        _complete(taken)
        return cls(taken)

    @property
    def sop_instance_uid(self) -> str:
        """Of the image."""
        return str(self.header.SOPInstanceUID)

    @property
    def series_instance_uid(self) -> str:
        """Of its series."""
        return str(self.header.SeriesInstanceUID)

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns as they are stored."""
        return int(self.header.Rows), int(self.header.Columns)

    @property
    def is_described(self) -> bool:
        """Whether it has what highdicom's image library wants of a radiograph."""
        stated = [self.header.get(keyword) or () for keyword in ("PatientOrientation", "ImagerPixelSpacing")]
        return self.header.SOPClassUID in _DESCRIBED and all(len(value) == 2 for value in stated)

    @property
    def moment(self) -> datetime | None:
        """When the image was made, as its header states it; None if it states no day."""
        for what in _MOMENTS:
            day, time = str(self.header.get(f"{what}Date", "")), str(self.header.get(f"{what}Time", ""))
            with suppress(ValueError):
                return datetime.strptime(day, "%Y%m%d") + _since_midnight(time)
        return None


def _since_midnight(time: str) -> timedelta:
    parts = _TIME.match(time)
    hours, minutes, seconds = (int(part or 0) for part in parts.groups()) if parts else (0, 0, 0)
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _decoded(header: Dataset) -> Dataset:
    """The elements that results may need, each readable and in Unicode."""
    taken, header = Dataset(), deepcopy(header)
    with suppress(Exception):  # an unknown character set, a defective text: what is readable is taken below
        header.decode()
    for tag in list(header.keys()):  # a loop over the data set itself would read every element
        if tag.group in _GROUPS and not tag.is_private:
            with suppress(Exception):  # a defective value raises whatever its type's constructor raises
                taken.add(header[tag])
    if not set(_texts(taken.get("SpecificCharacterSet"))) <= set(python_encoding) - {""}:
        taken.SpecificCharacterSet = UTF_8  # none is stated, or an unknown one
    for keyword in _NOT_TAKEN:
        if keyword in taken:
            delattr(taken, keyword)
    return taken


def _texts(value: Any) -> tuple[str, ...]:
    """One text, or several, or ("",) for none."""
    if value is None or isinstance(value, str):
        return (value or "",)
    return tuple(map(str, value))


def _complete(taken: Dataset) -> None:
    """Put empty values where highdicom needs a value and there is none, or none that the standard allows."""
    for keyword in _TYPE_2:
        value = taken.get(keyword)
        setattr(taken, keyword, "" if value is None else str(value))
    for keyword, kind in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        if not _is_sound(kind, getattr(taken, keyword)):
            setattr(taken, keyword, "")
    if taken.PatientSex not in ("M", "F", "O"):
        taken.PatientSex = ""
    # only chests are analysed; without a body part, a validator asks for the side of the body
    if not _CODE_STRING.match(str(taken.get("BodyPartExamined") or "")):
        taken.BodyPartExamined = "CHEST"


def _is_sound(kind: Any, value: str) -> bool:
    try:
        kind(value)
    except ValueError:
        return False
    return True
