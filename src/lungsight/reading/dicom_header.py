"""Read the fields of a radiograph from a DICOM header. A defective value becomes a warning, never an error."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import resources
from typing import Any

import numpy as np
from pydicom import Dataset

from lungsight.errors import printable
from lungsight.radiograph import Identifiers, SpacingPlane, View
from lungsight.reading.header_words import ReadWords, vocabulary

_OLDEST = 120.0
_YEARS_PER = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_KNOWN: dict[str, Any] = tomllib.loads(
    (resources.files("lungsight.reading") / "dicom_header.toml").read_text("utf-8")
)
_VIEW_CODES = {code: View(view) for view, codes in _KNOWN["view_codes"].items() for code in codes}
_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")


@dataclass
class Header:
    """A data set that is read with tolerance: an unreadable value is None, with a warning."""

    dataset: Dataset
    warnings: list[str] = field(default_factory=list)

    def warn(self, keyword: str, why: str, then: str = "it is left out") -> None:
        """Add the warning "DICOM keyword why: then", once."""
        sentence = f"DICOM {keyword} {why}: {then}."
        if sentence not in self.warnings:
            self.warnings.append(sentence)

    def value(self, keyword: str) -> Any:
        """The value; None if it is absent, empty or unreadable.

        Without one at the top level, that of the functional groups counts. If both have one, the top level counts,
        where the IOD of a radiograph keeps it.
        """
        stated = self._own(keyword)
        path = _KNOWN["of_frame"].get(keyword)
        of_frame = self._of_frame(path) if path else None
        if stated is None or of_frame is None:
            return of_frame if stated is None else stated
        if stated != of_frame:
            self.warn(keyword, "is another one in the functional groups", "the one at the top level is taken")
        return stated

    def _own(self, keyword: str) -> Any:
        try:
            value = self.dataset.get(keyword)
        except Exception:  # a defective value raises whatever its type's constructor raises
            self.warn(keyword, "is unreadable")
            return None
        return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value

    def _of_frame(self, path: Sequence[str]) -> Any:
        """The value at the end of ``path`` in the groups of the first frame, else in those of all frames."""
        for groups in _GROUPS:
            headers = [self]
            for sequence in (groups, *path[:-1]):
                headers = [item for header in headers for item in header.items(sequence)[:1]]
            for header in headers:
                if (value := header.value(path[-1])) is not None:
                    return value
        return None

    def text(self, keyword: str) -> str | None:
        """The first value as trimmed text that can be printed."""
        value = self.value(keyword)
        if value is not None and not isinstance(value, str | bytes) and isinstance(value, Iterable):
            value = next(iter(value), None)
        text = printable(str(value).strip("\0 ")) if value is not None else ""
        return text or None

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """All values as finite numbers; empty if there are none, or if one is defective."""
        numbers = self.finite_numbers(keyword)
        if None in numbers:
            self.warn(keyword, "is not a number")
            return ()
        return tuple(number for number in numbers if number is not None)

    def finite_numbers(self, keyword: str) -> tuple[float | None, ...]:
        """All values as finite numbers, None for each that is empty or defective."""
        value = self.value(keyword)
        if value is None:
            return ()
        many = value if isinstance(value, Iterable) and not isinstance(value, str | bytes) else (value,)
        return tuple(_finite(one) for one in many)

    def number(self, keyword: str) -> float | None:
        """The first value as a finite number."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers else None

    def items(self, keyword: str) -> list[Header]:
        """The items of a sequence, their warnings added to this header's own."""
        value = self.value(keyword)
        if value is None:
            return []
        if not all(isinstance(item, Dataset) for item in value):
            self.warn(keyword, "is not a sequence")
            return []
        return [Header(item, self.warnings) for item in value]


def _finite(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) else None


