"""The finding: what scanning says of one file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungsight.components.decision import INCONCLUSIVE as INCONCLUSIVE
from lungsight.components.decision import REFUSED as REFUSED
from lungsight.components.lungs import Lungs
from lungsight.radiograph import UNIDENTIFIED, Identifiers, Placement, Radiograph, View


class Status(StrEnum):
    """``read``: judged. ``refused``: read, but not an image this software judges. ``error``: not readable."""

    READ = "read"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finding:
    """What is said of one file, and what it rests on.

    Attributes:
        file: as in ``Radiograph.file``.
        decision: one of the model's classes, ``inconclusive`` or ``refused``; None where the file can't be read.
        probabilities: calibrated, of each class; empty unless ``status`` is ``read``.
        evidence: float32 [rows, columns], the target class's logit against the mean of the others, region by
            region on the network's own coarse grid: its mean plus ``evidence_bias`` is the logit margin itself.
        lungs: where they are: their ``mask`` is small and over the whole radiograph, squashed to a square; None where
            the package has nothing that finds lungs, or nobody asked it.
        evidence_in_lungs: of the evidence for the target the share, 0…1, that lies in the lungs; None where that
            can't be told.
        unfamiliarity: how far the image lies from everything seen in training; above 1, further than the package lets
            pass. None where the package doesn't measure it.
        age: of the patient, in years, as the file has it.
        sex: of the patient: ``M``, ``F`` or ``O``.
        view: as the file has it.
        identifiers: of study, series and image, as the file has them.
        placement: the grid on which the image was judged, and how it was made of the file's own.
        arrived: when the file was last changed, in UTC; None where nobody can tell.
        radiograph: the image judged, None where there is none to show.
        refused_by: ``header``, ``pixels`` or ``gate``; None where it wasn't refused.
        reasons: why it was refused, is inconclusive, or can't be read: sentences.
        warnings: what to keep in mind about this image: sentences.
        model: name of the package and the first twelve digits of its sha256.
        model_grade: what the model's evidence report concludes; None where the package holds none.
        seconds: wall time for this file.
    """

    file: str
    status: Status
    decision: str | None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    evidence: NDArray[np.float32] | None = None
    evidence_bias: float = 0.0
    lungs: Lungs | None = None
    evidence_in_lungs: float | None = None
    unfamiliarity: float | None = None
    age: float | None = None
    sex: str | None = None
    view: View | None = None
    identifiers: Identifiers = UNIDENTIFIED
    placement: Placement | None = None
    arrived: datetime | None = None
    radiograph: Radiograph | None = None
    refused_by: str | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    model: str = ""
    model_grade: str | None = None
    seconds: float = 0.0

    @property
    def outline(self) -> NDArray[np.bool_] | None:
        """The lungs to draw, as ``lungs.mask``: two plausible ones of an image that was judged, else None."""
        drawn = self.status is Status.READ and self.lungs is not None and not self.lungs.problems
        return self.lungs.mask if drawn and self.lungs is not None else None

    def __repr__(self) -> str:
        """One line, without arrays."""
        said = "".join(f", {name}={p:.3f}" for name, p in self.probabilities.items())
        return f"Finding({self.file!r}, {self.decision or self.status}{said})"

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        from lungsight.inference.notebook import as_html  # pictures, for which scanning itself needn't wait

        return as_html(self)

    def as_json(self, pictures: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """The object that ``lungsight scan --json`` writes, one a line; ``pictures`` says where its heatmap and its
        overlay lie."""
        drawn = {kind: str(path) for kind, path in (pictures or {}).items()}
        return {
            "file": self.file,
            "status": str(self.status),
            "verdict": self.decision,
            "probabilities": {name: round(p, 6) for name, p in self.probabilities.items()},
            "heatmap": drawn.get("heatmap"),
            "overlay": drawn.get("overlay"),
            "lungs": self._lungs_as_json(),
            "unfamiliarity": None if self.unfamiliarity is None else round(self.unfamiliarity, 4),
            "age": self.age,
            "sex": self.sex,
            "view": None if self.view is None else str(self.view),
            "arrived": None if self.arrived is None else self.arrived.isoformat(timespec="seconds"),
            **asdict(self.identifiers),
            "placement": None if self.placement is None else self.placement._asdict(),
            "refused_by": self.refused_by,
            "reasons": list(self.reasons),
            "warnings": list(self.warnings),
            "model": self.model,
            "model_grade": self.model_grade,
            "seconds": round(self.seconds, 4),
        }

    def _lungs_as_json(self) -> dict[str, Any] | None:
        if self.lungs is None:
            return None
        box, inside = self.lungs.box, self.evidence_in_lungs
        return {
            "box": None if box is None else [round(edge, 4) for edge in (box.left, box.top, box.right, box.bottom)],
            "plausible": not self.lungs.problems,
            "percent_of_image": round(100 * float(self.lungs.mask.mean()), 1),
            "percent_of_evidence": None if inside is None else round(100 * inside, 1),
        }


def known_of(radiograph: Radiograph) -> dict[str, Any]:
    """The fields of a finding that come from its radiograph as they are."""
    return {name: getattr(radiograph, name) for name in ("age", "sex", "view", "identifiers", "placement")}
