"""Evidence: all results of an evaluation, ready to be reported."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lungsight.evaluation.audits.audit import Audit
from lungsight.evaluation.failures import Failures
from lungsight.evaluation.grade import GradeStatement
from lungsight.evaluation.sections import answers
from lungsight.evaluation.sections.section import Section
from lungsight.evaluation.testset.testset import TestSet
from lungsight.package import PackageDescription
from lungsight.statistics.bootstrap import Resampling


@dataclass(frozen=True, eq=False)
class TestedModel:
    """The model that was evaluated.

    Attributes:
        model: the package's id or, for predictions without their model, the name of their table.
        description: of the package; None without one.
        trained_sources: the sources it was trained on; None if that isn't known.
    """

    model: str
    classes: tuple[str, ...]
    target: str
    description: PackageDescription | None = None
    trained_sources: tuple[str, ...] | None = None


@dataclass(frozen=True, eq=False)
class Evidence:
    """All results of an evaluation.

    Attributes:
        subject: the model.
        testset: every eligible image, also those that can't be read.
        verdict: the grade, the shortcut flag beside it, and the reasons of both.
        prevalence: of the target class, if the user named one.
        notices: what is wrong with the data and what was therefore withheld: sentences for the first screen.
        command: what repeats it.
        failures: the worst misses and the worst false alarms; None if the report is to show no image.
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
    failures: tuple[Failures, Failures] | None = None

    @property
    def sections(self) -> tuple[Section, ...]:
        """In the order of the report."""
        return (self.flow, self.discrimination, self.calibration, self.decision, self.subgroups)

    @property
    def answers_title(self) -> str:
        """What gives the answers: scanning by the package's rule or, for predictions alone, the rule of this test."""
        if self.subject.description is not None:
            return "What scanning would say"
        chosen = len(self.decision.tables.get("decision_rule", ()))
        return f"What {'the thresholds of this test say' if chosen else 'the most probable class says'}"

    @property
    def answers(self) -> tuple[answers.SourceAnswers, ...]:
        """What scanning answers at each source, for images with the target and for those without."""
        return answers.answers_by_source(self.decision.estimates.get(answers.NAME, ()))
