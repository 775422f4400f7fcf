"""What is found out about an image before the classifier runs: is it refused, and where are its lungs?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungsight.components.input_gate import Gate, GateResult
from lungsight.components.lung_segmentation import LungSegmentation
from lungsight.components.lungs import Lungs
from lungsight.components.runtime import AUTO
from lungsight.components.view import ViewGuess
from lungsight.inference.input_checks import header_refusals, refusals
from lungsight.package import ModelPackage
from lungsight.radiograph import Radiograph
from lungsight.reading.reduction import reduced

#: Comes before what is wrong with the lungs that were found.
NO_LUNGS = "No two plausible lungs were found, so it isn't analysed; give a whole, upright frontal chest X-ray."

#: Who refused an image that its own header calls another kind of image.
BY_HEADER = "header"

#: Pixels of the shorter side that lung segmentation and input gate are given; their own input has about 224.
_ENOUGH = 448

#: The result without an input gate.
_AS_IT_IS = GateResult(refusals=(), warnings=(), probability=1.0, inverted=False)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedImage:
    """An image, with what was found out about it.

    Attributes:
        radiograph: as it is analysed: upright, a negative as a positive.
        lungs: where the lungs are; None if they weren't looked for.
        refusals: why it is refused, one sentence per reason; empty if it isn't.
        warnings: what to keep in mind about it, besides the radiograph's own: sentences.
        inverted: whether it was a negative.
        refused_by: ``header``, ``pixels`` or ``gate``, whichever refused it first; None if it isn't refused.
        view: AP or PA by the view classifier; None if there is none, or the gate refuses the image.
    """

    radiograph: Radiograph
    lungs: Lungs | None = None
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    inverted: bool = False
    refused_by: str | None = None
    view: ViewGuess | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ImageChecker:
    """A package's lung segmentation and input gate; either may be missing. Safe to call from several threads.

    Attributes:
        views_by: another package's gate, whose view classifier is asked if ``gate`` has none.
        views_from: id of that package; empty if there is none.
    """

    lung_fields: LungSegmentation | None = None
    gate: Gate | None = None
    views_by: Gate | None = None
    views_from: str = ""

    def with_views_of(self, package: ModelPackage | None, *, runtime: str = AUTO) -> ImageChecker:
        """The same, and the view classifier of ``package`` is asked if the own gate has none."""
        if package is None or (self.gate is not None and self.gate.description.view is not None):
            return self
        return replace(self, views_by=package.gate(1, runtime=runtime), views_from=package.id)

    def check_input(self, radiograph: Radiograph) -> CheckedImage:
        """:meth:`check_with_networks`, but no network is run if the header or the pixels already refuse it."""
        if reasons := refusals(radiograph):
            refused_by = BY_HEADER if any(header_refusals(radiograph)) else "pixels"
            return CheckedImage(radiograph, refusals=reasons, refused_by=refused_by)
        return self.check_with_networks(radiograph)

    def check_with_networks(self, radiograph: Radiograph) -> CheckedImage:
        """The input gate's result, and the lungs of the image as the gate corrects it.

        A negative becomes a positive, and an image on its side or its head is turned upright. An image without two
        plausible lungs is refused.
        """
        small = reduced(radiograph, _ENOUGH).pixels
        admission = self.gate.ask(small) if self.gate is not None else _AS_IT_IS
        if admission.inverted:
            radiograph = radiograph.negative()
        if admission.turn:
            radiograph = radiograph.placed(turned=admission.turn)
        lungs = self.lung_fields.find(admission.righted(small)) if self.lung_fields is not None else None
        refusals = admission.refusals or _without_lungs(lungs)
        warnings = () if refusals else admission.warnings
        refused_by = "gate" if refusals else None
        view = self._view(admission, small)
        return CheckedImage(radiograph, lungs, refusals, warnings, admission.inverted, refused_by, view)

    def _view(self, admission: GateResult, pixels: NDArray[np.float32]) -> ViewGuess | None:
        if admission.view is not None or self.views_by is None or admission.refusals:
            return admission.view
        return self.views_by.guess_view(admission.righted(pixels))


def _without_lungs(lungs: Lungs | None) -> tuple[str, ...]:
    return () if lungs is None or not lungs.problems else (NO_LUNGS, *lungs.problems)
