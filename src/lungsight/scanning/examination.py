"""What is found out about a radiograph before the detector is asked: may it be judged, and where are its lungs?"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lungsight.package.gate import Gate
from lungsight.package.lung_fields import LungFields, Lungs
from lungsight.radiograph import Radiograph
from lungsight.reading.reduction import reduced
from lungsight.scanning.admission import refusals

#: Pixels of the shorter side that lung fields and gate are given; they look at 224 or so.
_ENOUGH = 448


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
        """Where the lungs are, and what the gate says; a negative is turned back, and its lungs are sought again."""
        small = reduced(radiograph, _ENOUGH).pixels
        lungs = self._lungs(small)
        if self.gate is None:
            return Examined(radiograph, lungs, warnings=lungs.faults if lungs else ())
        admission = self.gate.ask(small, lungs)
        warnings = admission.warnings
        if admission.inverted:
            radiograph = replace(radiograph, pixels=_negative(radiograph.pixels))
            lungs = self._lungs(_negative(small))
        if lungs is not None and not admission.refusals:
            warnings = (*warnings, *lungs.faults)
        return Examined(radiograph, lungs, admission.refusals, tuple(dict.fromkeys(warnings)))

    def _lungs(self, pixels: NDArray[np.float32]) -> Lungs | None:
        return None if self.lung_fields is None else self.lung_fields.find(pixels)


def _negative(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(1 - pixels, dtype=np.float32)
