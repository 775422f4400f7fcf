"""What the room says of its model, and of a finding beside its decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lungsight._text import as_words
from lungsight.package import ModelPackage, PackageDescription


@dataclass(frozen=True)
class Model:
    """The model of a room.

    Attributes:
        package: as it was opened.
        target: the class whose evidence is shown.
        id: its name and the first twelve digits of its sha256.
        thresholds: below the first the target is ruled out, from the second on it is predicted; None without any.
    """

    package: ModelPackage
    target: str
    id: str
    thresholds: tuple[float, float] | None

    @classmethod
    def of(cls, package: ModelPackage) -> Model:
        """The model in a package."""
        description = package.description
        return cls(package, description.target, package.id, description.decision.thresholds)

    def as_json(self) -> dict[str, Any]:
        """As the API gives it."""
        description, low_high = self.package.description, self.thresholds
        verdict = self.package.verdict
        return {
            "name": description.name,
            "id": self.id,
            "grade": None if verdict is None else verdict.words,
            "target": self.target,
            "target_words": as_words(self.target),
            "classes": [{"name": name, "words": as_words(name)} for name in description.classes],
            "thresholds": None if low_high is None else {"low": low_high[0], "high": low_high[1]},
            "prevalence": prevalence(description),
            "card": self.package.model_card,
        }


def prevalence(description: PackageDescription) -> float | None:
    """The share of the target among the images that the probabilities were fitted to; None if it isn't stated.

    As the calibration states it, in which every source counts the same; in older packages that of the decision's
    validation images if they are counted, else of those that the model was trained and tuned on.
    """
    if stated := description.calibration.prevalence.get(description.target):
        return stated
    decision = description.decision
    if decision.chosen_on and decision.positives:
        return decision.positives / decision.chosen_on
    counts = [source.labels for source in description.sources]
    total = sum(sum(labels.values()) for labels in counts)
    positives = sum(labels.get(description.target, 0) for labels in counts)
    return positives / total if 0 < positives < total else None


def meaning_of(finding: Mapping[str, Any], model: Model) -> list[str]:
    """What stands beside the decision: what it rests on, and why it is inconclusive, refused or an error."""
    from lungsight.scanning.card import Card

    urgency = float(finding["probabilities"].get(model.target, 0.0))
    rests_on = Card(dict(finding), model.target, urgency, None).meaning(model.thresholds)
    return [*([rests_on] if rests_on else []), *finding["reasons"]]
