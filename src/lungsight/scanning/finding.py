"""The finding: what scanning says of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungsight.package.lung_fields import Lungs
from lungsight.radiograph import Radiograph

INCONCLUSIVE = "inconclusive"
REFUSED = "refused"


class Status(StrEnum):
    """``read``: judged. ``refused``: read, but not an image this software judges. ``error``: not readable."""

    READ = "read"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """What is said of one file, and what it rests on.

    Attributes:
        file: as in ``Radiograph.file``.
        verdict: one of the model's classes, ``inconclusive`` or ``refused``; None where the file can't be read.
        probabilities: calibrated, of each class; empty unless ``status`` is ``read``.
        evidence: float32 [rows, columns], the target class's logit against the mean of the others, region by
            region on the network's own coarse grid: its mean plus ``evidence_bias`` is the logit margin itself.
        lungs: where they are: their ``mask`` is small and over the whole radiograph, squashed to a square; None where
            the package has nothing that finds lungs, or nobody asked it.
        evidence_in_lungs: of the evidence for the target the share, 0…1, that lies in the lungs; None where that
            can't be told.
        unfamiliarity: how far the image lies from everything seen in training; above 1, further than the package lets
            pass. None where the package doesn't measure it.
        radiograph: the image judged, None where there is none to show.
        reasons: why it was refused, is inconclusive, or can't be read: sentences.
        warnings: what to keep in mind about this image: sentences.
        model: name of the package and the first twelve digits of its sha256.
        seconds: wall time for this file.
    """

    file: str
    status: Status
    verdict: str | None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    evidence: NDArray[np.float32] | None = None
    evidence_bias: float = 0.0
    lungs: Lungs | None = None
    evidence_in_lungs: float | None = None
    unfamiliarity: float | None = None
    radiograph: Radiograph | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    model: str = ""
    seconds: float = 0.0

    def as_json(self, heatmap: str | None = None) -> dict[str, Any]:
        """The object that ``lungsight scan --json`` writes, one a line; ``heatmap`` is the path of its picture."""
        return {
            "file": self.file,
            "status": str(self.status),
            "verdict": self.verdict,
            "probabilities": {name: round(p, 6) for name, p in self.probabilities.items()},
            "heatmap": heatmap,
            "lungs": self._lungs_as_json(),
            "unfamiliarity": None if self.unfamiliarity is None else round(self.unfamiliarity, 4),
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "model": self.model,
            "seconds": round(self.seconds, 4),
        }

    def _lungs_as_json(self) -> dict[str, Any] | None:
        if self.lungs is None:
            return None
        box, inside = self.lungs.box, self.evidence_in_lungs
        return {
            "box": None if box is None else [round(edge, 4) for edge in (box.left, box.top, box.right, box.bottom)],
            "plausible": not self.lungs.faults,
            "percent_of_image": round(100 * float(self.lungs.mask.mean()), 1),
            "percent_of_evidence": None if inside is None else round(100 * inside, 1),
        }