def fields_of(header: Header, *, keep_identifiers: bool = False) -> dict[str, Any]:
    """The fields of a Radiograph that come from the header; the patient's ID only to ``keep_identifiers``."""
    modality = header.text("Modality")
    view, view_stated = _view(header)
    return {
        "modality": modality.upper() if modality else None,
        "body_part": _body_part(header),
        "view": view,
        "view_stated": view_stated,
        "laterality": _one_of(header, "ImageLaterality", "LRUB") or _one_of(header, "Laterality", "LRUB"),
        "age": _age(header),
        "sex": _one_of(header, "PatientSex", "MFO"),
        "patient": _patient_key(header),
        "identifiers": Identifiers(
            study_instance_uid=header.text("StudyInstanceUID"),
            series_instance_uid=header.text("SeriesInstanceUID"),
            sop_instance_uid=header.text("SOPInstanceUID"),
            accession_number=header.text("AccessionNumber"),
            patient_id=header.text("PatientID") if keep_identifiers else None,
        ),
        **_spacing(header),
        "burned_in_annotation": _yes_or_no(header, "BurnedInAnnotation"),
    }


def _words(header: Header, keyword: str) -> ReadWords | None:
    """The words of an element that its vocabulary knows; None if it states nothing."""
    value = header.value(keyword)
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    text = value if isinstance(value, str) or not isinstance(value, Iterable) else "\\".join(map(str, value))
    words = vocabulary("view" if keyword == "ViewPosition" else "body_part").read(str(text or ""))
    return None if words.text.upper() in _KNOWN["not_stated"] else words


def _body_part(header: Header) -> str | None:
    """The body part in capitals; an unknown one is a warning, as no vocabulary has every word for a chest."""
    words = _words(header, "BodyPartExamined")
    if words is not None:
        if not words.kinds:
            why = f"'{words.text}' is not a known body part"
            header.warn("BodyPartExamined", why, "only the pixels say whether this is a chest")
        return words.text.upper()
    regions = header.items("AnatomicRegionSequence")
    if any(region.text("CodeValue") in _KNOWN["chest_codes"] for region in regions):
        return "CHEST"
    meanings = [meaning for region in regions if (meaning := region.text("CodeMeaning"))]
    return " / ".join(meanings).upper() or None


def _view(header: Header) -> tuple[View | None, str | None]:
    """The view, and the words that state it; an unknown view is a warning."""
    position, code = _words(header, "ViewPosition"), _view_code(header)
    view = _view_of(position.kinds) if position else None
    if position is not None and (code is None or view is not None):
        _warn_of_view(header, "ViewPosition", position, view)
        if code is not None and code[0] not in (None, view, View.FRONTAL):
            header.warn("ViewCodeSequence", f"says {code[0]}", f"ViewPosition '{position.text}' is believed instead")
        stated = position.text
    elif code is not None:
        view, words = code
        _warn_of_view(header, "ViewCodeSequence", words, view)
        stated = words.text
    else:
        return None, None
    return View.AP_SUPINE if view is View.AP and _is_supine(header) else view, stated


def _view_code(header: Header) -> tuple[View | None, ReadWords] | None:
    codes = header.items("ViewCodeSequence")
    if not codes:
        return None
    code = codes[0].text("CodeValue") or ""
    words = vocabulary("view").read(codes[0].text("CodeMeaning") or code)
    return _VIEW_CODES.get(code) or _view_of(words.kinds), words


def _view_of(kinds: frozenset[str]) -> View | None:
    """The view of these words; None if they name no view, or both a frontal and a lateral one."""
    if "oblique" in kinds:
        return View.OTHER
    frontal = kinds & {"pa", "ap", "frontal"}
    if "lateral" in kinds:
        return None if frontal else View.LATERAL
    if "supine" in kinds and "pa" not in kinds:
        return View.AP_SUPINE
    if frontal:
        return {frozenset({"pa"}): View.PA, frozenset({"ap"}): View.AP}.get(frontal, View.FRONTAL)
    return View.OTHER if "special" in kinds else None


def _warn_of_view(header: Header, keyword: str, words: ReadWords, view: View | None) -> None:
    kinds, quoted = words.kinds, f"'{words.text}'"
    if view is None and kinds:
        header.warn(keyword, f"{quoted} names both a frontal and a lateral view", "only the pixels say which it is")
    elif view is None:
        header.warn(keyword, f"{quoted} names no known view", "only the pixels say whether it is frontal")
    elif view.is_frontal and "special" in kinds:
        header.warn(keyword, f"{quoted} names a special projection", f"it is analysed as {view}")
    elif view is View.AP_SUPINE and not kinds & {"ap", "frontal"}:
        header.warn(keyword, f"{quoted} names no projection", "AP is assumed")


