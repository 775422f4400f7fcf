"""The finding as a structured report: TID 1500, every group with a region, in a Comprehensive 3D SR."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from highdicom import sr

from lungsight import __version__
from lungsight._text import as_words
from lungsight.dicom_results import codes
from lungsight.dicom_results.geometry import FRAME, Outline, around, on_stored, regions
from lungsight.dicom_results.source_image import SourceImage
from lungsight.dicom_results.uids import device_uid
from lungsight.inference.detector import Detector
from lungsight.inference.finding import INCONCLUSIVE, Finding

Group = sr.PlanarROIMeasurementsAndQualitativeEvaluations


def structured_report(
    source: SourceImage, finding: Finding, detector: Detector, identity: dict[str, Any], uid: Callable[..., str]
) -> sr.Comprehensive3DSR:
    """The report.

    Args:
        source: the image.
        finding: of it, as it was analysed.
        detector: whose finding it is.
        identity: UIDs and numbers of the object.
        uid: the UID that image, package and the text given determine.
    """
    content = sr.MeasurementReport(
        observation_context=_observer(detector),
        procedure_reported=codes.CHEST_RADIOGRAPHY,
        imaging_measurements=list(_Content(source, finding, detector, uid).groups()),
        title=codes.REPORT,
        referenced_images=[source.header] if source.is_described else None,
    )
    if not source.is_described:
        measurements = content[0].ContentSequence.pop()
        content[0].ContentSequence.extend([_library(source), measurements])
    made = sr.Comprehensive3DSR(
        [source.header], content, is_complete=True, is_final=False, is_verified=False, **identity
    )
    made.CodingSchemeIdentificationSequence = [codes.declared_scheme()]
    return made


def _observer(detector: Detector) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=device_uid(detector.package.sha256),
        name="lungsight",
        manufacturer_name="lungsight",
        model_name=detector.description.name[:64],
    )
    context = sr.ObserverContext(
        observer_type=sr.CodedConcept.from_code(codes.DEVICE), observer_identifying_attributes=device
    )
    return sr.ObservationContext(observer_device_context=context)


def _library(source: SourceImage) -> sr.ContainerContentItem:
    """The image library where highdicom can't make it: it takes orientation and spacing for granted."""
    contains, context = sr.RelationshipTypeValues.CONTAINS, sr.RelationshipTypeValues.HAS_ACQ_CONTEXT
    image = sr.ImageContentItem(
        codes.SOURCE, source.header.SOPClassUID, source.sop_instance_uid, relationship_type=contains
    )
    modality = codes.MODALITIES.get(str(source.header.get("Modality")), codes.OTHER_MODALITY)
    stated: list[sr.ContentItem] = [sr.CodeContentItem(codes.MODALITY, modality, relationship_type=context)]
    for name, number in zip((codes.ROWS, codes.COLUMNS), source.size, strict=True):
        stated.append(sr.NumContentItem(name, number, codes.PIXELS, relationship_type=context))
    image.ContentSequence = sr.ContentSequence(stated)
    group = sr.ContainerContentItem(codes.IMAGE_LIBRARY_GROUP, relationship_type=contains)
    group.ContentSequence = sr.ContentSequence([image])
    library = sr.ContainerContentItem(codes.IMAGE_LIBRARY, relationship_type=contains)
    library.ContentSequence = sr.ContentSequence([group])
    return library


@dataclass(frozen=True, eq=False)
class _Content:
    """The groups of a report."""

    source: SourceImage
    finding: Finding
    detector: Detector
    uid: Callable[..., str]

    def groups(self) -> Iterator[Group]:
        """The answer first, then where its evidence is."""
        yield self._answer()
        other = str(self.finding.decision)
        if other in codes.FINDINGS and other not in (self.detector.target, INCONCLUSIVE):
            # on the frame, since viewers print labels of the same outline over each other
            yield self._class(other, FRAME, [])
        if self.finding.map is not None and self.finding.placement is not None:
            height, width = self.finding.placement.height, self.finding.placement.width
            for number, region in enumerate(regions(self.finding.map, height, width), 1):
                yield self._evidence(number, region.outline, region.strongest)

    def _answer(self) -> Group:
        lungs = None if self.finding.outline is None else around(self.finding.outline)
        interpreted = codes.interpretation(str(self.finding.decision), self.detector.target)
        stated = [(codes.HAS_INTERPRETATION, interpreted), *codes.grade_codes(self.detector.package.verdict)]
        evaluations = [sr.QualitativeEvaluation(name, value) for name, value in stated]
        return self._class(self.detector.target, FRAME if lungs is None else self._stored(lungs), evaluations)

    def _class(self, name: str, region: Outline, evaluations: Sequence[sr.QualitativeEvaluation]) -> Group:
        """What is stated of one class. OHIF prints a measurement with its unit as they are: hence per cent."""
        probability = sr.Measurement(
            name=codes.PROBABILITY, value=round(100 * self.finding.probabilities[name], 2), unit=codes.PERCENT
        )
        return self._group(
            f"Signs of {as_words(name)} (research)",
            name,
            region,
            finding_category=codes.CLINICAL_FINDING,
            finding_type=codes.FINDINGS.get(name, codes.CLINICAL_FINDING),
            finding_sites=[sr.FindingSite(codes.LUNG)],
            measurements=[probability],
            qualitative_evaluations=evaluations or None,
        )

    def _evidence(self, number: int, outline: Outline, strongest: float) -> Group:
        measured = sr.Measurement(
            name=codes.CLASS_ACTIVATION, value=round(strongest, 3), unit=codes.NO_UNITS, derivation=codes.MAXIMUM
        )
        return self._group(
            f"Evidence {number} (research)",
            f"evidence {number}",
            self._stored(outline),
            finding_type=codes.CLASS_ACTIVATION,
            measurements=[measured],
        )

    def _group(self, title: str, name: str, region: Outline, **stated: Any) -> Group:
        """A group on a region of the stored image.

        The algorithm stands in the group, not in a measurement, where it would make OHIF drop the label.
        """
        rows, columns = self.source.size
        return Group(
            tracking_identifier=sr.TrackingIdentifier(uid=self.uid(name), identifier=title),
            referenced_region=sr.ImageRegion(
                sr.GraphicTypeValues.POLYLINE,
                region * (columns, rows),
                source_image=sr.SourceImageForRegion.from_source_image(self.source.header),
            ),
            algorithm_id=self._algorithm(),
            **stated,
        )

    def _algorithm(self) -> sr.AlgorithmIdentification:
        thresholds = self.detector.description.decision.thresholds
        rule = "none" if thresholds is None else f"{thresholds[0]:.4f} and {thresholds[1]:.4f}"
        parameters = [f"package={self.detector.package.sha256}", f"thresholds={rule}"]
        parameters.append(f"grade={self.finding.model_grade or 'none'}")
        return sr.AlgorithmIdentification(
            name="lungsight", version=__version__, family=codes.ARTIFICIAL_INTELLIGENCE, parameters=parameters
        )

    def _stored(self, outline: Outline) -> Outline:
        placement = self.finding.placement
        return outline if placement is None else on_stored(outline, placement)
