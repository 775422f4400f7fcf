"""Holm's adjustment: the worked example of R's documentation, and what must hold for any p-values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lungsight.statistics.holm import holm


def test_a_worked_example() -> None:
    """R: p.adjust(c(0.01, 0.02, 0.03, 0.04), "holm") is 0.04 0.06 0.06 0.06."""
    assert holm([0.01, 0.02, 0.03, 0.04]) == pytest.approx([0.04, 0.06, 0.06, 0.06])
    assert holm([0.04, None, 0.01]) == [pytest.approx(0.04), None, pytest.approx(0.02)]
    assert holm([]) == []


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_never_smaller_never_above_bonferroni_and_in_the_same_order(p: list[float]) -> None:
    adjusted = [value for value in holm(p) if value is not None]
    assert all(a >= b for a, b in zip(adjusted, p, strict=True))
    assert all(a <= min(1.0, len(p) * b) + 1e-12 for a, b in zip(adjusted, p, strict=True))
    ordered = [a for _, a in sorted(zip(p, adjusted, strict=True))]
    assert ordered == sorted(ordered)