def _is_supine(header: Header) -> bool:
    modifiers = [
        modifier
        for orientation in header.items("PatientOrientationCodeSequence")
        for modifier in orientation.items("PatientOrientationModifierCodeSequence")
    ]
    return any(modifier.text("CodeValue") in _KNOWN["supine_codes"] for modifier in modifiers)


def _age(header: Header) -> float | None:
    """The age in years, from PatientAge; else from the dates of birth and study."""
    text = header.text("PatientAge")
    if text is None:
        return _age_by_dates(header)
    match = re.fullmatch(r"(\d{1,3})([DWMY]?)", text.upper())
    years = float(match[1]) * _YEARS_PER[match[2] or "Y"] if match else -1.0
    if not 0 <= years <= _OLDEST:
        header.warn("PatientAge", f"'{text}' is not an age")
        return _age_by_dates(header)
    if match and not match[2]:
        header.warn("PatientAge", f"'{text}' has no unit", "years are assumed")
    return years


def _age_by_dates(header: Header) -> float | None:
    born, studied = _date(header, "PatientBirthDate"), _date(header, "StudyDate")
    if born is None or studied is None:
        return None
    years = (studied - born).days / 365.25
    if not 0 <= years <= _OLDEST:
        header.warn("PatientBirthDate", "does not go with StudyDate", "the age is left out")
        return None
    return years


def _date(header: Header, keyword: str) -> date | None:
    text = header.text(keyword)
    if text is None:
        return None
    try:
        return datetime.strptime(text.replace(".", "").replace("-", "")[:8], "%Y%m%d").date()
    except ValueError:
        header.warn(keyword, "is not a date")
        return None


def _one_of(header: Header, keyword: str, letters: str) -> str | None:
    text = header.text(keyword)
    if text is None:
        return None
    if text[0].upper() not in letters:
        header.warn(keyword, f"'{text[:16]}' is none of {', '.join(letters)}")
        return None
    return text[0].upper()


def _patient_key(header: Header) -> str | None:
    """A key that distinguishes patients without naming them: a digest of the ID."""
    patient_id = header.text("PatientID")
    return hashlib.sha256(patient_id.encode("utf-8", "replace")).hexdigest()[:16] if patient_id else None


def _spacing(header: Header) -> dict[str, Any]:
    """The spacing of the pixels, and where it holds (PS3.3 10.7.1.3).

    PixelSpacing is corrected for magnification only if it says so, or differs from that at the detector.
    """
    if (spacing := two_positive(header, "PixelSpacing")) is not None:
        at_detector = two_positive(Header(header.dataset), "ImagerPixelSpacing")
        calibrated = header.text("PixelSpacingCalibrationType") is not None or at_detector not in (None, spacing)
        plane = SpacingPlane.PATIENT if calibrated else SpacingPlane.DETECTOR
    elif (spacing := two_positive(header, "ImagerPixelSpacing")) is not None:
        plane = SpacingPlane.DETECTOR
    else:
        spacing, plane = two_positive(header, "NominalScannedPixelSpacing"), SpacingPlane.FILM
    return {"pixel_spacing": spacing, "spacing_plane": plane if spacing else None}


def two_positive(header: Header, keyword: str) -> tuple[float, float] | None:
    """A pixel's spacing or aspect ratio, the vertical number first."""
    numbers = header.numbers(keyword)
    if not numbers:
        return None
    if len(numbers) != 2 or min(numbers) <= 0:
        header.warn(keyword, "is not two positive numbers")
        return None
    return numbers[0], numbers[1]


def _yes_or_no(header: Header, keyword: str) -> bool | None:
    text = header.text(keyword)
    if text is None:
        return None
    if text.upper() not in ("YES", "NO"):
        header.warn(keyword, "is neither YES nor NO")
        return None
    return text.upper() == "YES"
