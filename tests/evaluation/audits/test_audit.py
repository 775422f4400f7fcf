"""The result of a rule: what is found, what is excluded, and what too few images can't say."""

from __future__ import annotations

import pytest

from lungsight.evaluation.audits.audit import FEWEST_IMAGES, AuditResult, concluded
from lungsight.statistics.estimate import Estimate

FOUND, NOT_FOUND, NOT_SHOWN = AuditResult.FOUND, AuditResult.NOT_FOUND, AuditResult.NOT_SHOWN


def share(low: float | None, high: float | None, n: int = FEWEST_IMAGES) -> Estimate:
    return Estimate("left", "covid19", None if low is None else 0.4, low, high, n, n // 2, n - n // 2, n)


@pytest.mark.parametrize(
    ("kinds", "result"),
    [
        ([[share(0.6, 0.9)]], FOUND),
        ([[share(0.6, 0.9, n=40)]], FOUND),
        ([[share(0.0, 0.2)]], NOT_FOUND),
        ([[share(0.0, 0.2, n=FEWEST_IMAGES - 1)]], NOT_SHOWN),
        ([[share(0.2, 0.6)]], NOT_SHOWN),
        ([[share(0.0, 0.2), share(0.6, 0.9)]], FOUND),
        ([[share(0.0, 0.2), share(0.2, 0.6)]], NOT_SHOWN),
        ([[share(0.0, 0.2), share(None, None)]], NOT_SHOWN),
        ([[share(0.0, 0.2)], [share(0.2, 0.6, n=50)]], NOT_FOUND),
        ([[share(0.0, 0.2)], [share(0.2, 0.6)]], NOT_SHOWN),
        ([[share(0.0, 0.2)], [share(0.6, 0.9, n=50)]], FOUND),
        ([[share(0.0, 0.2)], [share(None, None)]], NOT_FOUND),
        ([[], [share(None, None)]], NOT_SHOWN),
    ],
)
def test_the_whole_interval_decides(kinds: list[list[Estimate]], result: AuditResult) -> None:
    assert concluded(kinds, above=1 / 2, below=1 / 3) is result
