from __future__ import annotations

from lungsight.datasets.ood_images.found import found_families


def test_the_development_installation_brings_photographs_and_slices() -> None:
    found = {family.name: len(family.files) for family in found_families()}
    assert found["photographs"] >= 5
    assert found["slices found"] >= 3


def test_files_exist() -> None:
    assert all(file.is_file() for family in found_families() for file in family.files)
