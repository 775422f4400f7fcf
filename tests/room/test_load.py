"""Nothing is lost or doubled under load, with a kill amid it; memory stays flat."""

from __future__ import annotations

from pathlib import Path

import pytest

from room.conftest import png
from room.load import Figures, film, load


def _holds(figures: Figures) -> None:
    assert figures.accepted > 0
    assert (figures.lost, figures.doubled, figures.failed) == (0, 0, [])
    before, after = figures.megabytes
    assert after < 1.3 * before + 50, figures


@pytest.mark.slow
def test_nothing_is_lost_or_doubled(tmp_path: Path, package: Path) -> None:
    _holds(load(tmp_path / "store", "--model", package, seconds=15, clients=6, film=png()))


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_twenty_clients_for_five_minutes(tmp_path: Path) -> None:
    figures = load(tmp_path / "store", seconds=300, clients=20, film=film(1024))
    _holds(figures)
    assert figures.p95 < 2, figures
