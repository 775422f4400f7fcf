from __future__ import annotations

from lungsight.datasets.ood_images.found import found_families


def test_the_development_installation_brings_photographs_and_slices() -> None:
    found = {family.name: len(family.draw.args[0]) for family in found_families()}  # type: ignore[attr-defined]
    assert found["photographs"] >= 5
    assert found["slices found"] >= 3
