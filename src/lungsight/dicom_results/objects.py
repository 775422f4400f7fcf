"""The result objects of a finding, each determined by the image, the package and its kind."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial
from io import BytesIO
from typing import Any

from pydicom import Dataset, dcmwrite
from pydicom.sr.coding import Code

from lungsight import __version__
from lungsight.dicom_results import codes
from lungsight.dicom_results.capture import secondary_capture
from lungsight.dicom_results.presentation import presentation_state
from lungsight.dicom_results.report import structured_report
from lungsight.dicom_results.segmentation import lung_segmentation
from lungsight.dicom_results.source_image import SourceImage
from lungsight.dicom_results.uids import derived_uid, device_uid
from lungsight.errors import LungsightError
from lungsight.inference.detector import Detector
from lungsight.inference.finding import Finding, Status
from lungsight.reading.no_image import OURS


class Kind(StrEnum):
    """A result object."""

    SC = "sc"
    SR = "sr"
    GSPS = "gsps"
    SEG = "seg"


#: Made unless others are asked for.
USUAL = (Kind.SC, Kind.SR)


def kinds_of(words: str) -> tuple[Kind, ...]:
    """The kinds that ``sc,sr`` names. Raises LungsightError for any other word."""
    named = [word.strip().lower() for word in words.split(",") if word.strip()]
    if not named or set(named) - set(Kind):
        raise LungsightError(
            "--dicom-objects", f"'{words}' names no kinds of objects", f"give some of {', '.join(Kind)}"
        )
    return tuple(kind for kind in Kind if kind in named)


_SERIES = {
    Kind.SC: (900, "lungsight picture (research, not for diagnosis)"),
    Kind.SR: (901, "lungsight findings (research, not for diagnosis)"),
    Kind.SEG: (902, "lungsight lungs (research, not for diagnosis)"),
    Kind.GSPS: (904, "lungsight overlay (research, not for diagnosis)"),
}


@dataclass(frozen=True, eq=False)
class ResultObject:
    """A DICOM object, complete.

    Attributes:
        kind: which of the four.
        dataset: its content.
    """

    kind: Kind
    dataset: Dataset

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return str(self.dataset.SOPInstanceUID)

    def as_bytes(self) -> bytes:
        """The file."""
        file = BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the image's own header states is copied, defective or not
            dcmwrite(file, self.dataset, enforce_file_format=True)
        return file.getvalue()


@dataclass(frozen=True, eq=False)
class ResultObjects:
    """Makes the result objects of a detector's findings. Safe to call from several threads.

    Attributes:
        detector: it keeps headers (``keep_header``).
        kinds: the objects to make.
    """

    detector: Detector
    kinds: Sequence[Kind] = USUAL

    def of(self, finding: Finding) -> list[ResultObject]:
        """The objects of a finding that holds its image.

        There are none unless the image was analysed and is a DICOM file: a refused image gets nothing in its
        patient's study. Without two plausible lungs there is no segmentation.

        Raises:
            LungsightError: the header lacks what ties results to it, or isn't that of a radiograph.
        """
        radiograph = finding.radiograph
        if finding.status is not Status.READ or radiograph is None or radiograph.header is None:
            return []
        source = SourceImage.of(finding.file, radiograph.header)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = [(kind, self._made(kind, source, finding)) for kind in self.kinds]
        return [ResultObject(kind, dataset) for kind, dataset in made if dataset is not None]

    def _made(self, kind: Kind, source: SourceImage, finding: Finding) -> Dataset | None:
        package = self.detector.package.sha256
        number, description = _SERIES[kind]
        identity: dict[str, Any] = {
            "series_instance_uid": derived_uid(source.series_instance_uid, package, f"{kind} series"),
            "series_number": number,
            "sop_instance_uid": derived_uid(source.sop_instance_uid, package, kind),
            "instance_number": _positive(source.header.get("InstanceNumber")),
            "manufacturer": OURS,
            "manufacturer_model_name": self.detector.description.name[:64],
            "software_versions": __version__,
            "device_serial_number": package[:12],
            "series_description": description,
        }
        uid = partial(derived_uid, source.sop_instance_uid, package)
        try:
            dataset = self._by_highdicom(kind, source, finding, identity, uid)
        except LungsightError:
            raise
        except Exception as error:  # highdicom raises what it likes for what it wasn't made for
            problem = f"no {kind.upper()} can be made of its header ({type(error).__name__})"
            raise LungsightError(finding.file, problem, "leave this kind out by --dicom-objects") from error
        if dataset is not None:
            self._complete(dataset, source)
        return dataset

    def _by_highdicom(
        self, kind: Kind, source: SourceImage, finding: Finding, identity: dict[str, Any], uid: Callable[..., str]
    ) -> Dataset | None:
        match kind:
            case Kind.SC:
                return secondary_capture(source, finding, self.detector, identity)
            case Kind.SR:
                return structured_report(source, finding, self.detector, identity, uid)
            case Kind.GSPS:
                return presentation_state(source, finding, self.detector, identity, uid)
            case Kind.SEG if finding.outline is None or finding.lungs is None or finding.placement is None:
                return None
            case Kind.SEG:
                return lung_segmentation(source, finding.lungs, finding.placement, identity, uid)

    def _complete(self, dataset: Dataset, source: SourceImage) -> None:
        """What highdicom leaves to its callers: patient and study as the image has them, the device, the time."""
        dataset.SpecificCharacterSet = source.header.SpecificCharacterSet
        dataset.copy_patient_and_study_information(source.header)
        if dataset.Modality != "SR":  # without it, a validator asks for the side of the body
            dataset.BodyPartExamined = source.header.BodyPartExamined
        moment = self._moment(source)
        for element in ("ContentDate", "DateOfSecondaryCapture", "InstanceCreationDate"):
            if element in dataset:
                setattr(dataset, element, f"{moment:%Y%m%d}")
        for element in ("ContentTime", "TimeOfSecondaryCapture", "InstanceCreationTime"):
            if element in dataset:
                setattr(dataset, element, f"{moment:%H%M%S}")
        for element in ("PresentationCreationDate", "PresentationCreationTime"):
            if element in dataset:
                setattr(dataset, element, f"{moment:%Y%m%d}" if element.endswith("Date") else f"{moment:%H%M%S}")
        dataset.ContributingEquipmentSequence = [self._equipment()]

    def _moment(self, source: SourceImage) -> datetime:
        """The earliest moment at which the object can have been made: the same, whenever it is made again."""
        package = self.detector.description.created.replace(tzinfo=None)
        return max(source.moment or package, package)

    def _equipment(self) -> Dataset:
        """The creator, by IHE AIR 6.5.3.1."""
        item = Dataset()
        item.Manufacturer = OURS
        item.ManufacturerModelName = self.detector.description.name[:64]
        item.SoftwareVersions = __version__
        item.DeviceUID = device_uid(self.detector.package.sha256)
        item.PurposeOfReferenceCodeSequence = [_item(codes.PROCESSING)]
        return item


def _positive(number: Any) -> int:
    """An instance number of the image, or 1."""
    try:
        return max(1, int(number))
    except (TypeError, ValueError):
        return 1


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item
