"""Read the findings that ``lungsight scan --json`` wrote."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from lungsight.errors import LungsightError, printable

_HINT = "give what `lungsight scan --json` wrote"
Printable = Annotated[str, AfterValidator(printable)]


def _in_a_time_zone(arrived: datetime) -> datetime:
    return arrived if arrived.tzinfo is not None else arrived.replace(tzinfo=UTC)


class Case(BaseModel):
    """One finding; other keys of its line are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False, populate_by_name=True)

    file: Printable
    status: Literal["read", "refused", "error"]
    verdict: str | None
    probabilities: Mapping[str, Annotated[float, Field(ge=0, le=1)]] = Field(default={})
    age: Annotated[float, Field(ge=0, le=150)] | None = None
    view: str | None = None
    view_from: str | None = None
    """``header`` or ``model``; None in findings of earlier versions, whose views are the header's."""
    arrived: Annotated[datetime, AfterValidator(_in_a_time_zone)] | None = None
    """When the file came; None if that isn't known."""
    study: Printable | None = Field(default=None, validation_alias="study_instance_uid")
    """None if the file states none; then it is a study of its own."""
    accession_number: Printable | None = None
    refused_by: str | None = None
    """``header``, ``pixels`` or ``gate``."""
    model: Printable = ""
    model_grade: Printable | None = None
    """The grade in the model's evidence report; None if it has none."""

    @property
    def is_another_kind(self) -> bool:
        """Whether its own header names something other than a frontal chest X-ray."""
        return self.refused_by == "header"

    @property
    def doubt(self) -> float:
        """The entropy of the probabilities as a share of its maximum: 0 certain, 1 all classes equally likely."""
        shares = [p for p in self.probabilities.values() if p > 0]
        if len(self.probabilities) < 2:
            return 0.0
        return -sum(p * math.log(p) for p in shares) / math.log(len(self.probabilities))

    def hours_waited(self, now: datetime) -> float | None:
        """Hours since the file came; None if that isn't known."""
        return None if self.arrived is None else max(0.0, (now - self.arrived).total_seconds() / 3600)


def read_cases(path: Path, say: Callable[[str], None] = lambda _: None) -> list[Case]:
    """The findings in a file of JSON lines.

    Args:
        path: the file. An incomplete last line is skipped: a scan may still be writing.
        say: is called with a sentence if a line was skipped.

    Raises:
        LungsightError: the file can't be read, or another line isn't a finding.
    """
    try:
        content = path.read_text("utf-8")
    except OSError as error:
        raise LungsightError(path, f"can't be read ({error.strerror})", _HINT) from error
    except UnicodeDecodeError as error:
        raise LungsightError(path, "isn't text", _HINT) from error
    *lines, last = content.split("\n")
    cases = [_case(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not last.strip():
        return cases
    try:
        return [*cases, _case(path, len(lines) + 1, last)]
    except LungsightError:
        say(f"{printable(path)}: its last line was cut short and isn't ranked.")
        return cases


def _case(path: Path, number: int, line: str) -> Case:
    try:
        return Case.model_validate_json(line)
    except ValidationError as error:
        first: Any = error.errors()[0]
        what = ".".join(str(part) for part in first["loc"]) or "the line"
        raise LungsightError(path, f"line {number} is not a finding ({what}: {first['msg']})", _HINT) from error
