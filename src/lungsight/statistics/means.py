"""Means and shares over images: :func:`lungsight.statistics.bootstrap.means` under its old name."""

from __future__ import annotations

from lungsight.statistics.bootstrap import Sample, means

__all__ = ["Sample", "estimate_means"]

estimate_means = means
