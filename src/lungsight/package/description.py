"""What ``package.json`` says of a model: all that scanning, testing and a careful reader need to know."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lungsight.components.calibration import Calibration
from lungsight.components.categories import Categories
from lungsight.components.decision import Decision
from lungsight.components.input_gate import GateDescription
from lungsight.components.lung_segmentation import LungSegmentationDescription
from lungsight.components.ood import OODDescription
from lungsight.components.preprocessing import Preprocessing
from lungsight.package.storage import ACTING_PARTS, FAMILIARITY, GATE, LUNG_FIELDS, NETWORK

SCHEMA_VERSION: Literal[1] = 1
#: How `initial_weights` begins where a training went on from a package; its id follows.
GOES_ON_FROM = "the package "


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TrainingSource(_Stated):
    """One source the model was trained on."""

    name: str
    """As the manifest's `source`."""
    images: int = Field(ge=0)
    """Trained or tuned on."""
    patients: int = Field(ge=0)
    """Trained or tuned on."""
    labels: dict[str, int] = Field(description="images per class")
    licence: str = "not stated"
    """Of the images."""
    reference_standard: str = "not stated"
    """What the labels rest on."""


class PackageDescription(_Stated):
    """The content of ``package.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    """Of this format."""
    name: str
    """Of the recipe it was trained by."""
    created: datetime
    """Date and time, UTC."""
    lungsight_version: str
    """That made the package."""
    intended_use: str
    """One sentence."""
    licence: str = ""
    """Of the weights, as an SPDX identifier; empty where none is stated."""
    classes: tuple[str, ...] = Field(min_length=2)
    """In the order of the network's logits."""
    target: str = Field(description="the class whose evidence the heatmap shows")
    backbone: str = Field(description="timm's name of the network")
    initial_weights: str = Field(description="what the network started from")
    preprocessing: Preprocessing
    calibration: Calibration = Calibration()
    decision: Decision = Decision()
    categories: Categories | None = None
    """What radiologists called images that got each decision; null where nobody measured it."""
    lung_fields: LungSegmentationDescription | None = None
    """The network that finds the lungs; null where the package has none."""
    gate: GateDescription | None = None
    """The network that says whether an image is a frontal chest radiograph at all; null where there is none."""
    familiarity: OODDescription | None = None
    """The out-of-distribution detector; null if the package has none."""
    sources: tuple[TrainingSource, ...]
    split_unit: Literal["patient", "image", "given"]
    """What the training kept whole on one side of the split."""
    recipe: dict[str, object]
    """The whole recipe of the training."""
    software: dict[str, str] = Field(default_factory=dict)
    """Versions of the libraries it was trained with, by name."""
    files: dict[str, str] = Field(default_factory=dict, description="sha256 of every other file of the package")

    @property
    def model_id(self) -> str:
        """The name, and twelve digits that depend on what affects a finding, and on nothing else.

        That is the classifier, preprocessing, classes, target, calibration, decision, readers' categories, and the
        other components.
        Model card and evidence may change; evidence stays tied to the id.
        """
        acts = {"classes", "target", "preprocessing", "calibration", "decision", "categories"}
        acts |= {"lung_fields", "gate", "familiarity"}
        measured = {"decision": {"by_source", "costs"}, "calibration": {"largest"}}
        # without defaults, so that a key that a later lungsight adds leaves the ids of older packages as they are
        stated = self.model_dump(mode="json", include=acts, exclude=measured, exclude_defaults=True)
        parts = {"network": self.files.get(NETWORK, "")}
        parts |= {f"sha256 of {name}": self.files[name] for name in ACTING_PARTS if name in self.files}
        rests_on = json.dumps(stated | parts, sort_keys=True)
        return f"{self.name} {hashlib.sha256(rests_on.encode()).hexdigest()[:12]}"

    @property
    def described_parts(self) -> frozenset[str]:
        """The files among :data:`ACTING_PARTS` that the description speaks of."""
        stated = {LUNG_FIELDS: self.lung_fields, GATE: self.gate, FAMILIARITY: self.familiarity}
        return frozenset(name for name, described in stated.items() if described is not None)

    @model_validator(mode="after")
    def _target_is_a_class(self) -> Self:
        if self.target not in self.classes:
            raise ValueError(f"target '{self.target}' is not among the classes {', '.join(self.classes)}")
        return self

    @model_validator(mode="after")
    def _lungs_can_be_found(self) -> Self:
        if self.preprocessing.needs_lungs and self.lung_fields is None:
            raise ValueError("preprocessing crops by the lungs, and there are no lung_fields to find them")
        return self

    @model_validator(mode="after")
    def _calibration_is_of_the_classes(self) -> Self:
        if problem := self.calibration.problem(self.classes):
            raise ValueError(f"calibration: {problem}")
        return self
