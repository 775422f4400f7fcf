"""Findings, as ``lungsight scan --json`` wrote them, to be put in order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lungsight.faults import Fault, printable


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
    model: str = ""


@dataclass(frozen=True)
class Case:
    """One finding.

    Attributes:
        status: ``read``, ``refused`` or ``error``.
        arrived: when the file came, in UTC; None where nobody knows.
    """

    file: str
    status: str
    verdict: str | None
    probabilities: Mapping[str, float]
    age: float | None = None
    view: str | None = None
    arrived: datetime | None = None

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
        raise Fault(path, f"can't be read ({error.strerror})", "give what `lungsight scan --json` wrote") from error
    except UnicodeDecodeError as error:
        raise Fault(path, "isn't text", "give what `lungsight scan --json` wrote") from error
    *lines, last = content.split("\n")
    cases = [_case(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not last.strip():
        return cases
    try:
        return [*cases, _case(path, len(lines) + 1, last)]
    except Fault:
        say(f"{printable(path)}: its last line was cut short and isn't ranked.")
        return cases


def _case(path: Path, number: int, line: str) -> Case:
    try:
        stated = _Line.model_validate_json(line)
    except ValidationError as error:
        first: Any = error.errors()[0]
        what = ".".join(str(part) for part in first["loc"]) or "the line"
        fault = f"line {number} is no finding ({what}: {first['msg']})"
        raise Fault(path, fault, "give what `lungsight scan --json` wrote") from error
    arrived = stated.arrived
    if arrived is not None and arrived.tzinfo is None:
        arrived = arrived.replace(tzinfo=UTC)
    return Case(
        printable(stated.file), stated.status, stated.verdict, stated.probabilities, stated.age, stated.view, arrived
    )
