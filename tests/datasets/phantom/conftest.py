"""Phantoms that several tests look at; drawn once."""

from __future__ import annotations

import pytest

from lungsight.datasets.phantom import Label, Phantom, draw


@pytest.fixture(scope="session")
def phantoms() -> list[Phantom]:
    """40 patients with each label, 96 px: the same 40 patients under every label."""
    return [draw(seed, label, size=96) for label in Label for seed in range(40)]
