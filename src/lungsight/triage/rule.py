"""The rule of the worklist: a TOML file that users can read and change."""

from __future__ import annotations

import tomllib
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lungsight.errors import LungsightError
from lungsight.radiograph import View

Points = Annotated[float, Field(ge=-1000, le=1000)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)


class FindingPoints(_Section):
    """Points for a finding."""

    target: Points
    """Times the probability of the package's target class."""
    other_abnormal: Points
    """Times the probability of each class that is neither the target nor normal; the highest product counts."""
    normal: Points
    """Times the probability of the normal class."""
    inconclusive: Points
    """The least for an inconclusive decision."""
    refused: Points
    error: Points
    normal_classes: tuple[str, ...]
    """Names of the classes without a finding."""


class DoubtPoints(_Section):
    """Points for doubt."""

    points: Points
    """Times the entropy of the probabilities as a share of its maximum (0…1)."""


class AgePoints(_Section):
    """Points for an age."""

    model_config = ConfigDict(populate_by_name=True, frozen=True, extra="forbid", allow_inf_nan=False)

    from_years: float = Field(alias="from", ge=0, le=150)
    points: Points


class Rule(_Section):
    """Points for the urgency of an image."""

    name: str = Field(min_length=1)
    """Shown on every list that it makes."""
    longest_wait_hours: float = Field(gt=0)
    """Studies that have waited longer go to the front."""
    finding: FindingPoints
    doubt: DoubtPoints
    age: tuple[AgePoints, ...] = ()
    """In ascending order; below the first, 0 points."""
    view: dict[str, Points] = {}

    @model_validator(mode="after")
    def _ages_rise(self) -> Self:
        if any(first.from_years >= second.from_years for first, second in pairwise(self.age)):
            raise ValueError("age: 'from' must rise from entry to entry")
        return self

    @model_validator(mode="after")
    def _views_are_known(self) -> Self:
        if unknown := sorted(set(self.view) - set(map(str, View))):
            raise ValueError(f"view: there is no '{unknown[0]}'; known are {', '.join(View)}")
        return self

    def points_of_age(self, age: float | None) -> float:
        """The points of an age in years; 0 for None."""
        reached = [entry.points for entry in self.age if age is not None and age >= entry.from_years]
        return reached[-1] if reached else 0.0


def load_rule(path: Path | None = None) -> Rule:
    """The rule in a TOML file, or lungsight's own. Raises LungsightError, which names the key."""
    subject: object = path or "rule.toml"
    hint = "`lungsight triage --show-rule` shows a rule that works"
    try:
        text = own_rule() if path is None else path.read_text("utf-8")
        return Rule.model_validate(tomllib.loads(text))
    except OSError as error:
        raise LungsightError(subject, f"can't be read ({error.strerror})", "check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LungsightError(subject, f"is not valid TOML ({error})", hint) from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise LungsightError(subject, f"{key}: {first['msg'].removeprefix('Value error, ')}", hint) from error


def own_rule() -> str:
    """The text of lungsight's own rule, with its sources."""
    return (resources.files("lungsight.triage") / "rule.toml").read_text("utf-8")
