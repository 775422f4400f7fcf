"""Evidence: all that a test found out about a model, ready to be written down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lungsight.evaluation.audits.audit import Audit
from lungsight.evaluation.grade import GradeStatement
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import PackageDescription
from lungsight.statistics.bootstrap import Resampling


@dataclass(frozen=True, eq=False)
class TestedModel:
    """What was tested.

    Attributes:
        model: the package's id or, for somebody's predictions, the name of their table.
        description: of the package; None for somebody's predictions.
        trained_sources: the sources it was trained on; None where nobody says.
    """

    model: str
    classes: tuple[str, ...]
    target: str
    description: PackageDescription | None = None
    trained_sources: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """All that a test found out.

    Attributes:
        judged: every eligible image, those included that couldn't be read.
        prevalence: of the target class, where the user named one.
        notices: what is wrong with the data and what was therefore withheld: sentences for the first screen.
        command: what repeats it.
    """

    subject: TestedModel
    testset: TestSet
    flow: Section
    discrimination: Section
    calibration: Section
    decision: Section
    subgroups: Section
    audits: tuple[Audit, ...]
    verdict: GradeStatement
    resampling: Resampling
    made: datetime
    prevalence: float | None = None
    notices: tuple[str, ...] = ()
    command: str = ""

    @property
    def sections(self) -> tuple[Section, ...]:
        return (self.flow, self.discrimination, self.calibration, self.decision, self.subgroups)
