"""How a model does at each source: it holds, falls short or fails, or there are too few patients to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from lungsight.evaluation.audits import source_identity, within_view
from lungsight.evaluation.audits.audit import Audit
from lungsight.evaluation.formatting import as_figure
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import EXTERNAL, TestSet
from lungsight.statistics.bootstrap import Resampling
from lungsight.statistics.estimate import Estimate
from lungsight.statistics.ranking import auroc, ranking_estimate

#: A source counts where it has at least this many patients with the target and as many without.
ENOUGH_PATIENTS = 30
#: A model holds at a source where the whole interval of its AUROC there is above this ("acceptable", Hosmer,
#: Lemeshow & Sturdivant 2013, section 5.2.4), and fails where the whole interval is below.
HOLDS = 0.70
#: … and, where views are known or guessed, the whole interval among images of the same view is above this.
HOLDS_WITHIN_VIEW = 0.65
#: The AUROC of a model that knows nothing.
CHANCE = 0.5


class Performance(StrEnum):
    """How a model does within one source."""

    HOLDS = "holds"
    FALLS_SHORT = "falls short"
    FAILS = "fails"
    TOO_FEW = "too few to say"


@dataclass(frozen=True)
class SourcePerformance:
    """How a model does within one source.

    Attributes:
        kind: how the model stands to the source: internal, external or unstated.
        source: its name.
        performance: by the rules of this module.
        with_target, without_target: patients on either side.
        auroc: of the target against the rest, among images of this source alone.
        within_view: the same among images of the same view; None if it wasn't asked.
        same_as: the source that its images can't be told from; empty if it is a source of its own.
    """

    kind: str
    source: str
    performance: Performance
    with_target: int
    without_target: int
    auroc: Estimate
    within_view: Estimate | None = None
    same_as: str = ""

    @property
    def counts(self) -> bool:
        """Whether it has enough patients on either side."""
        return self.performance is not Performance.TOO_FEW

    @property
    def is_other(self) -> bool:
        """Whether the model never saw it, and its images aren't another source's under a new name."""
        return self.kind == EXTERNAL and not self.same_as

    @property
    def figure(self) -> str:
        """``AUROC 0.76 (0.6998–0.81, n = 300)``: no bound is rounded onto the threshold."""
        text = f"AUROC {as_figure(self.auroc, beside=(HOLDS, CHANCE))}"
        if self.within_view is not None and self.within_view.value is not None:
            text += f", among images of the same view {as_figure(self.within_view, beside=(HOLDS_WITHIN_VIEW,))}"
        return text

    @property
    def in_words(self) -> str:
        """``it falls short: AUROC …``, with what is asked."""
        if self.performance is Performance.FALLS_SHORT:
            by_view = self.auroc.low is not None and self.auroc.low > HOLDS
            asked = f"{HOLDS_WITHIN_VIEW:.2f} among images of the same view" if by_view else f"{HOLDS:.2f}"
            return f"it falls short: {self.figure}; the whole interval would have to be above {asked}"
        above_chance = self.auroc.low is not None and self.auroc.low > CHANCE
        better = ", though better than chance" if self.performance is Performance.FAILS and above_chance else ""
        return f"it {self.performance}{better}: {self.figure}"


def performance_by_source(
    testset: TestSet, audits: Sequence[Audit], resampling: Resampling
) -> tuple[SourcePerformance, ...]:
    """Of every source of ``testset``, those that the model never saw first."""
    rows = {audit.name: audit.rows for audit in audits}
    views = within_view_by_source(rows.get(within_view.SPEC.name, ()))
    same = same_sources(rows.get(source_identity.NAME, ()))
    found = (_at(*group, views, same, resampling) for group in testset.by_source())
    return tuple(sorted(found, key=lambda each: each.kind != EXTERNAL))


def within_view_by_source(rows: Iterable[Row]) -> dict[str, Estimate]:
    """The AUROC among images of the same view at each source, from the rows of the audit of views."""
    return {
        str(row.labels["source"]): row.estimate
        for row in rows
        if row.estimate.name == within_view.WITHIN_VIEW
        and row.estimate.value is not None
        and row.labels["view"] == within_view.ALL_VIEWS
    }


def same_sources(rows: Iterable[Row]) -> dict[str, str]:
    """The sources whose images can't be told from another source's, and that source.

    Args:
        rows: of the audit of sources. Of two test sources that can't be told apart only one names the other, so that
            one of them still counts.
    """
    label = source_identity.SAME_AS
    return {str(row.labels["source"]): str(row.labels[label]) for row in rows if row.labels[label]}


def _at(
    kind: str,
    source: str,
    images: TestSet,
    views: Mapping[str, Estimate],
    same: Mapping[str, str],
    resampling: Resampling,
) -> SourcePerformance:
    sample = images.sample
    positives, negatives = (sample.patients_among(side) for side in (sample.positive, ~sample.positive))
    found = ranking_estimate("auroc", sample, auroc(images.score, sample.positive), resampling=resampling)
    within = views.get(source)
    performance = _performance(found, within) if min(positives, negatives) >= ENOUGH_PATIENTS else Performance.TOO_FEW
    other = same.get(source, "")
    return SourcePerformance(kind, source, performance, positives, negatives, found, within, other)


def _performance(found: Estimate, within_view: Estimate | None) -> Performance:
    if found.low is None or found.high is None:
        return Performance.TOO_FEW
    if found.high < HOLDS:
        return Performance.FAILS
    beyond_view = within_view is None or within_view.low is None or within_view.low > HOLDS_WITHIN_VIEW
    return Performance.HOLDS if found.low > HOLDS and beyond_view else Performance.FALLS_SHORT
