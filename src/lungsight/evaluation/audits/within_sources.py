"""What audits share that compare images within their source only."""

from __future__ import annotations

from collections.abc import Iterable

from lungsight.evaluation.formatting import withheld_because
from lungsight.evaluation.rows import Row
from lungsight.evaluation.testset.testset import TestSet
from lungsight.statistics.ranking import in_mixed_groups

#: The ``source`` of rows over all sources of a kind that hold both classes, where images are compared within theirs.
WITHIN_EACH = "within each"


def why_not_within(testset: TestSet, rows: Iterable[Row], nothing: str) -> str:
    """Why the question couldn't be asked, one sentence; ``nothing`` says why there is no row at all."""
    scored = testset.scored
    if not in_mixed_groups(scored.table["source"].to_numpy(dtype=str), scored.positive).any():
        return "It can't be asked of these data: every source holds one class."
    reasons = sorted({withheld_because(row.estimate) for row in rows if row.estimate.withheld})
    return f"It couldn't be asked: {'; '.join(reasons) or nothing}."
