"""What is found out about a radiograph before the detector is asked: may it be judged, and where are its lungs?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungsight.package.gate import Admission, Gate
from lungsight.package.lung_fields import LungFields, Lungs
from lungsight.radiograph import Radiograph
from lungsight.reading.reduction import reduced
from lungsight.scanning.admission import refusals

Floats = NDArray[np.float32]

#: Said before what is wrong with the lungs that were found.
NO_LUNGS = "No two plausible lungs were found, so it isn't judged; give a whole, upright frontal chest X-ray."

#: Pixels of the shorter side that lung fields and gate are given; they look at 224 or so.
_ENOUGH = 448

#: What is said of an image where there is no gate to ask.
_AS_IT_IS = Admission(refusals=(), warnings=(), probability=1.0, inverted=False)


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """A radiograph, with what was found out about it.

    Attributes:
        radiograph: as it is judged; a negative has been turned back.
        lungs: where the lungs are; None where nobody looked for them.
        refusals: why it shouldn't be judged, one sentence a reason; empty when it is admitted.
        warnings: what to keep in mind about it, beside the radiograph's own: sentences.
    """

    radiograph: Radiograph
    lungs: Lungs | None = None
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Examiner:
    """A package's lung fields and gate at work; either may be missing. Safe to call from several threads."""

    lung_fields: LungFields | None = None
    gate: Gate | None = None

    def admit(self, radiograph: Radiograph) -> Examined:
        """:meth:`examine`, unless the header or the pixels alone speak against it: then no network is asked."""
        if reasons := refusals(radiograph):
            return Examined(radiograph, refusals=reasons)
        return self.examine(radiograph)

    def examine(self, radiograph: Radiograph) -> Examined:
        """What the gate says, and where the lungs are, in the image as the gate puts it right. A negative is turned
        back; an image without two plausible lungs is refused."""
        small = reduced(radiograph, _ENOUGH).pixels
        admission = self.gate.ask(small) if self.gate is not None else _AS_IT_IS
        if admission.inverted:
            radiograph = replace(radiograph, pixels=np.asarray(1 - radiograph.pixels, dtype=np.float32))
        lungs = self._lungs(small, admission)
        refusals = admission.refusals or _without_lungs(lungs)
        return Examined(radiograph, lungs, refusals, () if refusals else admission.warnings)

    def _lungs(self, pixels: Floats, admission: Admission) -> Lungs | None:
        """In the frame of ``pixels``, which may be turned."""
        if self.lung_fields is None:
            return None
        found = self.lung_fields.find(admission.righted(pixels))
        return replace(found, mask=np.rot90(found.mask, admission.turn // 90)) if admission.turn else found


def _without_lungs(lungs: Lungs | None) -> tuple[str, ...]:
    return () if lungs is None or not lungs.faults else (NO_LUNGS, *lungs.faults)
