"""What ``package.json`` says of a model: all that scanning, testing and a careful reader need to know."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lungsight.package.preprocessing import Preprocessing

SCHEMA_VERSION: Literal[1] = 1


class _Stated(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TrainingSource(_Stated):
    """One source the model was trained on."""

    name: str
    images: int = Field(ge=0)
    patients: int = Field(ge=0)
    labels: dict[str, int] = Field(description="images per class")
    licence: str = "not stated"
    reference_standard: str = "not stated"


class Calibration(_Stated):
    """Logits are divided by ``temperature`` before the softmax (Guo et al. 2017), fitted on validation images."""

    temperature: float = Field(default=1.0, gt=0)
    fitted_on: int = Field(default=0, ge=0, description="number of images")


class Decision(_Stated):
    """When the most probable class stays below ``inconclusive_below``, the verdict is *inconclusive*."""

    inconclusive_below: float = Field(default=0.5, ge=0, le=1)


class PackageDescription(_Stated):
    """The content of ``package.json``."""

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    created: datetime
    lungsight_version: str
    intended_use: str
    classes: tuple[str, ...] = Field(min_length=2)
    target: str = Field(description="the class whose evidence the heatmap shows")
    backbone: str = Field(description="timm's name of the network")
    initial_weights: str = Field(description="what the network started from")
    preprocessing: Preprocessing
    calibration: Calibration = Calibration()
    decision: Decision = Decision()
    sources: tuple[TrainingSource, ...]
    split_unit: Literal["patient", "image", "given"]
    recipe: dict[str, object]
    files: dict[str, str] = Field(default_factory=dict, description="sha256 of every other file of the package")

    @model_validator(mode="after")
    def _target_is_a_class(self) -> Self:
        if self.target not in self.classes:
            raise ValueError(f"target '{self.target}' is not among the classes {', '.join(self.classes)}")
        return self
