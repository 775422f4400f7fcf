"""Findings, as ``lungsight scan --json`` wrote them, to be put in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lungsight.errors import LungsightError, printable


class _Line(BaseModel):
    """What is asked of a line; what else stands on it is passed over."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    file: str
    status: Literal["read", "refused", "error"]
    verdict: str | None
    probabilities: dict[str, Annotated[float, Field(ge=0, le=1)]] = Field(default={})
    age: Annotated[float, Field(ge=0, le=150)] | None = None
    view: str | None = None
    arrived: datetime | None = None
    study_instance_uid: str | None = None
    accession_number: str | None = None
    refused_by: str | None = None
    model: str = ""
    model_grade: str | None = None


@dataclass(frozen=True)
class Case:
    """One finding.

    Attributes:
        status: ``read``, ``refused`` or ``error``.
        arrived: when the file came, in UTC; None where nobody knows.
        study: the StudyInstanceUID; None where the file has none, and is a study of its own.
        refused_by: ``header``, ``pixels`` or ``gate``; None where it wasn't refused.
        model_grade: what the evidence report of the model concludes; None where it has none.
    """

    file: str
    status: str
    verdict: str | None
    probabilities: Mapping[str, float]
    age: float | None = None
    view: str | None = None
    arrived: datetime | None = None
    study: str | None = None
    accession_number: str | None = None
    refused_by: str | None = None
    model: str = ""
    model_grade: str | None = None

    @property
    def is_another_kind(self) -> bool:
        """Its own header says that it is no frontal chest X-ray."""
        return self.refused_by == "header"

    @property
    def doubt(self) -> float:
        """The entropy of the probabilities as a share of the largest possible: 0 certain, 1 all classes alike."""
        shares = [p for p in self.probabilities.values() if p > 0]
        if len(self.probabilities) < 2:
            return 0.0
        return -sum(p * math.log(p) for p in shares) / math.log(len(self.probabilities))

    def hours_waited(self, now: datetime) -> float | None:
        """None where nobody knows when it came."""
        return None if self.arrived is None else max(0.0, (now - self.arrived).total_seconds() / 3600)


def read_cases(path: Path, say: Callable[[str], None] = lambda _: None) -> list[Case]:
    """The findings in a file of JSON lines.

    A last line that was cut short is passed over, and ``say`` is told: a scan may still be writing. Raises Fault,
    with the line's number, for any other that is no finding.
    """
    try:
        content = path.read_text("utf-8")
    except OSError as error:
        raise LungsightError(
            path, f"can't be read ({error.strerror})", "give what `lungsight scan --json` wrote"
        ) from error
    except UnicodeDecodeError as error:
        raise LungsightError(path, "isn't text", "give what `lungsight scan --json` wrote") from error
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
        stated = _Line.model_validate_json(line)
    except ValidationError as error:
        first: Any = error.errors()[0]
        what = ".".join(str(part) for part in first["loc"]) or "the line"
        problem = f"line {number} is no finding ({what}: {first['msg']})"
        raise LungsightError(path, problem, "give what `lungsight scan --json` wrote") from error
    arrived = stated.arrived
    if arrived is not None and arrived.tzinfo is None:
        arrived = arrived.replace(tzinfo=UTC)
    return Case(
        file=printable(stated.file),
        status=stated.status,
        verdict=stated.verdict,
        probabilities=stated.probabilities,
        age=stated.age,
        view=stated.view,
        arrived=arrived,
        study=_printable(stated.study_instance_uid),
        accession_number=_printable(stated.accession_number),
        refused_by=stated.refused_by,
        model=printable(stated.model),
        model_grade=_printable(stated.model_grade),
    )


def _printable(text: str | None) -> str | None:
    return printable(text) if text else None
