"""Blank what names the patient in a DICOM file before the file is kept; all other bytes stay as they are."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from lungsight.errors import UnreadableImageError
from lungsight.reading.dicom_header import Header
from lungsight.reading.formats import HEAD_BYTES, Format, recognise
from lungsight.reading.limits import MAX_BYTES

#: Elements that name a patient, besides all whose value is a person's name (PN).
_NAMING = frozenset(
    [
        "PatientID",
        "IssuerOfPatientID",
        "OtherPatientIDs",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientBirthTime",
        "PatientBirthDateInAlternativeCalendar",
        "PatientDeathDateInAlternativeCalendar",
        "PatientInsurancePlanCodeSequence",
        "InsurancePlanIdentification",
        "MedicalRecordLocator",
        "MilitaryRank",
        "BranchOfService",
        "CountryOfResidence",
        "RegionOfResidence",
        "PatientReligiousPreference",
        "PatientInstitutionResidence",
        "PatientComments",
        "AdditionalPatientHistory",
        "Occupation",
        "PatientTelecomInformation",
        "ResponsiblePersonRole",
        "PersonTelephoneNumbers",
        "PersonAddress",
        "EthnicGroup",
    ]
)
_OF_PATIENT = frozenset(["PatientName", "PatientID", "OtherPatientIDs", "PatientBirthName"])
_BORN = "PatientBirthDate"
_TEXTS = frozenset(["AE", "CS", "DA", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UN", "UR", "UT"])
#: A name or ID of at least so many bytes is looked for in every text of the header.
_TELLING = 4
_UNDEFINED = 0xFFFFFFFF


class Stated(NamedTuple):
    """What a header states of patient and study; None where it doesn't.

    Attributes:
        patient_id: the PatientID.
        study_date: ISO 8601.
    """

    patient_id: str | None = None
    study_date: str | None = None


def stated_in(data: bytes) -> Stated:
    """What the header of a file states; nothing if it isn't DICOM or can't be read."""
    if recognise(data[:HEAD_BYTES]) is not Format.DICOM:
        return Stated()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they would repeat what the header says
            header = Header(_header(data)[0])
            return Stated(header.text("PatientID"), _iso(header.text("StudyDate")))
    except Exception:  # pydicom raises every kind of exception for damaged data
        return Stated()


def without_names(name: str, data: bytes) -> bytes:
    """The file with the patient's names, IDs and addresses blanked, of the same length; other formats as they are.

    The date of birth is kept only where the file states no age, which is reckoned from it. What names the patient in
    other texts, private ones included, is blanked too.

    Args:
        name: of the file, for messages.
        data: its content, which may be packed by gzip; then it is unpacked if it is DICOM.

    Raises:
        UnreadableImageError: its header can't be followed, so that a name might stay.
    """
    if recognise(data[:HEAD_BYTES]) is Format.GZIP:
        unpacked = _unpacked(data)
        return data if recognise(unpacked[:HEAD_BYTES]) is not Format.DICOM else without_names(name, unpacked)
    if recognise(data[:HEAD_BYTES]) is not Format.DICOM:
        return data
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the reader reports them
            return _blanked(data)
    except Exception as error:
        problem = "its DICOM header is damaged, so that names in it couldn't be removed"
        raise UnreadableImageError(
            name, problem, "export it again, or start the room with --keep-identifiers"
        ) from error


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, MAX_BYTES + 1)
    except zlib.error:
        return b""  # the reader reports it


def _header(data: bytes) -> tuple[Dataset, int]:
    """The data set before its pixels, and where they begin."""
    file = BytesIO(data)
    dataset = dcmread(file, force=True, stop_before_pixels=True)
    return dataset, file.tell()


def _blanked(data: bytes) -> bytes:
    dataset, end = _header(data)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax == DeflatedExplicitVRLittleEndian:
        raise ValueError("its header is compressed")
    elements = list(_elements(dataset))
    spared = {_BORN} if not Header(dataset).text("PatientAge") else set()
    naming = [e for e in elements if (_names(e) or _keyword(e) == _BORN) and _keyword(e) not in spared]
    told = {e.value.strip(b"\0 ") for e in naming if e.value and _keyword(e) in _OF_PATIENT}
    told = {value for value in told if len(value) >= _TELLING}
    naming += [e for e in elements if _vr(e) in _TEXTS and any(value in (e.value or b"") for value in told)]
    blanked = bytearray(data)
    for start, value in dict.fromkeys((_before(element), element.value or b"") for element in naming):
        _blank(blanked, start, value, end)
    return bytes(blanked)


def _elements(dataset: Dataset) -> Iterator[RawDataElement]:
    """Every element with a value, at any depth, as its bytes."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if not isinstance(element, RawDataElement) or _vr(element) == "SQ":
            for item in dataset[tag].value if dataset[tag].VR == "SQ" else ():
                yield from _elements(item)
        elif element.value:
            yield element


def _keyword(element: RawDataElement) -> str:
    return keyword_for_tag(element.tag)


def _names(element: RawDataElement) -> bool:
    return _vr(element) == "PN" or _keyword(element) in _NAMING


def _vr(element: RawDataElement) -> str:
    if element.VR not in (None, "UN"):
        return str(element.VR)
    try:
        return dictionary_VR(element.tag)
    except KeyError:
        return "UN"


def _blank(data: bytearray, start: bytes, value: bytes, end: int) -> None:
    """Put spaces in place of a value, wherever the header has it after these bytes."""
    at = data.find(start + value, 0, end)
    if at < 0:
        raise ValueError("a value isn't where it should be")
    while at >= 0:
        data[at + len(start) : at + len(start) + len(value)] = b" " * len(value)
        at = data.find(start + value, at + len(start) + len(value), end)


def _before(element: RawDataElement) -> bytes:
    """What comes before a value in the file: tag, VR and length."""
    order = "<" if element.is_little_endian else ">"
    tag = struct.pack(f"{order}HH", element.tag.group, element.tag.element)
    if element.length == _UNDEFINED:
        raise ValueError("a text of undefined length")
    if element.is_implicit_VR:
        return tag + struct.pack(f"{order}L", element.length)
    vr = str(element.VR)
    if vr in EXPLICIT_VR_LENGTH_32:
        return tag + vr.encode() + b"\0\0" + struct.pack(f"{order}L", element.length)
    return tag + vr.encode() + struct.pack(f"{order}H", element.length)


def _iso(text: str | None) -> str | None:
    digits = (text or "").replace(".", "").replace("-", "")[:8]
    if len(digits) != 8 or not digits.isascii() or not digits.isdigit():
        return None
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"
