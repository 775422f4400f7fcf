"""The finding: the decision on one file, with all that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lungsight import RESEARCH_ONLY
from lungsight._text import as_words, percent
from lungsight.components.categories import Category
from lungsight.components.decision import INCONCLUSIVE as INCONCLUSIVE
from lungsight.components.decision import NO_SIGN as NO_SIGN
from lungsight.components.decision import REFUSED as REFUSED
from lungsight.components.decision import decision_words
from lungsight.components.lungs import Box, Lungs
from lungsight.components.preprocessing import Preprocessing
from lungsight.components.view import ViewGuess
from lungsight.radiograph import UNIDENTIFIED, Identifiers, Placement, Radiograph, View

#: Where a view is known from.
STATED, GUESSED = "header", "model"


class Status(StrEnum):
    """``read``: analysed. ``refused``: read, but not an image for this model. ``error``: not readable."""

    READ = "read"
    REFUSED = "refused"
    ERROR = "error"


@dataclass(frozen=True, slots=True, eq=False)
class ClassMap:
    """The evidence for the target against the mean of the other classes, with its place in the image.

    Attributes:
        values: float32 [rows, columns] on the network's own coarse grid, in logits.
        bias: the mean of ``values`` plus this is the logit margin.
        preprocessing: how the network's input was made of the image.
        box: the box around the lungs that the network saw; None if it saw the whole image.
    """

    values: NDArray[np.float32]
    bias: float
    preprocessing: Preprocessing
    box: Box | None = None

    @property
    def mean(self) -> float:
        """The mean of the values, in logits."""
        return float(self.values.mean(dtype=np.float64))

    @property
    def margin(self) -> float:
        """The target's logit less the mean of the others'."""
        return self.mean + self.bias

    def on(self, height: int, width: int) -> NDArray[np.float32]:
        """The map drawn over the whole image, float32 [height, width] in logits; 0 where the network saw nothing.

        Args:
            height: of the image, or of any other grid of the same shape.
            width: of the same grid.
        """
        return self.preprocessing.restore(self.values, height, width, self.box)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finding:
    """The decision on one file, with all that it rests on. No array in it is as large as the image.

    Attributes:
        file: as in ``Radiograph.file``.
        decision: the model's target, ``no_sign``, ``inconclusive`` or ``refused``; of a model without thresholds the
            most probable class; None if the file can't be read.
        category: what radiologists call images that get this decision; None if that wasn't measured.
        probabilities: calibrated, of each class; empty unless ``status`` is ``read``.
        map: the evidence for the target, region by region; None unless ``status`` is ``read``.
        lungs: where they are; None if the package has no lung segmentation, or it wasn't run.
        evidence_in_lungs: the share 0…1 of the evidence for the target that is in the lungs; None if unknown.
        unfamiliarity: the image's distance from the training images, as a multiple of the package's threshold; None
            if the package has no out-of-distribution detector.
        age: of the patient, in years, as the file states it.
        sex: of the patient: ``M``, ``F`` or ``O``.
        view: as the file states it; if it doesn't say PA or AP, as the view classifier predicts it.
        view_from: ``header`` or ``model``; None if the view is unknown.
        view_ap: the view classifier's probability of AP; None if there is none, or the image wasn't analysed.
        identifiers: of study, series and image, as the file states them.
        placement: the grid on which the image was analysed, and how it was made of the file's own.
        inverted: whether black and white were swapped before the image was analysed.
        arrived: when the file was last changed, in UTC; None if unknown.
        radiograph: the image as it was analysed, with its pixels; None if they weren't kept.
        refused_by: ``header``, ``pixels`` or ``gate``; None if it wasn't refused.
        reasons: why it was refused, is inconclusive, or can't be read: sentences.
        warnings: what to keep in mind about this image: sentences.
        target: the class that the decision is about; empty if there is none.
        model: name of the package and the first twelve digits of its sha256.
        model_grade: what the model's evidence report concludes; None if the package holds none.
        seconds: wall time for this file.
    """

    file: str
    status: Status
    decision: str | None
    probabilities: Mapping[str, float] = field(default_factory=dict)
    map: ClassMap | None = None
    lungs: Lungs | None = None
    evidence_in_lungs: float | None = None
    unfamiliarity: float | None = None
    age: float | None = None
    sex: str | None = None
    view: View | None = None
    view_from: str | None = None
    view_ap: float | None = None
    identifiers: Identifiers = UNIDENTIFIED
    placement: Placement | None = None
    inverted: bool = False
    arrived: datetime | None = None
    radiograph: Radiograph | None = None
    refused_by: str | None = None
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    category: Category | None = None
    target: str = ""
    model: str = ""
    model_grade: str | None = None
    seconds: float = 0.0

    @property
    def outline(self) -> NDArray[np.bool_] | None:
        """The lungs to draw, as ``lungs.mask``: two plausible ones of an image that was analysed, else None."""
        if self.status is not Status.READ or self.lungs is None or self.lungs.problems:
            return None
        return self.lungs.mask

    @property
    def words(self) -> str:
        """The decision for people, or what took its place: ``no sign of COVID-19``."""
        return decision_words(self.decision or str(self.status), self.target)

    def heatmap(self) -> NDArray[np.float32]:
        """The map on the image's own pixels, float32 [placement.height, placement.width], in logits.

        Raises:
            ValueError: the image wasn't analysed.
        """
        if self.map is None or self.placement is None:
            raise ValueError(f"{self.file} was not analysed")
        return self.map.on(self.placement.height, self.placement.width)

    def __repr__(self) -> str:
        """One line, without arrays."""
        shares = "".join(f", {name}={p:.3f}" for name, p in self.probabilities.items())
        return f"Finding({self.file!r}, {self.decision or self.status}{shares})"

    def _repr_html_(self) -> str:
        """What a notebook shows of it: a fragment of HTML that needs nothing else, some tens of kilobytes."""
        from lungsight.rendering import data_uri, small_jpeg  # scanning needn't wait for what draws

        image = "" if self.radiograph is None else data_uri(small_jpeg(self.radiograph))
        picture = f'<img src="{image}" width="320" alt="">' if image else ""
        shares = "".join(f"<li>{escape(as_words(name))}: {percent(p)}</li>" for name, p in self.probabilities.items())
        sentences = "".join(f"<p>{escape(sentence)}</p>" for sentence in (*self.reasons, *self.warnings))
        return (
            f'<div style="display:flex;gap:1em">{picture}<div><p>{escape(self.file)}</p>'
            f"<p><b>{escape(self.words)}</b></p>"
            f"<ul>{shares}</ul>{sentences}<p><i>{RESEARCH_ONLY}</i></p></div></div>"
        )

    def as_json(self, pictures: Mapping[str, Path] | None = None) -> dict[str, Any]:
        """The object that ``lungsight scan --json`` writes, one a line.

        Args:
            pictures: the paths of its ``heatmap`` and its ``overlay``.
        """
        drawn = {kind: str(path) for kind, path in (pictures or {}).items()}
        return {
            "file": self.file,
            "status": str(self.status),
            "verdict": self.decision,
            "category": None if self.category is None else self.category._asdict(),
            "probabilities": {name: round(p, 6) for name, p in self.probabilities.items()},
            "heatmap": drawn.get("heatmap"),
            "overlay": drawn.get("overlay"),
            "lungs": self._lungs_as_json(),
            "unfamiliarity": None if self.unfamiliarity is None else round(self.unfamiliarity, 4),
            "age": self.age,
            "sex": self.sex,
            "view": None if self.view is None else str(self.view),
            "view_from": self.view_from,
            "view_ap": None if self.view_ap is None else round(self.view_ap, 4),
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


def known_of(radiograph: Radiograph, guess: ViewGuess | None = None) -> dict[str, Any]:
    """The fields of a finding that are its radiograph's; a view that it doesn't state is that of ``guess``."""
    known = {name: getattr(radiograph, name) for name in ("age", "sex", "view", "identifiers", "placement")}
    known["view_from"] = None if radiograph.view is None else STATED
    if guess is not None:
        known["view_ap"] = guess.ap
        if guess.view is not None and radiograph.view in (None, View.FRONTAL):
            known |= {"view": guess.view, "view_from": GUESSED}
    return known
