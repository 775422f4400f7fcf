"""What stands beside a package's detector and is asked of every image too: lung fields, gate, familiarity."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.lungs import crop_of
from lungsight.components.ood import OODDetector
from lungsight.evaluation.testset.lung_masks import LungMask
from lungsight.inference.preparation import ImageChecker
from lungsight.package import ModelPackage
from lungsight.package.storage import LUNG_FIELDS
from lungsight.radiograph import Radiograph

#: Images are read and looked at side by side, a core each; a network on several would only wait for itself.
_THREADS = 1


class Looked(NamedTuple):
    """What is known of an image before the detector is asked.

    ``radiograph`` is as it is judged, upright and a negative (``inverted``) as a positive; ``refused`` says why the
    gate would refuse it: sentences.
    """

    radiograph: Radiograph
    lungs: LungMask | None
    refused: tuple[str, ...]
    inverted: bool


@dataclass(frozen=True, eq=False)
class Companions:
    """A package's own, and the lung fields that the audits use.

    Attributes:
        examiner: asks the package's own lung fields and gate, as scanning does.
        crops: the package's detector sees the box around the lungs only.
        for_audits: another package's lung fields, in place of the package's own in the audits.
        borrowed: the sha256 of these; empty where there are none. What is kept on disk rests on them.
    """

    examiner: ImageChecker = field(default_factory=ImageChecker)
    familiarity: OODDetector | None = None
    crops: bool = False
    for_audits: LungSegmentation | None = None
    borrowed: str = ""

    @classmethod
    def of(cls, package: ModelPackage, lungs_by: ModelPackage | None = None) -> Companions:
        """``lungs_by`` is asked for the audits' lung fields in the package's place. Raises InvalidPackage."""
        return cls(
            examiner=ImageChecker(package.lung_fields(_THREADS), package.gate(_THREADS)),
            familiarity=package.familiarity(),
            crops=package.description.preprocessing.needs_lungs,
            for_audits=lungs_by.lung_fields(_THREADS) if lungs_by else None,
            borrowed=lungs_by.description.files.get(LUNG_FIELDS, "") if lungs_by else "",
        )

    @property
    def find_lungs(self) -> bool:
        return self.for_audits is not None or self.examiner.lung_fields is not None

    def look(self, radiograph: Radiograph) -> Looked:
        """What they say of an image whose header and pixels don't speak against judging it."""
        checked = self.examiner.check_with_networks(radiograph)
        shown, own = checked.radiograph, checked.lungs
        lungs = own if self.for_audits is None else self.for_audits.find(shown.pixels)
        crop = crop_of(own) if self.crops else None
        found = None if lungs is None else LungMask.of(lungs, crop)
        return Looked(shown, found, checked.refusals, checked.inverted)
